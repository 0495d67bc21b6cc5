"""What holds follows from the log: grades, changed entries, undone acts, regrade requests and the rest."""

from __future__ import annotations

import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.errors import UsageError
from grader.gradebook.book import Gradebook
from grader.gradebook.checks import checked
from grader.gradebook.entries import composed, new_entry_id
from grader.gradebook.events import JSON, Decision, Event, Kind
from grader.gradebook.state import Change, Log, State
from grader.scoring.rubric import RubricEntry
from tests.gradebook.conftest import ITEMS, WORTH, Clock, entry, grade, override, points


@pytest.mark.parametrize(
    ("entries", "adjustment", "expected"),
    [
        (("full",), 0, 1),
        (("formula", "reason"), 0, 1),
        (("formula",), 0.1, 0.6),
        (("formula", "unclear"), 0, 0.25),
        (("unclear",), 0, 0),
        (("full",), 0.5, 1),
        (("full",), -0.4, 0.6),
        (("blank",), 0, 0),
        ((), 0, 0),
        (("formula",), -9, 0),
    ],
)
def test_points_of_a_grade(book: Gradebook, entries: tuple[str, ...], adjustment: float, expected: float) -> None:
    book.record("Ada", [grade("s1", *entries, adjustment=adjustment)])
    assert points(book, ["s1"]) == [expected]
    assert book.state().points_of("1a", entries, adjustment) == expected


def test_an_exclusive_entry_replaces_the_sum() -> None:
    one, other = RubricEntry(id="a", points=0.5, text="a"), RubricEntry(id="b", points=0.25, text="b", exclusive=True)
    low = RubricEntry(id="c", points=0, text="c", exclusive=True)
    assert composed([one, other], 0) == 0.25
    assert composed([one, other, low], 0.1) == 0.1
    assert composed([one, one], 0, 0.75) == 0.75
    assert composed([], 0) == 0


def test_the_last_grade_holds(book: Gradebook, clock: Clock) -> None:
    book.record("Ada", [grade("s1", "formula", comment="so far", content="answer=1")])
    clock.passes(1)
    act = book.record("Bob", [grade("s1", "full", content="answer=1")])
    found = book.state().grade("s1", "1a")
    assert found is not None
    assert (found.who, found.act, found.entries, found.comment, found.content) == ("Bob", act, ("full",), "", "answer=1")
    assert found.at == clock.now
    book.record("Bob", [Decision(Kind.clear, "s1", "1a")])
    assert points(book, ["s1", "s2"]) == [None, None]
    assert [event.who for event in book.state().history("s1", "1a")] == ["Ada", "Bob", "Bob"]


# -- entries -----------------------------------------------------------------------------------------------------------


def test_a_changed_entry_changes_everybody_who_has_it(book: Gradebook) -> None:
    names = ["s1", "s2", "s3", "s4"]
    book.record("Ada", [grade("s1", "formula"), grade("s2", "formula", "reason"), grade("s3", "full")])
    lower = RubricEntry(id="formula", points=0.25, text="The formula.")
    preview = book.state().effect_of("1a", lower)
    assert preview == (Change("s1", 0.5, 0.25), Change("s2", 1, 0.75))
    assert points(book, names) == [0.5, 1, 1, None], "a preview changes nothing"
    act = book.record("Bob", [entry("formula", 0.25, "The formula.")])
    assert points(book, names) == [0.25, 0.75, 1, None]
    assert book.state().entries("1a")[1] == lower
    # A change that clamping hides is none.
    assert book.state().effect_of("1a", RubricEntry(id="full", points=2, text="All of it.", exclusive=True)) == ()
    book.undo("Ada", act)
    assert points(book, names) == [0.5, 1, 1, None]


def test_an_entry_that_becomes_exclusive_or_goes(book: Gradebook) -> None:
    book.record("Ada", [grade("s1", "formula", "reason"), grade("s2", "reason")])
    alone = RubricEntry(id="reason", points=0.25, text="Only.", exclusive=True)
    assert book.state().effect_of("1a", alone) == (Change("s1", 1, 0.25), Change("s2", 0.5, 0.25))
    assert book.state().effect_of("1a", None, removed="reason") == (Change("s1", 1, 0.5), Change("s2", 0.5, 0))
    book.record("Ada", [Decision(Kind.entry, None, "1a", {"id": "reason", "removed": True})])
    assert points(book, ["s1", "s2"]) == [0.5, 0]
    found = book.state().grade("s1", "1a")
    assert found is not None and found.missing == ("reason",)
    with pytest.raises(UsageError, match="has no rubric entry reason"):
        book.record("Bob", [grade("s3", "reason")])


