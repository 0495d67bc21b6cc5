"""What the grades in a class's folder depend on, so that no later command changes them unasked."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from grader import __version__
from grader.assignment import Assignment
from grader.errors import UsageError
from grader.text.safe_text import one_line

CHANGES = ("rubric", "seed", "homework", "grader", "timeout", "data", "students")
"""What `--change` takes."""
TIMEOUT = 900.0
TRAINING = "auto"


class Settings(BaseModel):
    """What a class was graded with. Digests are 16 hex digits; the seed itself is kept nowhere."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    rubric: str
    seed: str
    seed_kind: str
    homework: str
    homework_source: str = ""
    """What the homework was loaded from."""
    grader: str
    limits: str
    timeout: float
    data: str = ""
    training: str = TRAINING
    evidence_seconds: float = 0.0


class Difference(NamedTuple):
    """One of `CHANGES`, with what it was and what it would be."""

    name: str
    before: str
    after: str


def digest(data: bytes) -> str:
    """16 hex digits."""
    return hashlib.sha256(data).hexdigest()[:16]


def seed_digest(seed: bytes) -> str:
    """What tells a seed from others; the seed cannot be found from it."""
    return digest(hashlib.sha256(b"hw3 memory/" + seed).digest())


def settings_of(
    assignment: Assignment,
    code: bytes,
    homework: bytes,
    *,
    data: Path | None = None,
    training: str = TRAINING,
    evidence_seconds: float = 0.0,
) -> Settings:
    """What a batch is about to grade with; ``code`` and ``homework`` stand for what the grader and the homework are."""
    limits = (assignment.limits, assignment.most_cases, assignment.shrink_calls)
    return Settings(
        rubric=assignment.rubric.digest[:16],
        seed=seed_digest(assignment.seed),
        seed_kind=assignment.seed_kind,
        homework=digest(homework),
        homework_source=assignment.homework.source,
        grader=f"{__version__} {digest(code)}",
        limits=digest(repr(limits).encode()),
        timeout=assignment.limits.total,
        data=str(data.resolve()) if data else "",
        training=training,
        evidence_seconds=evidence_seconds,
    )


def differences(before: Settings, after: Settings, *, trained: bool) -> list[Difference]:
    """What would change grades. Other data matter only once somebody was ``trained``."""
    found = []
    if before.rubric != after.rubric:
        found.append(Difference("rubric", before.rubric[:8], after.rubric[:8]))
    if before.seed != after.seed:
        found.append(Difference("seed", _seed(before), _seed(after)))
    if before.homework != after.homework:
        found.append(Difference("homework", before.homework[:8], after.homework[:8]))
    if before.grader != after.grader:
        found.append(Difference("grader", before.grader[:-8], after.grader[:-8]))
    if before.limits != after.limits:
        found.append(Difference("timeout", f"{before.timeout:g} s", f"{after.timeout:g} s"))
    if trained and before.data and after.data and before.data != after.data:
        found.append(Difference("data", before.data, after.data))
    return found


def refuse_differences(folder: Path, found: Sequence[Difference], allowed: Collection[str]) -> None:
    """Raise `UsageError` for differences that nobody asked for; the message shows them and how to go on."""
    unasked = [one for one in found if one.name not in allowed]
    if not unasked:
        return
    shown = "; ".join(f"{one.name} {one.before} (this command: {one.after})" for one in unasked)
    flags = " ".join(f"--change {one.name}" for one in unasked)
    hints = [hint for name, hint in _HINTS.items() if any(one.name == name for one in unasked)]
    raise UsageError(
        f"{one_line(str(folder))} was graded with {one_line(shown, 600)}. To keep its grades, {'; '.join(hints)}. "
        f"To change them on purpose, add {flags}"
    )


_HINTS = {
    "rubric": "leave out --rubric (see who would change: grader rescore DIR --rubric FILE)",
    "seed": "give the same --seed-file as before",
    "homework": "use the grader with the homework it was graded with",
    "grader": "use the version of the grader that graded it",
    "timeout": "leave out --timeout",
    "data": "leave out --data",
}


def refuse_lost_students(folder: Path, gone: Sequence[str], allowed: Collection[str]) -> None:
    """Raise `UsageError` where students of the class are not among other submissions than before."""
    if not gone or "students" in allowed:
        return
    shown = ", ".join(gone[:5]) + (f" and {len(gone) - 5} more" if len(gone) > 5 else "")
    raise UsageError(
        f"{one_line(str(folder))} holds {len(gone)} {'student who is' if len(gone) == 1 else 'students who are'} not in "
        f"these submissions ({one_line(shown)}) and would lose their rows. Name all submissions of the class, or use "
        "another folder. To remove them on purpose, add --change students"
    )


def _seed(settings: Settings) -> str:
    return "public" if settings.seed_kind == "public" else f"secret {settings.seed[:8]}"


__all__ = [
    "CHANGES",
    "TIMEOUT",
    "TRAINING",
    "Difference",
    "Settings",
    "differences",
    "refuse_differences",
    "refuse_lost_students",
    "seed_digest",
    "settings_of",
]
