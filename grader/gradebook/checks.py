"""Whether a decision fits what the gradebook holds, before it is recorded for good."""

from __future__ import annotations

from collections.abc import Callable

from grader.errors import UsageError
from grader.gradebook.entries import entry_data, entry_from
from grader.gradebook.events import JSON, Decision, Kind, check_decision
from grader.gradebook.state import State
from grader.text.safe_text import LONG, one_line


def checked(state: State, decision: Decision) -> dict[str, JSON]:
    """The data to record for a decision; raises `UsageError` where it lacks something or fits nothing."""
    check_decision(decision)
    check = _CHECKS.get(decision.kind)
    return dict(decision.data) if check is None else check(state, decision)


def _grade(state: State, decision: Decision) -> dict[str, JSON]:
    item, data = decision.item or "", dict(decision.data)
    _refuse_other_items(state, item)
    known = {entry.id: entry for entry in state.entries(item)}
    given = data["entries"]
    chosen = [str(name) for name in given] if isinstance(given, list) else []
    for name in chosen:
        if name not in known:
            raise UsageError(f"{item}: has no rubric entry {one_line(name)}; reload the page")
    if len(chosen) > 1 and any(known[name].exclusive for name in chosen):
        raise UsageError(f"{item}: an exclusive rubric entry is chosen alone")
    return data


def _entry(state: State, decision: Decision) -> dict[str, JSON]:
    """The entry with what it was before, so that the log says what it changed."""
    item, name = decision.item or "", str(decision.data["id"])
    _refuse_other_items(state, item)
    before = next((entry for entry in state.entries(item) if entry.id == name), None)
    if decision.data.get("removed"):
        if before is None:
            raise UsageError(f"{item}: has no rubric entry {one_line(name)} to remove")
        data = entry_data(before, removed=True)
    else:
        # What rubric.yaml can hold, where the entry may go.
        text = one_line(str(decision.data.get("text", "")), LONG)
        data = entry_data(entry_from({**decision.data, "text": text}))
    data["before"] = None if before is None else entry_data(before)
    return data


def _refuse_other_items(state: State, item: str) -> None:
    if not state.has_entries(item):
        raise UsageError(f"{one_line(item)}: is not an item that people grade by rubric entries")


def _override(state: State, decision: Decision) -> dict[str, JSON]:
    points, most = decision.data["points"], state.worth(decision.item or "")
    if isinstance(points, (int, float)) and most is not None and points > most:
        raise UsageError(f"{decision.item}: {points:g} points, but it is worth {most:g}")
    return dict(decision.data)


def _answer(state: State, decision: Decision) -> dict[str, JSON]:
    request = state.request(decision.submission or "", decision.item or "")
    if request is None or not request.is_open:
        raise UsageError(f"{decision.item}: has no open regrade request of {decision.submission}")
    return dict(decision.data)


def _undo(state: State, decision: Decision) -> dict[str, JSON]:
    act = str(decision.data["act"])
    if act not in state.log.acts:
        raise UsageError("there is nothing like this to undo")
    if act in state.log.undone:
        raise UsageError("this was undone already")
    return dict(decision.data)


_CHECKS: dict[Kind, Callable[[State, Decision], dict[str, JSON]]] = {
    Kind.grade: _grade,
    Kind.second: _grade,
    Kind.settle: _grade,
    Kind.entry: _entry,
    Kind.override: _override,
    Kind.answer: _answer,
    Kind.undo: _undo,
}
