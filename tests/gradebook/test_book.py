"""Events are recorded whole, in order and for good; a file that is no gradebook is refused in one line."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from grader.errors import GraderError, UsageError
from grader.gradebook.book import NAME, Gradebook
from grader.gradebook.events import JSON, Decision, Kind
from tests.gradebook.conftest import ITEMS, WORTH, Clock, entry, grade, override, points


def test_what_is_recorded_is_read_back(book: Gradebook, clock: Clock, tmp_path: Path) -> None:
    act = book.record("Ada", [grade("s1", "formula", comment="fine"), grade("s2", "blank")])
    clock.passes(60)
    other = book.record("Bob", [Decision(Kind.note, "s1", None, {"text": "See me."})])
    assert act != other
    with Gradebook.open(tmp_path, ITEMS, WORTH) as again:
        events = again.events()
    assert [(each.id, each.kind, each.submission, each.item, each.who, each.act) for each in events] == [
        (1, Kind.grade, "s1", "1a", "Ada", act),
        (2, Kind.grade, "s2", "1a", "Ada", act),
        (3, Kind.note, "s1", None, "Bob", other),
    ]
    assert events[0].data["comment"] == "fine" and (events[2].at - events[0].at).total_seconds() == 60
    assert [each.id for each in book.events(after=1)] == [2, 3]
    assert [each.id for each in book.events("s1")] == [1, 3]
    assert [each.id for each in book.events("s1", "1a")] == [1]


def test_a_repeated_act_is_recorded_once(book: Gradebook) -> None:
    for _ in range(2):
        assert book.record("Ada", [grade("s1", "formula")], act="click-1") == "click-1"
    assert len(book.events()) == 1


WRONG: list[tuple[Decision, str]] = [
    (grade("s1", "half"), "1a: has no rubric entry half; reload the page"),
    (grade("s1", "full", "reason"), "1a: an exclusive rubric entry is chosen alone"),
    (grade("s1", "reason", "reason"), "grade: entries must be a list of different ids"),
    (grade("s1", "full", item="2a"), "2a: is not an item that people grade by rubric entries"),
    (grade("s1", adjustment=float("nan")), "grade: adjustment must be a number"),
    (grade("s1", comment="x" * 20_001), "grade: comment must be text of at most 20000 characters"),
    (Decision(Kind.grade, "s1", "1a", {}), "grade: entries is missing"),
    (Decision(Kind.grade, "s1", None, {"entries": []}), "grade: needs an item"),
    (Decision(Kind.grade, None, "1a", {"entries": []}), "grade: needs a submission"),
    (Decision(Kind.clear, "s1", "1a", {"why": "x"}), "clear: has no field why"),
    (override("s1", 4.5), "2a: 4.5 points, but it is worth 4"),
    (override("s1", -1), "override: points must be a number between 0 and 1000, or null"),
    (entry("Half", 0.5), "entry Half: id: String should match"),
    (entry("half", 0.3), "entry half: points: points must be a multiple of 0.25"),
    (entry("half", 0.5, text=" "), "entry half: text"),
    (entry("half", 0.5, item="2a"), "2a: is not an item that people grade"),
    (Decision(Kind.entry, None, "1a", {"id": "half", "removed": True}), "1a: has no rubric entry half to remove"),
    (Decision(Kind.entry, "s1", "1a", {"id": "a", "points": 1, "text": "b"}), "entry: takes no submission"),
    (Decision(Kind.answer, "s1", "1a", {"outcome": "upheld"}), "1a: has no open regrade request of s1"),
    (Decision(Kind.answer, "s1", "1a", {"outcome": "maybe"}), "answer: outcome must be upheld or changed"),
    (Decision(Kind.lateness, "s1", None, {"percent": 101}), "lateness: percent must be a percentage or null"),
    (Decision(Kind.penalty, "s1", None, {"id": "pages", "on": 1}), "penalty: on must be true or false"),
    (Decision(Kind.pages, "s1", "1a", {"pages": [1.5]}), "pages: pages must be a list of page numbers"),
    (grade("s\udcff", "full"), "grade: submission and item must be ids"),
    (Decision(Kind.undo, None, None, {"act": "x"}), "there is nothing like this to undo"),
]


@pytest.mark.parametrize(("decision", "words"), WRONG, ids=[words[:40] for _, words in WRONG])
def test_a_decision_that_fits_nothing_is_refused_with_all_of_its_act(
    book: Gradebook, decision: Decision, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        book.record("Ada", [grade("s2", "full"), decision])
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert book.events() == [] and points(book, ["s2"]) == [None]


@pytest.mark.parametrize("who", ["", "  ", "\n", "x" * 400])
def test_nobody_decides_without_a_name(book: Gradebook, who: str) -> None:
    if len(who) < 300:
        with pytest.raises(UsageError, match="give a name"):
            book.record(who, [grade("s1", "full")])
    else:
        book.record(who, [grade("s1", "full")])
        assert len(book.events()[0].who) <= 300
    with pytest.raises(UsageError, match="nothing to record"):
        book.record("Ada", [])


def test_an_entry_that_fails_late_leaves_nothing_of_its_act(book: Gradebook) -> None:
    """Decisions of one act are checked by what was there before it."""
    with pytest.raises(UsageError):
        book.record("Ada", [entry("half", 0.5), grade("s1", "half")])
    book.record("Ada", [entry("half", 0.5)])
    book.record("Ada", [grade("s1", "half")])
    assert points(book, ["s1"]) == [0.5]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET data = '{}'",
        "UPDATE events SET id = 9 WHERE id = 1",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events(id, at, who, act, kind, data) VALUES (1, '', '', '', 'note', '{}')",
        "REPLACE INTO events(id, at, who, act, kind, data) VALUES (2, '', '', '', 'note', '{}')",
    ],
)
def test_the_log_only_grows(book: Gradebook, tmp_path: Path, statement: str) -> None:
    book.record("Ada", [grade("s1", "formula"), grade("s2", "formula")])
    before = book.events()
    connection = sqlite3.connect(tmp_path / NAME)
    with pytest.raises(sqlite3.IntegrityError, match="the log only grows"):
        connection.execute(statement)
    connection.close()
    assert book.events() == before


def test_each_decision_is_synced(book: Gradebook, tmp_path: Path) -> None:
    with book._database.reading() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert (tmp_path / NAME).is_file()


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : 4096 + 6000] = b"\xaa" * 6000
    path.write_bytes(bytes(data))


def foreign(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes(text)")
    connection.commit()
    connection.close()


def newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: path.write_bytes(b"not a database, but long enough" * 99), "damaged or not a gradebook"),
        (damaged, "damaged or not a gradebook"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged or not a gradebook"),
        (foreign, "is not a gradebook; move it away"),
        (newer, "has schema 2, but this version of the grader reads 1"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be used: unable to open database file"),
    ],
    ids=["text", "damaged", "cut", "foreign", "newer", "folder"],
)  # fmt: skip
def test_a_file_that_is_no_gradebook(tmp_path: Path, harm: object, words: str) -> None:
    with Gradebook.open(tmp_path, ITEMS, WORTH) as book:
        book.record("Ada", [grade(f"s{number}", "formula", comment="long " * 50) for number in range(200)])
    path = tmp_path / NAME
    harm(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(GraderError) as caught:
        Gradebook.open(tmp_path, ITEMS, WORTH)
    assert NAME in str(caught.value) and words in str(caught.value) and "\n" not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(GraderError, match="unable to open"):
        Gradebook.open(tmp_path / "nowhere", ITEMS)


def test_a_copy_with_its_log_beside_it_is_whole(book: Gradebook, tmp_path: Path) -> None:
    book.record("Ada", [grade("s1", "formula")])
    (tmp_path / "copy").mkdir()
    for path in tmp_path.glob(f"{NAME}*"):
        shutil.copy(path, tmp_path / "copy" / path.name)
    with Gradebook.open(tmp_path / "copy", ITEMS, WORTH) as copy:
        assert points(copy, ["s1"]) == [0.5]


# -- locks -------------------------------------------------------------------------------------------------------------


def test_an_answer_is_handed_to_one_person(book: Gradebook, clock: Clock) -> None:
    everyone = ["s1", "s2", "s3"]
    assert [book.claim(who, "1a", everyone) for who in ("Ada", "Bob", "Cyd", "Dan")] == ["s1", "s2", "s3", None]
    assert book.claim("Ada", "1a", everyone) == "s1"
    assert book.claim("Dan", "1b", everyone) == "s1"
    book.release("Ada", "s2", "1a")
    assert book.claim("Dan", "1a", everyone) is None
    book.release("Bob", "s2", "1a")
    assert book.claim("Dan", "1a", everyone) == "s2"
    assert [(each.submission, each.item, each.who) for each in book.locks()] == [
        ("s1", "1a", "Ada"),
        ("s2", "1a", "Dan"),
        ("s3", "1a", "Cyd"),
        ("s1", "1b", "Dan"),
    ]
    clock.passes(119)
    assert book.lock("Ada", "s1", "1a") and not book.lock("Bob", "s1", "1a")
    clock.passes(2)
    assert [(each.submission, each.who) for each in book.locks()] == [("s1", "Ada")]
    assert book.claim("Bob", "1a", everyone) == "s2"


def test_a_fresh_lock_is_not_written_again_and_decisions_wait_for_the_disk(book: Gradebook, clock: Clock) -> None:
    connection = book._database._connection
    assert book.lock("Ada", "s1", "1a")
    written = connection.total_changes
    clock.passes(10)
    assert book.lock("Ada", "s1", "1a") and not book.lock("Bob", "s1", "1a")
    assert connection.total_changes == written
    clock.passes(10)
    assert book.lock("Ada", "s1", "1a")
    clock.passes(110)
    assert not book.lock("Bob", "s1", "1a")
    # What is NORMAL for a lock is FULL, which is 2, for all else.
    with book._database.writing():
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    with book._database.writing_briefly():
        assert connection.execute("PRAGMA synchronous").fetchone() == (1,)


def test_what_was_graded_since_is_not_handed_out(book: Gradebook) -> None:
    seen = book.state().log.last
    assert book.claim("Ada", "1a", ["s1", "s2"], seen=seen) == "s1"
    book.record("Ada", [grade("s1", "full")])
    book.release("Ada", "s1", "1a")
    assert book.claim("Bob", "1a", ["s1", "s2"], seen=seen) == "s2"
    # Somebody who wants to see it again has candidates of a later state.
    assert book.claim("Bob", "1a", ["s1", "s2"], seen=book.state().log.last) == "s1"


def test_data_is_kept_as_it_was_given(book: Gradebook) -> None:
    data: dict[str, JSON] = {"flag": "altered: é", "reason": "a\x00b\udcff\u2028", "resolved": True}
    book.record("Ada", [Decision(Kind.flag, "s1", None, data), Decision(Kind.reveal, "s1", "1a")])
    assert [dict(each.data) for each in book.events()] == [data, {}]