def entries_under(book: Gradebook, listed: list[RubricEntry]) -> dict[str, float]:
    state = State(book.state().log, {"1a": listed}, WORTH)
    return {each.id: each.points for each in state.entries("1a")}


def test_rubric_yaml_counts_where_somebody_edited_it_since(book: Gradebook) -> None:
    book.record("Ada", [entry("formula", 0.25), entry("new", 0.75)])
    book.record("Ada", [Decision(Kind.entry, None, "1a", {"id": "unclear", "removed": True})])
    expected = {"full": 1, "formula": 0.25, "reason": 0.5, "blank": 0, "new": 0.75}
    listed = {each.id: each for each in ITEMS["1a"]}
    assert entries_under(book, list(listed.values())) == expected
    exported = list(book.state().entries("1a"))
    assert entries_under(book, exported) == expected
    listed["formula"] = listed["formula"].model_copy(update={"points": 1.0})
    listed["reason"] = listed["reason"].model_copy(update={"points": 0.75})
    assert entries_under(book, list(listed.values())) == expected | {"formula": 1.0, "reason": 0.75}
    del listed["formula"]
    assert "formula" not in entries_under(book, list(listed.values()))


def test_ids_for_new_entries() -> None:
    assert new_entry_id("Vanishes, but says not why or when", {"x"}) == "vanishes-but-says-not"
    assert new_entry_id("É!", set()) == "e"
    assert new_entry_id("…", {"entry", "entry-2"}) == "entry-3"
    RubricEntry(id=new_entry_id("x" * 99, set()), points=0, text="long")


# -- undo --------------------------------------------------------------------------------------------------------------


def test_a_decision_on_a_group_is_undone_as_one(book: Gradebook) -> None:
    names = [f"s{number}" for number in range(5)]
    book.record("Ada", [grade("s0", "reason")])
    group = book.record("Ada", [grade(name, "blank") for name in names])
    book.record("Bob", [grade("s4", "formula")])
    assert points(book, names) == [0, 0, 0, 0, 0.5]
    undoing = book.undo("Bob", group)
    assert points(book, names) == [0.5, None, None, None, 0.5], "what was decided before and since stays"
    assert all(book.state().is_undone(event) == (event.act == group) for event in book.state().history("s0", "1a"))
    again = book.undo("Ada", undoing)
    assert points(book, names) == [0, 0, 0, 0, 0.5]
    book.undo("Ada", again)
    assert points(book, names) == [0.5, None, None, None, 0.5]
    with pytest.raises(UsageError, match="undone already"):
        book.undo("Ada", group)


def test_a_change_of_an_entry_is_undone_whatever_came_after(book: Gradebook) -> None:
    first = book.record("Ada", [entry("formula", 0.25)])
    second = book.record("Ada", [entry("formula", 0.75)])
    listed = {each.id: each for each in ITEMS["1a"]}
    book.undo("Ada", first)
    assert entries_under(book, list(listed.values()))["formula"] == 0.75
    exported = list(book.state().entries("1a"))
    book.undo("Ada", second)
    assert entries_under(book, list(listed.values()))["formula"] == 0.5
    assert entries_under(book, exported)["formula"] == 0.5


# -- the rest ----------------------------------------------------------------------------------------------------------


