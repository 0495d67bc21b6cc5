"""What a submission fails by, in a form that two submissions with the same fault have in common."""

from __future__ import annotations

import builtins
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from grader.text.safe_text import one_line

LONGEST = 160
State = Literal["failed", "unreached"]
"""`unreached` also stands for a property that held but left cases to others."""

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_NUMBER = re.compile(r"(?<![A-Za-z_])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![A-Za-z_])")


class Judged(Protocol):
    """A verdict on a property, as the store keeps it."""

    @builtins.property
    def property(self) -> str:
        """Its property."""

    @builtins.property
    def status(self) -> str:
        """Whether it holds."""

    @builtins.property
    def message(self) -> str:
        """Why it does not."""

    @builtins.property
    def defers_to(self) -> tuple[str, ...]:
        """The properties to which it left cases."""


@dataclass(frozen=True)
class Symptom:
    """How one property fared: its state, and the message without what differs from one example to the next."""

    state: State
    message: str


Symptoms = Mapping[str, Symptom]
"""By property. What passed without a remark is left out."""


def message_class(message: str) -> str:
    """A message without numbers, quoted names and anything past the first sentences: what messages of one kind share.

    `alpha[0, 2] is 0.43, expected 0.41` becomes `alpha[#, #] is #, expected #`. Shapes keep their number of axes.
    """
    text = _NUMBER.sub("#", _QUOTED.sub("'…'", one_line(message)))
    return text[:LONGEST]


def symptoms_of(verdicts: Iterable[Judged], properties: Collection[str] | None = None) -> dict[str, Symptom]:
    """The symptoms among verdicts, of these properties only if some are named."""
    found: dict[str, Symptom] = {}
    for verdict in verdicts:
        if properties is not None and verdict.property not in properties:
            continue
        if verdict.status == "failed":
            found[verdict.property] = Symptom("failed", message_class(verdict.message))
        elif verdict.status == "unreached" or (verdict.status == "passed" and verdict.defers_to):
            found[verdict.property] = Symptom("unreached", message_class(verdict.message))
    return found
