"""Chooses which of several notebooks is graded, and says why.

The one with most of the homework is graded. If several hold as much, it is the one that was handed in or changed last, and
then the one whose name is most like the template's.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

SAME_TIME = 60.0
"""Files that changed within so many seconds count as changed together: copying or unpacking them takes time."""

_DRAFT = re.compile(r"copy|draft|backup|\bold\b|scratch|untitled|\btmp\b|\btemp\b|autosave|checkpoint", re.I)
_VERSION = re.compile(
    r"(?:\s*\((?P<browser>\d{1,3})\)|[-_ ]v?(?P<dash>\d{1,3})|[-_ ]?v(?P<v>\d{1,3}))$", re.I
)
_ATTEMPT = re.compile(r"(?:attempt|submission|version|upload|try|rev|revision)[-_ #]*(\d{1,6})", re.I)
_DATED = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:[T_ -]+(\d\d)[-:.]?(\d\d)(?:[-:.]?(\d\d))?)?")


@dataclass
class Candidate:
    """A file that may be the notebook."""

    name: str
    modified: float
    attempt: tuple[int, ...]
    order: int
    digest: str
    path: Path | None = None
    data: bytes | None = None
    defined: frozenset[str] = frozenset()
    """Required classes that it defines."""
    worked: int = -1
    """Required classes that differ from the template's; -1 where it is no notebook that can be read."""
    is_homework: bool = False
    is_measured: bool = False


def best_of(seen: Sequence[Candidate], wanted: str) -> tuple[Candidate, str, list[Candidate]]:
    """The notebook to grade, why it is that one, and others of the same content."""
    by_content: dict[str, list[Candidate]] = {}
    for one in seen:
        by_content.setdefault(one.digest, []).append(one)
    distinct = []
    for alike in by_content.values():
        first = min(alike, key=lambda one: _name_rank(one.name, wanted))
        # The same content was handed in as late as its latest copy.
        first.modified = max(one.modified for one in alike)
        first.attempt = max((one.attempt for one in alike), key=_padded)
        first.order = max(one.order for one in alike)
        distinct.append(first)
    pool, why = distinct, ""
    for reason, keep in _preferences(wanted):
        before, pool = len(pool), keep(pool)
        if len(pool) < before:
            why = reason
    best = min(pool, key=lambda one: _name_rank(one.name, wanted))
    return best, why or "it is the first by name", [one for one in by_content[best.digest] if one is not best]


def _with_most(key: Callable[[Candidate], Any]) -> Callable[[list[Candidate]], list[Candidate]]:
    def keep(pool: list[Candidate]) -> list[Candidate]:
        most = max(map(key, pool))
        return [one for one in pool if key(one) == most]

    return keep


def _changed_last(pool: list[Candidate]) -> list[Candidate]:
    latest = max(one.modified for one in pool)
    return [one for one in pool if one.modified >= latest - SAME_TIME]


def _newest_versions(pool: list[Candidate]) -> list[Candidate]:
    """Without those of which another has the same name with a higher number: ``hw3 (1).ipynb``, ``hw3-2.ipynb``."""
    newest: dict[str, int] = {}
    for one in pool:
        base, number = _versioned(one.name)
        newest[base] = max(newest.get(base, 0), number)
    return [one for one in pool if _versioned(one.name)[1] == newest[_versioned(one.name)[0]]]


def _preferences(wanted: str) -> tuple[tuple[str, Callable[[list[Candidate]], list[Candidate]]], ...]:
    """Why one of several notebooks is graded, the stronger reason first; ``wanted`` is the template's name."""
    by_name = f"its name is the most like {wanted}"
    return (
        ("it is the one that can be read as a notebook", _with_most(lambda one: one.worked >= 0)),
        ("it is the one of this homework", _with_most(lambda one: one.is_homework)),
        ("it was handed in last", _with_most(lambda one: _padded(one.attempt))),
        ("it contains the most of this homework", _with_most(lambda one: one.worked)),
        ("it was changed last", _changed_last),
        ("its number is the highest", _newest_versions),
        (by_name, _with_most(lambda one: [-number for number in _name_rank(one.name, wanted)[:2]])),
        ("it was uploaded last", _with_most(lambda one: one.order)),
        (by_name, _with_most(lambda one: -_name_rank(one.name, wanted)[2])),
    )


def _versioned(name: str) -> tuple[str, int]:
    """A file's name without the number that a browser, Canvas or a student puts at its end, and that number."""
    stem = _stem(name)
    match = _VERSION.search(stem)
    if match is None or match.start() == 0:
        return stem, 0
    return stem[: match.start()], int(next(filter(None, match.groups())))


def _stem(name: str) -> str:
    return re.sub(
        r"(\.(ipynb|txt|json|download|part))+$", "", PurePosixPath(name).name, flags=re.I
    ).casefold()


def _name_rank(name: str, wanted: str) -> tuple[int, int, int, int, int, str]:
    """The smaller, the more the name is the template's."""
    name_wanted = _letters(_stem(wanted))
    stem = _versioned(name)[0]
    plain = _letters(stem)
    ratio = difflib.SequenceMatcher(None, plain[:80], name_wanted, autojunk=False).ratio()
    return (
        int(bool(_DRAFT.search(stem))),
        int(name_wanted not in (plain, _letters(_stem(name)))),
        -round(20 * ratio),
        int(not name.lower().endswith(".ipynb")),
        name.count("/"),
        name,
    )


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


def attempt_of(name: str) -> tuple[int, ...]:
    """When a file was handed in, as the folders say in which it lies: ``attempt_2/``, ``2025-10-01 12.00/``."""
    for part in PurePosixPath(name).parts[:-1]:
        if dated := _DATED.search(part):
            return tuple(int(number or 0) for number in dated.groups())
        if numbered := _ATTEMPT.search(part):
            return (int(numbered[1]),)
    return ()


def _padded(attempt: tuple[int, ...]) -> tuple[int, ...]:
    return (*attempt, *[0] * (16 - len(attempt)))