def test_a_regrade_request(book: Gradebook, clock: Clock) -> None:
    book.record("Ada", [grade("s1", "formula")])
    assert book.state().request("s1", "1a") is None
    book.record("Ada", [Decision(Kind.request, "s1", "1a", {"text": "My reason is in line 3."})])
    request = book.state().request("s1", "1a")
    assert request is not None and request.is_open and request.text == "My reason is in line 3."
    clock.passes(5)
    answer = Decision(Kind.answer, "s1", "1a", {"outcome": "changed", "text": "You are right."})
    act = book.record("Bob", [grade("s1", "formula", "reason"), answer])
    request = book.state().request("s1", "1a")
    assert request is not None and request.answer is not None and not request.is_open
    assert (request.answer.outcome, request.answer.text, request.answer.who) == ("changed", "You are right.", "Bob")
    assert points(book, ["s1"]) == [1]
    kinds = [event.kind for event in book.state().history("s1", "1a")]
    assert kinds == [Kind.grade, Kind.request, Kind.grade, Kind.answer]
    book.undo("Bob", act)
    request = book.state().request("s1", "1a")
    assert request is not None and request.is_open and points(book, ["s1"]) == [0.5]


def test_overrides(book: Gradebook) -> None:
    book.record("Ada", [override("s1", 3.5), override("s1", 0.5, criterion="2a.mask"), override("s2", 0)])
    book.record("Bob", [override("s1", 3)])
    found = book.state().overrides("s1")
    assert [(each.criterion, each.points, each.who, each.reason) for each in found] == [
        ("2a.mask", 0.5, "Ada", "read it"),
        (None, 3, "Bob", "read it"),
    ]
    assert book.state().overrides("s1", "1a") == ()
    book.record("Bob", [override("s1", None)])
    assert [each.criterion for each in book.state().overrides("s1")] == ["2a.mask"]


def test_penalties_lateness_notes_flags_and_pages(book: Gradebook) -> None:
    def put(kind: Kind, item: str | None = None, **data: object) -> None:
        book.record("Ada", [Decision(kind, "s1", item, data)])  # type: ignore[arg-type]

    put(Kind.penalty, id="pages", on=True, reason="none assigned")
    put(Kind.penalty, id="late", on=True)
    put(Kind.penalty, id="late", on=False)
    put(Kind.lateness, percent=10, reason="ill")
    put(Kind.note, text="First.")
    put(Kind.note, text="Better.")
    put(Kind.note, "1a", text="On 1a.")
    put(Kind.note, "1b", text="Gone.")
    put(Kind.note, "1b", text="")
    put(Kind.flag, flag="altered: generate", reason="a comment only", resolved=True)
    put(Kind.pages, "1a", pages=[3, 4])
    state = book.state()
    assert [(each.id, each.reason) for each in state.penalties("s1")] == [("pages", "none assigned")]
    lateness = state.lateness("s1")
    assert lateness is not None and (lateness.percent, lateness.reason) == (10, "ill")
    assert [(each.item, each.text) for each in state.notes("s1")] == [(None, "Better."), ("1a", "On 1a.")]
    (flag,) = state.flags("s1")
    assert (flag.flag, flag.resolved, flag.reason) == ("altered: generate", True, "a comment only")
    assert state.pages("s1", "1a") == (3, 4) and state.pages("s1", "1b") is None
    put(Kind.lateness, percent=None)
    assert book.state().lateness("s1") is None
    assert state.submissions() == ("s1",)
    assert (state.penalties("s2"), state.notes("s2"), state.flags("s2"), state.lateness("s2")) == ((), (), (), None)


def test_a_second_grading_is_blind_and_settled(book: Gradebook) -> None:
    book.record("Ada", [grade("s1", "formula", content="answer=1")])
    book.record("Bob", [grade("s1", "full", kind=Kind.second)])
    assert points(book, ["s1"]) == [0.5]
    assert {name: (each.points, each.who) for name, each in book.state().second("1a").items()} == {"s1": (1, "Bob")}
    assert book.state().settled("1a") == ()
    book.record("Cyd", [grade("s1", "formula", adjustment=0.25, kind=Kind.settle)])
    found = book.state().grade("s1", "1a")
    assert found is not None and (found.points, found.who, found.content) == (0.75, "Cyd", "answer=1")
    assert book.state().settled("1a") == ("s1",) and book.state().graded("1a") == ("s1",)


