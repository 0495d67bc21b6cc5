"""What coordinator and workers must agree on before one grades for the other.

The coordinator makes an offer: plain values, with the rubric's text and what it expects a worker to have. The worker builds
its assignment from that and from what is installed on its own machine, and both compare. The seed travels over TLS only.
"""

from __future__ import annotations

import platform
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from grader import __version__
from grader.assignment import PUBLIC_SEED, Assignment
from grader.batch.context import LIBRARIES, code_of_grader, code_of_homework, training_context_of
from grader.batch.memory import digest, seed_digest
from grader.errors import UsageError
from grader.homework import Homework, load_homework
from grader.kernel.limits import Limits
from grader.scoring.rubric import parse_rubric
from grader.submission.template import load_template

Offer = dict[str, Any]
"""Plain values only: a worker of another version must be able to read it, so that it can say what differs."""


def fingerprint_of(assignment: Assignment) -> dict[str, str]:
    """What verdicts depend on here, by its name: versions and digests of 16 hex digits."""
    return {
        "grader": f"{__version__} {digest(code_of_grader())}",
        "homework": digest(code_of_homework(assignment)),
        "training check": training_context_of("", assignment.rubric, assignment.homework),
        "rubric": assignment.rubric.digest[:16],
        "Python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
        "seed": "public" if assignment.seed_kind == "public" else f"secret {seed_digest(assignment.seed)}",
    }


def offer_of(assignment: Assignment, rubric: bytes) -> Offer:
    """The coordinator's offer, without the seed: `with_seed` adds it where it may travel."""
    return {
        "token": secrets.token_hex(16),
        "expected": fingerprint_of(assignment),
        "rubric": rubric,
        "limits": asdict(assignment.limits),
        "most_cases": assignment.most_cases,
        "shrink_calls": assignment.shrink_calls,
        "isolation": assignment.least_isolation,
        "seed": None,
    }


def with_seed(offer: Offer, seed: bytes, *addresses: str) -> Offer:
    """The offer with the seed if all of these addresses are encrypted, and as it is if one is not."""
    return {**offer, "seed": seed} if all(address.startswith("tls://") for address in addresses) else offer


def assignment_of(offer: Offer, own_seed: bytes | None, homework: Homework | None = None) -> Assignment:
    """What a worker grades by: the offer's rubric, the homework of this machine, and the seed that came or lies here.

    Raises `UsageError` where the class has a secret seed and none is there, and `RubricError` where the homework has not
    the properties that the rubric names.
    """
    homework = homework or load_homework()
    wanted = offer["expected"]["seed"]
    seed = PUBLIC_SEED if wanted == "public" else offer["seed"] or own_seed
    if seed is None:
        raise UsageError(
            "has no seed; start it with --seed-file FILE, or use a tls:// scheduler, over which the seed travels"
        )
    return Assignment(
        parse_rubric(offer["rubric"], known_properties=homework.properties),
        load_template(homework.template, homework.provided_classes),
        seed,
        Limits(**offer["limits"]),
        homework,
        offer["most_cases"],
        offer["shrink_calls"],
        offer["isolation"],
    )


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """What a worker has otherwise than the coordinator, in words."""
    return [
        f"{name} {found.get(name, 'unknown')} (here: {expected.get(name, 'unknown')})"
        for name in dict.fromkeys([*expected, *found])
        if expected.get(name) != found.get(name)
    ]
