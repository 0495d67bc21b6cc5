"""The calls that a property made for one case, what came back, and which of them made the value that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grader.kernel.remote import Recording, Remote, operand, slot_of

Path = tuple[int | str, ...]
CHANGES = ("load", "mode")
"""Operations that change the object that they name."""
ASKS = frozenset(
    ("new", "let", "call", "call_any", "item", "tensor_of", "attribute", "parameters", "gradients", "parameter_gradients")
)
"""Operations on the student's own objects; others are about stand-ins, which a notebook does not have."""


@dataclass(frozen=True)
class Operation:
    """A call: the slot of its result, what it is, and its arguments, in which a `Remote` is the result of another."""

    slot: int
    name: str
    arguments: tuple[Any, ...]

    @classmethod
    def of(cls, recorded: Sequence[Any]) -> Operation:
        """An operation as a recording holds it."""
        slot, name, *arguments = recorded
        return cls(slot, name, tuple(operand(argument) for argument in arguments))

    @property
    def uses(self) -> set[int]:
        """The slots of the results that it needs."""
        return set(_slots(self.arguments))


@dataclass(frozen=True)
class Found:
    """A value that came back: the slot that holds it, and its place in what lies there."""

    slot: int
    path: Path = ()


@dataclass
class Transcript:
    """All operations of one trial in order, and the values that were asked for with what came back."""

    operations: list[Operation] = field(default_factory=list)
    replies: list[tuple[Any, Any]] = field(default_factory=list)

    def ask(self, recording: Recording, wanted: Any) -> None:
        """Note the operations of a round before they are sent."""
        self.operations += [Operation.of(each) for each in recording.operations]
        self.replies.append((wanted, None))

    def answer(self, answer: Any) -> None:
        """Note what came back."""
        self.replies[-1] = (self.replies[-1][0], answer)

    def source_of(self, value: Any) -> Found | None:
        """Where a tensor or a text came from that a property compared; None if no reply holds it as it is."""
        for wanted, answer in reversed(self.replies):
            for found, came in _values(wanted, answer):
                if _is_same(came, value):
                    return found
        return None

    def asked(self, rounds: int) -> list[Found]:
        """What the last of so many rounds asked for, as far as a notebook can make it, or else the last call that it can.

        Later rounds ask whose fault a violation is.
        """
        replies = self.replies[:rounds] or self.replies
        asked = [Found(slot) for slot in dict.fromkeys(_slots(replies[-1][0]))] if replies else []
        able = [each for each in asked if self.needed_for([each.slot]) is not None]
        if able:
            return able
        calls = [each for each in self.operations if each.name in ("call", "call_any")]
        last = [each for each in calls if self.needed_for([each.slot]) is not None][-1:]
        # The object is shown, too, as what is wrong may be what it consists of.
        return [Found(slot) for each in last for slot in (_target(each), each.slot)]

    def needed_for(self, slots: Sequence[int]) -> list[Operation] | None:
        """The operations that the results in some slots depend on, in order; None if one of them needs a stand-in.

        Weights that are overwritten before they are used are left out.
        """
        by_slot = {operation.slot: operation for operation in self.operations}
        needed: set[int] = set()
        todo = list(slots)
        while todo:
            slot = todo.pop()
            if slot not in needed:
                needed.add(slot)
                todo += by_slot[slot].uses
        last = max(slots, default=0)
        chosen = [
            each
            for each in self.operations
            if each.slot in needed or (each.name in CHANGES and each.slot < last and _target(each) in needed)
        ]
        chosen = [each for place, each in enumerate(chosen) if not _is_overwritten(each, chosen[place + 1 :])]
        return chosen if all(each.name in ASKS or each.name in CHANGES for each in chosen) else None


def _slots(value: Any) -> Iterator[int]:
    if isinstance(value, Remote):
        yield slot_of(value)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _slots(item)
    elif isinstance(value, dict):
        yield from _slots(list(value.values()))


def _target(operation: Operation) -> int:
    return slot_of(operation.arguments[0])


def _is_overwritten(operation: Operation, later: Sequence[Operation]) -> bool:
    """Whether a change is undone by another one before anything uses the object."""
    if operation.name not in CHANGES:
        return False
    for each in later:
        if each.name == operation.name and _target(each) == _target(operation):
            return operation.name == "mode" or set(operation.arguments[1]) <= set(each.arguments[1])
        if each.name not in CHANGES and _target_or_none(each) == _target(operation):
            return False
    return False


def _target_or_none(operation: Operation) -> int | None:
    first = operation.arguments[0] if operation.arguments else None
    return slot_of(first) if isinstance(first, Remote) else None


def _values(wanted: Any, answer: Any) -> Iterator[tuple[Found, Any]]:
    """Each value that came back, with where it lies."""
    if isinstance(wanted, Remote):
        yield from ((Found(slot_of(wanted), path), value) for path, value in _parts(answer))
    elif isinstance(wanted, tuple | list) and isinstance(answer, tuple | list):
        for one, came in zip(wanted, answer):  # noqa: B905  (a list may come back shorter)
            yield from _values(one, came)


def _parts(value: Any, depth: int = 2) -> Iterator[tuple[Path, Any]]:
    yield (), value
    if depth and isinstance(value, tuple | list | dict):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from (((key, *path), inner) for path, inner in _parts(item, depth - 1))


def _is_same(came: Any, value: Any) -> bool:
    """Whether two texts are the same, or two tensors hold the same numbers, of any type, but for axes of one entry."""
    if isinstance(came, str) and isinstance(value, str):
        return came == value
    if not isinstance(came, np.ndarray) or not isinstance(value, np.ndarray):
        return False
    if came.size != value.size or [n for n in came.shape if n != 1] != [n for n in value.shape if n != 1]:
        return False
    one, other = came.astype(np.float64), value.astype(np.float64).reshape(came.shape)
    return bool(np.array_equal(one, other, equal_nan=True))
