"""Entries that were changed while grading go back into rubric.yaml, and nothing else in the file changes."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.errors import RubricError
from grader.gradebook.book import Gradebook
from grader.gradebook.entries import entry_data
from grader.gradebook.events import Decision, Kind
from grader.gradebook.rubric_text import changed_entries, with_entries
from grader.homework3 import HOMEWORK
from grader.scoring.rubric import RubricEntry, load_rubric, parse_rubric

HEAD = """\
# The rubric of a small homework.
version: "1"
title: Small
total: 1
items:
  - id: 1a   # the only one
    kind: manual
    title: Something written
    points: 1
    model_answer: 1a
"""
NOTES = "    grading_notes: All or nothing.\n"
FLOW = """\
    entries:
      # Full points first.
      - {id: right, points: 1, text: Right.}  # as in the notes
      - {id: wrong, points: 0, text: "Wrong, or missing."}

# The end.
"""
BLOCK = """\
    entries:
    - id: right
      points: 1      # all of it
      text: >-
        Right.

    - id: wrong
      text: "Wrong, or missing."
      points: 0
# The end.
"""
LINE = '    entries: [{id: right, points: 1, text: Right.}, {id: wrong, points: 0, text: "Wrong, or missing."}]\n# The end.\n'
LAYOUTS = {
    "flow": HEAD + NOTES + FLOW,
    "block": HEAD + NOTES + BLOCK,
    "line": HEAD + NOTES + LINE,
    "not last": HEAD + FLOW.replace("\n# The end.\n", "") + NOTES + "# The end.\n",
}
RIGHT = RubricEntry(id="right", points=1, text="Right.")
WRONG = RubricEntry(id="wrong", points=0, text="Wrong, or missing.")
HALF = RubricEntry(id="half", points=0.5, text='Half: "so": {a, b} # é\u2028 [', exclusive=True)
Changed = Callable[..., str]


@pytest.fixture
def changed(tmp_path_factory: pytest.TempPathFactory) -> Changed:
    """The text of a rubric after entries of 1a were defined, or removed by their ids."""

    def change(text: str, *entries: RubricEntry | str) -> str:
        with Gradebook.of_class(tmp_path_factory.mktemp("class"), parse_rubric(text.encode())) as book:
            for entry in entries:
                known = {each.id: each for each in book.state().entries("1a")}
                is_removed = isinstance(entry, str)
                data = entry_data(known[entry] if isinstance(entry, str) else entry, removed=is_removed)
                book.record("ada", [Decision(Kind.entry, None, "1a", data)])
            return with_entries(text.encode(), book.state()).decode()

    return change


def entries(text: str) -> list[RubricEntry]:
    return list(parse_rubric(text.encode()).by_hand[0].entries)


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("line_feed", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_each_change_in_each_layout(changed: Changed, text: str, line_feed: str) -> None:
    text = text.replace("\n", line_feed)
    lower = RIGHT.model_copy(update={"points": 0.75, "exclusive": True})
    more = RubricEntry(id="reasoned", points=1, text="With a reason.")
    new = changed(text, lower, WRONG.model_copy(update={"text": "Wrong."}), HALF, more)
    assert entries(new) == [
        lower,
        WRONG.model_copy(update={"text": "Wrong."}),
        HALF.model_copy(update={"text": 'Half: "so": {a, b} # é\\u2028 ['}),
        more,
    ]
    assert new.count("#") >= text.count("#")
    assert new.count(line_feed) == new.count("\n")
    assert new.endswith(f"# The end.{line_feed}")


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS)
def test_an_entry_is_removed(changed: Changed, text: str) -> None:
    three = changed(text, HALF)
    assert [entry.id for entry in entries(three)] == ["right", "wrong", "half"]
    for name in ("wrong", "half"):
        left = changed(three, RubricEntry(id="none", points=0, text="None."), name)
        assert [entry.id for entry in entries(left)] == [e for e in ("right", "wrong", "half", "none") if e != name]


def test_comments_and_layout_stay(changed: Changed) -> None:
    text = LAYOUTS["block"]
    new = changed(text, RIGHT.model_copy(update={"points": 0.75}), RubricEntry(id="reasoned", points=0.25, text="Why."))
    difference = [line for line in difflib.ndiff(text.splitlines(), new.splitlines()) if line[0] in "+-"]
    assert difference == [
        "-       points: 1      # all of it",
        "+       points: 0.75      # all of it",
        '+     - {id: reasoned, points: 0.25, text: "Why."}',
    ]


def test_entries_where_there_were_none(changed: Changed) -> None:
    text = HEAD + NOTES.replace("\n", "  # a comment\n") + "\n# The end.\n"
    new = changed(text, RIGHT, WRONG)
    assert entries(new) == [RIGHT, WRONG]
    assert new.startswith(HEAD + NOTES.strip("\n")) and new.endswith("\n\n# The end.\n")


def test_all_entries_replaced(changed: Changed) -> None:
    full, no = HALF.model_copy(update={"points": 1.0}), WRONG.model_copy(update={"id": "no"})
    new = changed(LAYOUTS["flow"], full, "right", "wrong", no)
    assert [entry.id for entry in entries(new)] == ["half", "no"]


def test_what_would_not_add_up_is_refused(changed: Changed) -> None:
    with pytest.raises(RubricError, match=r"rubric.yaml:12: 1a: its entries give at most 0.5 of 1 points"):
        changed(LAYOUTS["flow"], RIGHT.model_copy(update={"points": 0.5}))


def test_the_shipped_rubric(tmp_path: Path) -> None:
    """A changed, a removed and a new entry in each item: the other lines are the same, byte for byte."""
    data, rubric = HOMEWORK.rubric.read_bytes(), load_rubric(HOMEWORK.rubric)
    with Gradebook.of_class(tmp_path, rubric) as book:
        assert with_entries(data, book.state()) is data
        for item in rubric.by_hand:
            first, last = item.entries[0], item.entries[-1]
            changes = [
                entry_data(first.model_copy(update={"text": first.text + " Indeed: \"quoted\"."})),
                entry_data(RubricEntry(id="nothing-at-all", points=0, text="Nothing at all.")),
                entry_data(last, removed=True),
            ]
            book.record("ada", [Decision(Kind.entry, None, item.id, change) for change in changes])
        state = book.state()
        new = with_entries(data, state)
    assert not changed_entries(parse_rubric(new), state)
    assert len(changed_entries(rubric, state)) == 3 * len(rubric.by_hand)
    kept = [line for line in difflib.ndiff(data.decode().splitlines(), new.decode().splitlines()) if line[0] == "-"]
    of_entries = sum(5 for _ in rubric.by_hand)
    assert len(kept) <= of_entries and not any("grading_notes" in line or "#" in line for line in kept)
