"""Rubric entries while grading: added, changed and removed, after a preview of who changes by how much."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from grader.errors import UsageError
from grader.gradebook.entries import entry_data, entry_from, new_entry_id
from grader.gradebook.events import JSON, Decision, Kind
from grader.gradebook.state import State
from grader.review.desk import act_of, number
from grader.review.web import Call
from grader.scoring.rubric import RubricEntry
from grader.text.safe_text import one_line


def show(call: Call) -> Response:
    """The entries of an item, each with a form to change it."""
    room = call.site.room
    item = room.klass.item(call.path["item"])
    state = room.book.state()
    return call.page("entries.html", item=item, entries=state.entries(item.id), uses=_uses(state, item.id))


def _uses(state: State, item: str) -> dict[str, int]:
    """How many answers have each entry."""
    uses: dict[str, int] = {}
    for key in state.graded(item):
        grade = state.grade(key, item)
        for name in grade.entries if grade else ():
            uses[name] = uses.get(name, 0) + 1
    return uses


def change(call: Call) -> Response:
    """Preview a change of an entry, or apply it where the form says so."""
    room = call.site.room
    klass = room.klass
    item = klass.item(call.path["item"])
    state = room.book.state()
    removed = bool(call.form.get("remove"))
    entry = _entry(call.form, state, item.id)
    before = next((each for each in state.entries(item.id) if each.id == entry.id), None)
    if removed and before is None:
        raise UsageError(f"{item.id}: has no rubric entry {one_line(entry.id)}")
    changes = state.effect_of(item.id, None, removed=entry.id) if removed else state.effect_of(item.id, entry)
    if call.form.get("apply"):
        data: Mapping[str, JSON] = entry_data(before if removed and before else entry, removed=removed)
        room.book.record(call.who, [Decision(Kind.entry, None, item.id, data)], act=act_of(call.form))
        return call.done(f"saved: {len(changes)} answers changed", f"/entries/{item.id}")
    answers = klass.answers[item.id]
    return call.page(
        "preview.html",
        item=item,
        entry=entry,
        before=before,
        removed=removed,
        changes=[(answers.get(each.submission), each) for each in changes],
        sum=sum(each.after - each.before for each in changes),
    )


def _entry(form: Mapping[str, str], state: State, item: str) -> RubricEntry:
    """The entry that a form describes; a new one gets an id made of its text."""
    text = one_line(form.get("text", ""), 4000)
    taken = {entry.id for entry in state.entries(item)}
    name = form.get("id", "") or new_entry_id(text, taken)
    if not text.strip():
        raise UsageError("an entry needs a text")
    data: dict[str, JSON] = {
        "id": name,
        "points": number(form.get("points", ""), "points"),
        "text": text,
        "exclusive": bool(form.get("exclusive")),
    }
    return entry_from(data)
