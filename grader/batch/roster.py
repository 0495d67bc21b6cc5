"""Who is in a class, by a roster: a CSV file such as learning platforms export, with a line for each student.

Columns are found by their names, in any order: a name (or first and last name), ids, an e-mail address, a group. A roster adds
names and addresses to rows, gives a row to everyone who handed in nothing, and to each member of a group whose work
bears the group's name.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grader.batch.people import Group, Person
from grader.errors import UsageError
from grader.text.safe_text import one_line

ROSTER = "roster.csv"
"""In the folder of a batch."""
MAX_BYTES = 8 << 20
_COLUMNS = {
    "name": ("name", "fullname", "student", "studentname", "displayname"),
    "last": ("lastname", "surname", "familyname"),
    "first": ("firstname", "givenname"),
    "email": ("email", "emailaddress", "mail", "studentemail"),
    "group": ("group", "groupname", "team", "teamname", "groups"),
    "login": ("sisloginid", "loginid", "login", "username"),
    "section": ("section", "sections", "sectionname"),
    "id": (
        *(
            "id",
            "sid",
            "studentid",
            "canvasuserid",
            "userid",
            "sisuserid",
            "sisid",
            "idnumber",
            "identifier",
            "orgdefinedid",
        ),
        *("username", "login", "loginid", "sisloginid", "participantid", "matriculationnumber"),
    ),
}
_NO_STUDENT = ("points possible", "student, test", "test student")


@dataclass(frozen=True)
class Student:
    """A line of a roster; ``ids`` are all that the platform knows the student by, the first of them is shown."""

    name: str
    ids: tuple[str, ...] = ()
    email: str = ""
    group: str = ""
    login: str = ""
    section: str = ""

    @property
    def identity(self) -> str:
        """Whose row it is where nothing was handed in."""
        return f"roster:{next(iter(self.ids), '') or self.email.casefold() or self.name}"

    @property
    def person(self) -> Person:
        """The row of who handed in nothing."""
        known = next(iter(self.ids), "")
        name = self.name or self.email or known
        return Person(self.identity, "_".join(filter(None, (name, known))), name, known, self.email)


def load_roster(path: Path) -> tuple[tuple[Student, ...], str]:
    """The students of a CSV file, and its text; raises `UsageError`."""
    name = one_line(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{name}: cannot be read ({reason})") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{name}: is larger than {MAX_BYTES >> 20} MB")
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")  # Excel's, in many countries
    return read_roster(text, name), text


def read_roster(text: str, name: str) -> tuple[Student, ...]:
    """The students of a CSV text; raises `UsageError` for what is none, or has no column that names students."""
    first = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        header, *rows = [line for line in lines if any(cell.strip() for cell in line)] or [[]]
    except csv.Error as error:
        raise UsageError(f"{name}: is not a CSV file ({one_line(str(error))})") from None
    columns = _columns(header)
    if not columns.keys() & {"name", "last", "id", "email"}:
        raise UsageError(
            f"{name}: line 1 has no column for students; add one called name, id or email"
        )
    found: dict[str, Student] = {}
    for row in rows:
        student = _student(
            {kind: [_cell(row, place) for place in places] for kind, places in columns.items()}
        )
        if student is not None:
            found.setdefault(student.identity, student)
    if not found:
        raise UsageError(f"{name}: lists no students")
    return tuple(found.values())


def _columns(header: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for kind, names in _COLUMNS.items():
        plain = [re.sub(r"[\W_]", "", cell.casefold()) for cell in header]
        places = [plain.index(name) for name in names if name in plain]
        if places:
            found[kind] = places if kind == "id" else places[:1]
    return found


def _cell(row: Sequence[str], place: int) -> str:
    return one_line(row[place].strip()[:300]) if place < len(row) else ""


def _student(cells: Mapping[str, Sequence[str]]) -> Student | None:
    def one(kind: str) -> str:
        return next(iter(cells.get(kind, ())), "")

    name = one("name") or " ".join(filter(None, (one("first"), one("last"))))
    # Moodle writes "Participant 123" where its files have 123.
    ids = dict.fromkeys(re.sub(r"^Participant (?=\d+$)", "", cell) for cell in cells.get("id", ()))
    known = tuple(cell for cell in ids if cell)
    if is_no_student(name) or not (name or known or one("email")):
        return None
    return Student(name, known, one("email"), one("group"), one("login"), one("section"))


def is_no_student(name: str) -> bool:
    """Whether a platform lists something other than a student by this name."""
    return name.casefold().strip() in _NO_STUDENT


def with_roster(groups: Iterable[Group], roster: Sequence[Student]) -> list[Group]:
    """The groups with the names and addresses of a roster, a row for everyone in it, and a note for who is not in it."""
    index = Index(roster)
    there: set[str] = set()
    found = []
    for group in groups:
        people: list[Person] = []
        for person in group.people:
            student = index.student(person)
            members = index.members(person)
            if members and (student is None or student in members):
                # Canvas gives a group's work the group's name, and the id of one of its members.
                people += [member.person for member in members]
            elif student is not None and student.identity not in there:
                there.add(student.identity)
                people.append(
                    replace(
                        person,
                        name=student.name or person.name,
                        email=person.email or student.email,
                        roster=student.identity,
                    )
                )
            else:
                people.append(person if student is not None else replace(person, note="not in the roster"))
        found.append(replace(group, people=tuple(people)))
    # Whoever handed in alone has no second row in a group.
    kept = [
        replace(group, people=tuple(person for person in group.people if person.identity not in there))
        for group in found
    ]
    there |= {person.identity for group in kept for person in group.people}
    absent = [Group((student.person,)) for student in roster if student.identity not in there]
    return [*(group for group in kept if group.people), *absent]


class Index:
    """Finds students by what a platform calls them."""

    def __init__(self, roster: Sequence[Student]) -> None:
        self.by: dict[str, list[Student]] = {}
        self.groups: dict[str, list[Student]] = {}
        for student in roster:
            keys = {
                *map(str.casefold, student.ids),
                student.email.casefold(),
                student.email.casefold().partition("@")[0],
            }
            for key in {*keys, *(f"name {name}" for name in spellings(student.name))} - {""}:
                self.by.setdefault(key, []).append(student)
            if student.group:
                self.groups.setdefault(plain_name(student.group), []).append(student)

    def student(self, person: Person) -> Student | None:
        """The one student that a person is; None if there is none or several."""
        names = [
            f"name {name}" for name in (plain_name(person.name), plain_name(person.name.rpartition("-")[2])) if name
        ]
        for key in (person.id.casefold(), person.email.casefold(), *names):
            if key and len(found := self.by.get(key, [])) == 1:
                return found[0]
        return None

    def members(self, person: Person) -> list[Student]:
        """The members of the group by whose name a platform calls a person."""
        return self.groups.get(plain_name(person.name), [])


def plain_name(text: str) -> str:
    """Letters and digits alone, without accents and case: how platforms make file names of names."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in folded if char.isalnum())


def spellings(name: str) -> set[str]:
    """A name as platforms may order it: Ada Lovelace, Lovelace, Ada."""
    words = re.split(r"[\s,]+", name.strip())
    return {plain_name(" ".join([*words[n:], *words[:n]])) for n in range(len(words))}
