"""What a submission fails by, in a form that two submissions with the same fault have in common."""

from __future__ import annotations

import ast
import builtins
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

from grader.text.safe_text import one_line

LONGEST = 160
State = Literal["failed", "unreached"]
"""`unreached` also stands for a property that held but left cases to others."""

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_DIGITS = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
_NUMBER = re.compile(rf"(?<![A-Za-z_]){_DIGITS}(?![A-Za-z_])")
_VALUES = re.compile(rf"is ({_DIGITS}), expected ({_DIGITS})\b")
_COUNTS = re.compile(r"expected (\d+)\b.*\bbut \D*(\d+)$")
_SHAPES = re.compile(r"has shape (\([\d, ]*\)).*?(?:expected|but) (?:\([A-Z]\w*(?:, \w+)*\) = )?(\([\d, ]*\))")
_NAMED = re.compile(r"(\w+)\W{1,3}(\d+)\b")
_PLACES = re.compile(r"\d+(?:, \d+)*(?:, \.\.\. \(\d+ in all\))?")
_CLOSE = 2e-3
_LARGEST_EXPONENT = 50.0


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
    def counterexample(self) -> str | None:
        """The smallest failing case."""

    @builtins.property
    def defers_to(self) -> tuple[str, ...]:
        """The properties to which it left cases."""


@dataclass(frozen=True)
class Symptom:
    """How one property fared.

    Args:
        state: whether it failed.
        message: why, without what differs from one example to the next.
        relation: how what the message says was got compares with what was expected; empty where that tells nothing.
    """

    state: State
    message: str
    relation: str = ""


Symptoms = Mapping[str, Symptom]
"""By property. What passed without a remark is left out."""


def message_class(message: str) -> str:
    """A message without numbers, quoted names and anything past the first sentences: what messages of one kind share.

    `alpha[0, 2] is 0.43, expected 0.41` becomes `alpha[#, #] is #, expected #`. Shapes keep their number of axes.
    """
    text = _NUMBER.sub("#", _QUOTED.sub("'…'", one_line(message)))
    return text[:LONGEST]


def relation_of(message: str, counterexample: str | None = None) -> str:
    """How what was got compares with what was expected, where that is no accident of the example: `a multiple`, `reordered`."""
    found = (_of_message(one_line(message)), *_of_counterexample(counterexample or ""))
    return "; ".join(filter(None, found))


def _of_message(text: str) -> str:
    if (values := _VALUES.search(text)) is not None:
        return _of_values(float(values[1]), float(values[2]))
    if (shapes := _SHAPES.search(text)) is not None:
        return _of_shapes(*(tuple(map(int, _NUMBER.findall(shape))) for shape in shapes.groups()))
    if (counts := _COUNTS.search(text)) is not None:
        wanted, found = map(int, counts.groups())
        return "fewer" if found < wanted else "more" if found > wanted else ""
    got, _, wanted_text = text.partition(", expected ")
    wanted_named = dict(_NAMED.findall(wanted_text))
    differing = [name for name, value in _NAMED.findall(got) if wanted_named.get(name, value) != value]
    return " ".join(differing)


def _of_values(got: float, wanted: float) -> str:
    """Only what is exact counts: of two numbers one is larger by accident."""
    if abs(got) < _CLOSE < abs(wanted):
        return "zero"
    if min(abs(got), abs(wanted)) < _CLOSE:
        return ""
    if abs(wanted) < _LARGEST_EXPONENT and abs(got / math.exp(wanted) - 1) < _CLOSE:
        return "the exponential"
    ratio = got / wanted
    if abs(ratio + 1) < _CLOSE:
        return "the negative"
    for name, value in (("a multiple", ratio), ("a fraction", 1 / ratio)):
        if value > 1.5 and abs(value - round(value)) < _CLOSE * value:
            return name
    return ""


def _of_shapes(got: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if len(got) != len(wanted):
        extra = [size for size in got if size != 1] == [size for size in wanted if size != 1]
        return "an axis of 1" if extra else ""
    if sorted(got) == sorted(wanted):
        return "axes in another order"
    return "axes " + " ".join(
        f"{place} {'more' if one > other else 'less'}"
        for place, (one, other) in enumerate(zip(got, wanted, strict=True))
        if one != other
    )


def _of_counterexample(text: str) -> Iterator[str]:
    """How the lists compare that a counterexample shows, and whether what changes is one thing or several."""
    lines = [(label, value) for label, equal, value in (line.partition(" = ") for line in text.splitlines()) if equal]
    for (label, value), (following, expected) in pairwise(lines):
        if label.startswith("your ") and following.startswith("expected"):
            got, wanted = _items(value), _items(expected)
            if got is not None and wanted is not None:
                yield _of_lists(got, wanted)
    for label, value in lines:
        if " " in label and "," not in label and _PLACES.fullmatch(value):  # a phrase, and no list of sizes
            yield f"{label}: {'several' if ',' in value else 'one'}"


def _items(text: str) -> list[str] | None:
    """The items of a list of texts or numbers, each as text; None of anything else."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    flat = isinstance(value, list) and all(isinstance(item, str | int | float) for item in value)
    return [str(item) for item in value] if flat else None


def _of_lists(got: list[str], wanted: list[str]) -> str:
    if got != wanted and sorted(got) == sorted(wanted):
        return "reordered"
    if got == wanted[: len(got)]:
        return "cut off"
    if got == list(dict.fromkeys(wanted)):
        return "repetitions left out"
    if _is_within(got, wanted):
        return "items left out"
    if _is_within(wanted, got):
        return "items put in"
    return "as many" if len(got) == len(wanted) else "fewer" if len(got) < len(wanted) else "more"


def _is_within(some: list[str], items: list[str]) -> bool:
    """Whether some items are among others, in their order."""
    left = iter(items)
    return all(item in left for item in some)


def symptoms_of(verdicts: Iterable[Judged], properties: Collection[str] | None = None) -> dict[str, Symptom]:
    """The symptoms among verdicts, of these properties only if some are named."""
    found: dict[str, Symptom] = {}
    for verdict in verdicts:
        if properties is not None and verdict.property not in properties:
            continue
        if verdict.status == "failed":
            relation = relation_of(verdict.message, verdict.counterexample)
            found[verdict.property] = Symptom("failed", message_class(verdict.message), relation)
        elif verdict.status == "unreached" or (verdict.status == "passed" and verdict.defers_to):
            found[verdict.property] = Symptom("unreached", message_class(verdict.message))
    return found
