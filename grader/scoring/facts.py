"""Collects what a result says beside its items: versions, warnings, flags, cells and isolation."""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

from grader import __version__
from grader.assignment import Assignment
from grader.kernel import confinement
from grader.kernel.session import Session
from grader.scoring.compose import Facts, rubric_version
from grader.scoring.excerpts import excerpts
from grader.scoring.remarks import cell_of, definition_flags, loss_flags
from grader.scoring.result import Flag, Isolation, Versions
from grader.scoring.rubric import Rubric
from grader.scoring.verdict import Verdict
from grader.submission.definitions import Definition
from grader.submission.planning import Plan
from grader.submission.reading import Submission
from grader.submission.template import altered_provided
from grader.tokenizer_data import tokenizer_data_hash

PUBLIC_SEED_WARNING = "graded with the public seed, so students can predict the test cases; for a class, pass --seed-file"


@dataclass(frozen=True)
class Run:
    """A submission whose cells have run."""

    submission: Submission
    plan: Plan
    session: Session
    definitions: Mapping[str, Sequence[Definition]]


def facts_of_unjudged(name: str, assignment: Assignment, error: str, seconds: Mapping[str, float]) -> Facts:
    """The facts of a submission that could not be judged, for the reason that ``error`` gives."""
    return Facts(
        name,
        versions(assignment.rubric),
        error,
        warnings=tuple(_warnings(assignment)),
        seed=assignment.seed_kind,
        tokenizer_data=tokenizer_data_hash(),
        seconds=seconds,
    )


def facts_of_run(
    run: Run, assignment: Assignment, verdicts: Mapping[str, Verdict], seconds: Mapping[str, float]
) -> Facts:
    """The facts of a submission whose cells have run."""
    session, submission = run.session, run.submission
    warnings = [*submission.warnings, *_warnings(assignment)]
    if assignment.least_isolation is not None and (weak := confinement.weaknesses()):
        warnings.append(f"graded at isolation level {confinement.probe().level}, below strong: {weak}")
    return Facts(
        submission.name,
        versions(assignment.rubric),
        warnings=(*warnings, *session.warnings),
        flags=tuple(_flags(run, assignment, verdicts)),
        cells=tuple(cell_of(outcome) for outcome in session.outcomes),
        code=tuple(excerpts(submission, run.definitions, assignment.properties, verdicts.values())),
        isolation=tuple(Isolation(**row) for row in confinement.describe(session.layers)),
        seed=assignment.seed_kind,
        tokenizer_data=tokenizer_data_hash(),
        seconds=seconds,
    )


def _warnings(assignment: Assignment) -> Iterator[str]:
    if assignment.seed_kind == "public":
        yield PUBLIC_SEED_WARNING


def _flags(run: Run, assignment: Assignment, verdicts: Mapping[str, Verdict]) -> Iterator[Flag]:
    """What a person should look at; it costs no points by itself."""
    for found in altered_provided(run.submission, assignment.template):
        message = f"{found.name} differs from the template's, which is used"
        yield Flag(kind="provided code altered", message=message, cell=found.number)
    for used in run.plan.from_scratch_flags:
        yield Flag(kind="not from scratch?", message=f"uses {used.name}", cell=used.number, line=used.line)
    yield from definition_flags(run.definitions, assignment.properties)
    session = run.session
    yield from loss_flags(run.plan, session.outcomes, session.missing, verdicts, assignment.rubric)


def versions(rubric: Rubric) -> Versions:
    """The versions of the grader, its libraries and the rubric."""
    return Versions(
        grader=__version__,
        rubric=rubric_version(rubric),
        python=platform.python_version(),
        torch=_version_of("torch"),
        hypothesis=_version_of("hypothesis"),
        nltk=_version_of("nltk"),
    )


@functools.cache
def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
