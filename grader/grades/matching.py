"""Finds the students of a class in a list that a platform exported: by identifiers, and by name only where that is certain."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from grader.batch.roster import plain_name, spellings
from grader.grades.students import Student


@dataclass(frozen=True)
class Column:
    """A column of identifiers. Numbers that mean something on one platform only name it."""

    title: str
    platform: str = ""


@dataclass(frozen=True)
class Listed:
    """A student in a platform's list: the record's number, the line in the file, and an identifier for each column."""

    record: int
    line: int
    name: str
    ids: tuple[str, ...]

    @property
    def shown(self) -> str:
        """Name, first identifier and line, to find the row by."""
        known = next(filter(None, self.ids), "")
        return f"{self.name or known}{f' ({known})' if self.name and known else ''}, line {self.line}"


@dataclass(frozen=True)
class Matches:
    """Who is who.

    Args:
        found: rows of the list by the keys of the students.
        missing: why a student is in no row, by key.
        strange: rows that are no student's.
    """

    found: Mapping[str, Listed] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    strange: tuple[Listed, ...] = ()


def match(students: Mapping[str, Student], rows: Sequence[Listed], columns: Sequence[Column]) -> Matches:
    """Match students with rows. Columns are tried in order; what could be a coincidence counts only if the names agree."""
    return _Matching(students, rows, columns).result()


def names_agree(one: str, other: str) -> bool:
    """Whether two names can be the same person's: in another order, without accents, with a name more or less."""
    if spellings(one) & spellings(other) - {""}:
        return True
    words, others = _words(one), _words(other)
    return bool(words and others) and (words <= others or others <= words)


def _words(name: str) -> set[str]:
    return {plain_name(word) for word in re.split(r"[\s,]+", name)} - {""}


def _kinds(student: Student) -> dict[str, frozenset[str]]:
    """A student's identifiers by kind, as they are compared."""
    kinds = {
        "sid": (student.sid,),
        "login": (student.login,),
        "email": (student.email,),
        "listed": student.ids,
        "mailbox": (student.email.partition("@")[0],),
    }
    return {kind: frozenset(map(_folded, values)) - {""} for kind, values in kinds.items()}


def _folded(identifier: str) -> str:
    return identifier.strip().casefold()


def _without_zeros(identifier: str) -> str:
    return identifier.lstrip("0") if identifier.isdigit() else identifier


class _Matching:
    def __init__(
        self, students: Mapping[str, Student], rows: Sequence[Listed], columns: Sequence[Column]
    ) -> None:
        self.students, self.rows, self.columns = students, rows, columns
        self.by_value: list[dict[str, list[Listed]]] = [{} for _ in columns]
        for row in rows:
            for values, identifier in zip(self.by_value, row.ids, strict=True):
                if identifier.strip():
                    values.setdefault(_folded(identifier), []).append(row)
        self.missing: dict[str, str] = {}
        self.links: Counter[tuple[str, int]] = Counter()

    def result(self) -> Matches:
        """Match by identifiers first, then by name."""
        found = self._once_each({key: row for key, one in self.students.items() if (row := self._by_id(key, one))})
        linked = {link for link, count in self.links.items() if 2 * count >= len(found)}
        for key, row in self._by_name(found, linked).items():
            found[key] = row
            self.missing.pop(key, None)
        for key in self.students:
            if key not in found:
                self.missing.setdefault(key, "no row has such an id or name")
        taken = {row.record for row in found.values()}
        strange = tuple(row for row in self.rows if row.record not in taken)
        return Matches(found, {key: self.missing[key] for key in self.students if key in self.missing}, strange)

    def _by_id(self, key: str, student: Student) -> Listed | None:
        """The row that a student's identifiers name."""
        kinds = _kinds(student)
        for number, column in enumerate(self.columns):
            hits: dict[int, Listed] = {}
            for kind, values in kinds.items():
                is_weak = kind == "mailbox" or column.platform not in ("", student.platform)
                for value in values:
                    same = self.by_value[number].get(value, ())
                    hits |= {row.record: row for row in same if not is_weak or names_agree(student.name, row.name)}
            if len(hits) > 1:
                agreeing = {record: row for record, row in hits.items() if names_agree(student.name, row.name)}
                hits = agreeing or hits
            if len(hits) == 1:
                row = next(iter(hits.values()))
                self.links.update(
                    (kind, number) for kind, values in kinds.items() if _folded(row.ids[number]) in values
                )
                return row
            if hits:
                self.missing[key] = f"{len(hits)} rows have the same {column.title}: {_lines(hits.values())}"
        return None

    def _once_each(self, found: dict[str, Listed]) -> dict[str, Listed]:
        """What was found, without rows that several students claim."""
        claims: dict[int, list[str]] = {}
        for key, row in found.items():
            claims.setdefault(row.record, []).append(key)
        for keys in claims.values():
            if len(keys) > 1:
                for key in keys:
                    row = found.pop(key)
                    others = ", ".join(other for other in keys if other != key)
                    self.missing[key] = f"line {row.line} is {others}'s as well"
        return found

    def _by_name(self, found: Mapping[str, Listed], linked: Iterable[tuple[str, int]]) -> dict[str, Listed]:
        """Rows of students whose name nobody else has, in the class or in the list."""
        taken = {row.record for row in found.values()}
        rows: dict[str, list[Listed]] = {}
        for row in self.rows:
            for spelling in spellings(row.name) - {""}:
                rows.setdefault(spelling, []).append(row)
        often = Counter(spelling for student in self.students.values() for spelling in spellings(student.name))
        by_name: dict[str, Listed] = {}
        for key, student in self.students.items():
            if key in found or key in self.missing:
                continue
            own = spellings(student.name) - {""}
            same = {row.record: row for spelling in own for row in rows.get(spelling, ())}
            if len(same) > 1 or (same and any(often[spelling] > 1 for spelling in own)):
                self.missing[key] = f"the name is not unique: {_lines(same.values())}"
            elif same:
                row = next(iter(same.values()))
                if row.record in taken:
                    continue
                if differing := self._differing(student, row, linked):
                    self.missing[key] = f"line {row.line} has the same name, but another {differing}"
                else:
                    by_name[key] = row
        return self._once_each(by_name)

    def _differing(self, student: Student, row: Listed, linked: Iterable[tuple[str, int]]) -> str:
        """The column that says that a row is somebody else's; nothing if none does."""
        kinds = _kinds(student)
        for kind, number in sorted(linked):
            own = {_without_zeros(value) for value in kinds[kind]}
            theirs = _without_zeros(_folded(row.ids[number]))
            if kind != "mailbox" and own and theirs and theirs not in own:
                return self.columns[number].title
        return ""


def _lines(rows: Iterable[Listed]) -> str:
    return "line " + ", ".join(str(line) for line in sorted(row.line for row in rows))
