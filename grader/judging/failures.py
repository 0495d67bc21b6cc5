"""Says what the cases of a property came to: held, failed, or compared too little."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

from grader.errors import HostError, KernelError
from grader.judging.children import Kernel
from grader.judging.expect import Violation
from grader.kernel.remote import BadReply, NoReply, PropertyChannel, ReplyTimedOut, StudentError
from grader.scoring.pictures import Picture
from grader.scoring.record import CodeLine

GRADERS_OWN = (OSError, KernelError, HostError, ImportError)
"""Exceptions that count as the grader's own even after a reply arrived. Any other exception then counts as the submission's.

Otherwise a submission could turn each of its failures into a grader's error, whose points are pending until a person looks.
"""
NOTHING_COMPARED = "your code returned nothing that this property could compare"


@dataclass(frozen=True)
class Explanation:
    """What a report shows of a counterexample beside its text: pictures, and code that reproduces it."""

    pictures: tuple[Picture, ...] = ()
    snippet: str = ""


NOTHING = Explanation()


@dataclass(frozen=True)
class Failure:
    """Why a property does not hold for one case."""

    kind: str
    message: str
    shown: tuple[tuple[str, str], ...] = ()
    places: tuple[CodeLine, ...] = ()
    """Where in the notebook an exception passed."""
    explanation: Explanation = NOTHING


@dataclass(frozen=True)
class Unreached:
    """Why a property did not compare all of its cases, and which properties must find the fault that kept it from more.

    ``enough`` says whether it compared most of them nevertheless.
    """

    reasons: tuple[str, ...]
    to: tuple[str, ...]
    enough: bool = False


@dataclass(frozen=True)
class Outcome:
    """What all cases of a property came to: the first failure with its case's number, or how too little was compared."""

    failure: tuple[int, Failure] | None = None
    unreached: Unreached | None = None

    @property
    def is_held(self) -> bool:
        """Whether no case failed and enough of them compared something."""
        return self.failure is None and (self.unreached is None or self.unreached.enough)


def uninterpretable(error: Exception) -> str:
    """The message for a reply that a property stumbled over."""
    text = f"{type(error).__name__}: {error}"[:300]
    return f"your code returned a value the grader cannot interpret ({text})"


def silence_of(channel: PropertyChannel, error: NoReply, kernel: Kernel) -> Failure:
    """What it means that a child gave no answer."""
    if isinstance(error, ReplyTimedOut):
        if (spent := kernel.time_is_up()) is not None:
            return Failure("timeout", f"{spent} while this was judged")
        return Failure("timeout", f"no answer within {kernel.limits.property:.0f} s, so it was stopped")
    if isinstance(error, BadReply):
        return Failure("unreadable", f"your code returned a value the grader cannot read: {error}")
    status = kernel.reap(channel, kill=False)
    if status is not None and status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
        return Failure("died", f"the Python process died of {name} while this was judged")
    if status == 0:
        return Failure("died", "the Python process ended (exit) while this was judged")
    return Failure("died", f"the Python process gave no answer while this was judged ({error})")


def failure_of(error: Violation | StudentError, case: Any, kernel: Kernel) -> Failure:
    """A comparison that did not hold, or an exception of the student's code, as a failure of a case."""
    inputs = case.shown()
    if isinstance(error, Violation):
        return Failure("violation", error.message, tuple({**inputs, **error.shown}.items()))
    if error.type_name == "NotDefined":
        return Failure("undefined", error.message)
    if error.type_name == "Unfit":
        return Failure("violation", error.message, tuple(inputs.items()))
    message = f"your code raised {error}"
    if error.places and error.places[-1].cell == 0:
        message = f"the provided `{error.places[-1].function}`, run with your class, raised {error}"
    shown = dict(inputs)
    lines = []
    for place in error.places[-3:]:
        if place.cell == 0:
            shown[f"provided code, in {place.function}"] = place.text
            continue
        number = kernel.cell_number(place.cell)
        if number > 0 and place.line > 0:
            lines.append(CodeLine(cell=number, line=place.line))
        shown[f"{kernel.cell_name(number)}, line {place.line}, in {place.function}"] = place.text
    return Failure(f"raised {error.type_name}", message, tuple(shown.items()), tuple(lines))
