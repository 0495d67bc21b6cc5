"""The people of a class and the files that they handed in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from grader.submission.handin import Handed


@dataclass(frozen=True)
class Person:
    """Who gets a row. ``identity`` stays the same, whoever else hands in; ``key`` is what the row would like to be called."""

    identity: str
    key: str
    name: str
    id: str
    email: str = ""
    roster: str = ""
    """The identity in the roster, under which the row stays if nothing was handed in before or later."""
    note: str = ""


@dataclass(frozen=True)
class Group:
    """What one student or one group handed in."""

    people: tuple[Person, ...]
    files: tuple[Handed, ...] = ()
    folder: Path | None = None
    late: bool = False
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """Of the group."""
        return "+".join(person.identity for person in self.people)


@dataclass(frozen=True)
class Found:
    """A class, and files of it that are nobody's."""

    groups: tuple[Group, ...] = ()
    strange: tuple[str, ...] = ()
    layout: str = ""
    """Empty where the names say no more than who handed in."""