# -- changed answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "now", "stale"),
    [
        ("answer=1 notebook=1", "answer=1 notebook=2", False),
        ("answer=1 notebook=1", "answer=2 notebook=2", True),
        ("answer=1 notebook=1", "notebook=2", True),
        ("notebook=1", "answer=2 notebook=1", False),
        ("notebook=1", "answer=2 notebook=2", True),
        ("answer=1 notebook=1 pdf=1", "answer=1 notebook=1", False),
        ("answer=1 notebook=1 pdf=1", "answer=1 notebook=1 pdf=2", True),
        ("", "answer=1", False),
        ("0a1b", "0a1b", False),
        ("0a1b", "0a1c", True),
    ],
)
def test_a_grade_of_another_answer_is_stale(book: Gradebook, seen: str, now: str, stale: bool) -> None:
    book.record("Ada", [grade("s1", "full", content=seen)])
    assert book.state().stale("s1", "1a", now) is stale
    assert not book.state().stale("s2", "1a", now)
    book.record("Bob", [grade("s1", "full", content=now)])
    assert not book.state().stale("s1", "1a", now)


def test_a_state_grows_while_other_threads_read_it() -> None:
    names = [f"s{number}" for number in range(3000)]
    data: dict[str, JSON] = {"entries": ["full"], "adjustment": 0, "comment": "", "content": ""}
    events = [Event(Kind.grade, name, "1a", data, number, who="Ada", act=name) for number, name in enumerate(names, 1)]
    state = State(Log().followed_by(events), ITEMS, WORTH)
    ended, before = threading.Event(), sys.getswitchinterval()
    reader = threading.Thread(target=lambda: ([state.grade(name, "1a") for name in names], ended.set()))
    sys.setswitchinterval(1e-6)
    try:
        reader.start()
        number = len(names)
        while not ended.is_set():
            number += 1
            later = state.followed_by([Event(Kind.grade, "s7", "1b", data, number, who="Bob", act=f"b{number}")])
            assert later.graded("1b") == ("s7",)
    finally:
        sys.setswitchinterval(before)
        reader.join()
    assert ended.is_set()


# -- any history -------------------------------------------------------------------------------------------------------

SUBMISSIONS = st.sampled_from(["s1", "s2", "s3"])
STEPS = st.one_of(
    st.builds(lambda name, chosen: grade(name, *chosen), SUBMISSIONS, st.sampled_from([("full",), ("formula", "reason"), ()])),
    st.builds(lambda name: Decision(Kind.clear, name, "1a"), SUBMISSIONS),
    st.builds(lambda value: entry("formula", value / 4), st.integers(-4, 4)),
    st.integers(0, 20),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_any_history(steps: list[Decision | int]) -> None:
    """A state that grew event by event is that of the whole log, and what was undone counts for nothing."""
    grown = State(Log(), ITEMS, WORTH)
    events: list[Event] = []
    for number, step in enumerate(steps, 1):
        decision = step
        if isinstance(step, int):
            if not events:
                continue
            decision = Decision(Kind.undo, None, None, {"act": events[step % len(events)].act})
        assert isinstance(decision, Decision)
        try:
            data = checked(grown, decision)
        except UsageError as error:
            assert "undone already" in str(error)
            continue
        event = Event(decision.kind, decision.submission, decision.item, data, number, who="Ada", act=str(number))
        events.append(event)
        grown = grown.followed_by([event])
        for name in ("s1", "s2", "s3"):
            grown.grade(name, "1a")
    whole = State(Log().followed_by(events), ITEMS, WORTH)
    assert grown.log == whole.log
    assert (grown.submissions(), grown.graded("1a")) == (whole.submissions(), whole.graded("1a"))
    undone: set[str] = set()
    for event in reversed(events):
        if event.kind is Kind.undo and event.act not in undone:
            undone.add(str(event.data["act"]))
    left = [event for event in events if event.act not in undone]
    worth = {each.id: each.points for each in ITEMS["1a"]}
    worth |= {str(event.data["id"]): float(str(event.data["points"])) for event in left if event.kind is Kind.entry}
    assert {each.id: each.points for each in grown.entries("1a")} == worth
    for name in ("s1", "s2", "s3"):
        found = grown.grade(name, "1a")
        assert found == whole.grade(name, "1a")
        last = [event for event in left if event.submission == name][-1:]
        if not last or last[0].kind is Kind.clear:
            assert found is None
        else:
            chosen = last[0].data["entries"]
            assert isinstance(chosen, list) and found is not None
            assert found.points == min(max(sum(worth[str(each)] for each in chosen), 0), 1)
