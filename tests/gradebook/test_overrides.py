"""overrides.yaml is imported by what changed in it since the last time, and exported as it would be written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from grader.gradebook.book import Gradebook
from grader.gradebook.overrides import NAME, import_overrides, load_overrides, overrides_yaml
from grader.homework3 import HOMEWORK
from grader.scoring.rubric import load_rubric
from tests.gradebook.conftest import override

RUBRIC = load_rubric(HOMEWORK.rubric)


@dataclass(frozen=True)
class Student:
    key: str
    id: str = ""
    name: str = ""
    file: str = ""


CLASS = [Student("ada", id="007", name="Ada Lovelace"), Student("bob"), Student("cyd")]
Read = Callable[..., tuple[str, ...]]


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Gradebook]:
    with Gradebook.of_class(tmp_path, RUBRIC) as opened:
        yield opened


@pytest.fixture
def read(tmp_path: Path, book: Gradebook) -> Read:
    """Import a file with these overrides: submission, item, points, who."""

    def write(*lines: tuple[str, str, float, str]) -> tuple[str, ...]:
        text = [f"- {{submission: {s}, item: {i}, points: {p}, who: {w}, why: read it}}" for s, i, p, w in lines]
        (tmp_path / NAME).write_text("# mine\n" + "\n".join(text), encoding="utf-8")
        return import_overrides(book, load_overrides(tmp_path, CLASS, RUBRIC) or [], lambda key: f"notebook={key}")

    return write


def held(book: Gradebook) -> dict[str, tuple[float, str]]:
    state = book.state()
    return {
        f"{student.key} {each.item}": (each.points, each.who)
        for student in CLASS
        for each in state.overrides(student.key)
    }


def test_a_file_is_imported_once(read: Read, book: Gradebook) -> None:
    lines = [("ada", "2a", 3.5, "Me"), ("bob", "1a", 1, "You")]
    assert read(*lines) == ("ada 2a = 3.5 by Me: read it", "bob 1a = 1 by You: read it")
    assert read(*lines) == () and read(*reversed(lines)) == ()
    assert held(book) == {"ada 2a": (3.5, "Me"), "bob 1a": (1, "You")}
    assert len(book.events()) == 2 and len({event.act for event in book.events()}) == 1
    assert [event.data["content"] for event in book.events()] == ["notebook=ada", "notebook=bob"]


def test_only_what_was_edited_is_recorded(read: Read, book: Gradebook) -> None:
    read(("ada", "2a", 3.5, "Me"), ("bob", "1a", 1, "You"), ("cyd", "1a", 0.5, "You"))
    found = read(("007", "2a", 3, "Me"), ("bob", "1a", 1, "You"))
    assert found == (
        "ada 2a = 3 by Me: read it, instead of 3.5 by Me",
        "cyd 1a: override withdrawn, it is no longer in overrides.yaml",
    )
    assert held(book) == {"ada 2a": (3, "Me"), "bob 1a": (1, "You")}
    assert len(book.events()) == 5


def test_an_old_file_reverts_no_later_decision(read: Read, book: Gradebook) -> None:
    lines = [("ada", "2a", 3.5, "Me"), ("bob", "2a", 1, "You"), ("cyd", "2a", 1, "You")]
    read(*lines)
    book.record("Cyd", [override("ada", 2), override("bob", None), override("cyd", 4)])
    assert read(*lines) == ()
    assert held(book) == {"ada 2a": (2, "Cyd"), "cyd 2a": (4, "Cyd")}
    # Nor does what is removed from it.
    assert read(lines[0]) == ()
    assert held(book) == {"ada 2a": (2, "Cyd"), "cyd 2a": (4, "Cyd")}
    assert read(("ada", "2a", 3, "Me")) == ("ada 2a = 3 by Me: read it, instead of 2 by Cyd",)
    assert held(book)["ada 2a"] == (3, "Me")


def test_an_export_reads_back_as_the_same(read: Read, book: Gradebook, tmp_path: Path) -> None:
    read(("ada", "2a", 3.5, '"A: \\"x\\" # é"'), ("bob", "1a", 1, "You"))
    book.record("Cyd", [override("cyd", 0, item="2d"), override("cyd", 0.5, criterion="2a.mask")])
    before = held(book)
    (tmp_path / NAME).write_text(overrides_yaml(book.state()), encoding="utf-8")
    written = load_overrides(tmp_path, CLASS, RUBRIC) or []
    assert {f"{each.key} {each.item}": (each.points, each.who) for each in written} == {
        name: value for name, value in before.items() if name != "cyd 2a"
    }
    count = len(book.events())
    assert import_overrides(book, written, lambda key: "") == () and len(book.events()) == count
    assert held(book) == before


def test_two_imports_at_once_record_once(read: Read, book: Gradebook, tmp_path: Path) -> None:
    read(("ada", "2a", 3.5, "Me"))
    base = book.imported(NAME)
    with Gradebook.of_class(tmp_path, RUBRIC) as other:
        assert other.record_import(NAME, base, [["ada", "2a", 3.0, "Me", "x"]], [("Me", override("ada", 3))])
    assert not book.record_import(NAME, base, [], [("Me", override("ada", 2))])
    assert held(book) == {"ada 2a": (3, "Me")}
