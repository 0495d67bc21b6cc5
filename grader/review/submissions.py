"""One submission across all items: points, penalties, lateness, notes, flags and overrides. Names are shown here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import Response

from grader.errors import UsageError
from grader.gradebook.content import content_of
from grader.gradebook.events import JSON, Decision, Kind
from grader.gradebook.state import FlagSettled
from grader.grades.final import compose
from grader.review.classroom import NotThere
from grader.review.desk import act_of, number
from grader.review.events import told
from grader.review.web import Call
from grader.scoring.result import Flag, Result
from grader.text.safe_text import one_line


@dataclass(frozen=True)
class ShownFlag:
    """A flag of the automatic grading, and what a person decided about it."""

    name: str
    kind: str
    message: str
    where: str
    settled: FlagSettled | None

    @property
    def is_resolved(self) -> bool:
        """Whether a person has looked at it."""
        return self.settled is not None and self.settled.resolved


def flags_of(result: Result | None) -> dict[str, Flag]:
    """The flags of a result by names that stay the same in the next run."""
    found: dict[str, Flag] = {}
    for flag in result.flags if result else ():
        digest = hashlib.sha256(f"{flag.kind}\0{flag.message}".encode()).hexdigest()[:12]
        found[f"{one_line(flag.kind, 60)}-{digest}"] = flag
    return found


def _key(call: Call) -> str:
    key = call.path["key"]
    if key not in call.site.room.klass.graded.students:
        raise NotThere("there is no such submission in this class")
    return key


def show(call: Call) -> Response:
    """The page of a submission; that a grader opened it, and so saw the name, is logged once."""
    room, key = call.site.room, _key(call)
    klass, book = room.klass, room.book
    seen = book.state().log.at(key, None, Kind.reveal)
    if not any(event.who == call.who for event in seen):
        book.record(call.who, [Decision(Kind.reveal, key)])
    state = book.state()
    student, result = klass.graded.students[key], klass.result(key)
    final = compose(klass.graded.rubric, {key: result} if result else {}, state, {key: student})[0]
    settled = {each.flag: each for each in state.flags(key)}
    flags = [
        ShownFlag(name, flag.kind, flag.message, _where(flag), settled.get(name)) for name, flag in flags_of(result).items()
    ]
    handles = {item: klass.answers[item][key].handle for item in klass.items if key in klass.answers[item]}
    given = {each.id: each for each in state.penalties(key)}
    events = [event for item in [None, *(each.id for each in final.items)] for event in state.history(key, item)]  # type: ignore[arg-type]
    return call.page(
        "submission.html",
        key=key,
        student=student,
        result=result,
        final=final,
        flags=flags,
        handles=handles,
        rules=klass.graded.rubric.penalties,
        given=given,
        lateness=state.lateness(key),
        note=next((note.text for note in state.notes(key) if note.item is None), ""),
        overrides=state.overrides(key),
        requests=[(item, request) for item in klass.items if (request := state.request(key, item)) is not None],
        history=[
            {"who": event.who, "at": event.at, "item": event.item, "what": told(state, event), "undone": state.is_undone(event)}
            for event in sorted(events, key=lambda event: -event.id)
        ],
        weaker=[layer for layer in result.isolation if not layer.active] if result else [],
    )


def _where(flag: Flag) -> str:
    parts = [f"cell {flag.cell}"] if flag.cell else []
    parts += [f"line {flag.line}"] if flag.line else []
    return ", ".join(parts)


def decide(call: Call) -> Response:
    """Record a penalty, lateness, a note, a settled flag or an override."""
    key, what = _key(call), call.path["what"]
    make = _DECISIONS.get(what)
    if make is None:
        raise NotThere("there is no such decision")
    decision = make(call, key)
    call.site.room.book.record(call.who, [decision], act=act_of(call.form))
    return call.done("saved", f"/submission/{key}")


def _reason(form: Mapping[str, str]) -> str:
    reason = form.get("reason", "").strip()
    if not reason:
        raise UsageError("give a reason")
    return reason


def _penalty(call: Call, key: str) -> Decision:
    name = call.form.get("id", "")
    if name not in {rule.id for rule in call.site.room.klass.graded.rubric.penalties}:
        raise UsageError("the rubric has no such penalty")
    is_on = bool(call.form.get("on"))
    reason = _reason(call.form) if is_on else call.form.get("reason", "").strip()
    return Decision(Kind.penalty, key, None, {"id": name, "on": is_on, "reason": reason})


def _lateness(call: Call, key: str) -> Decision:
    text = call.form.get("percent", "").strip()
    percent = number(text, "percent") if text else None
    reason = _reason(call.form) if text else call.form.get("reason", "").strip()
    return Decision(Kind.lateness, key, None, {"percent": percent, "reason": reason})


def _note(call: Call, key: str) -> Decision:
    return Decision(Kind.note, key, None, {"text": call.form.get("text", "").strip()})


def _flag(call: Call, key: str) -> Decision:
    name = call.form.get("flag", "")
    if name not in flags_of(call.site.room.klass.result(key)):
        raise UsageError("this submission has no such flag")
    data: dict[str, JSON] = {"flag": name, "reason": _reason(call.form), "resolved": not call.form.get("reopen")}
    return Decision(Kind.flag, key, None, data)


def _override(call: Call, key: str) -> Decision:
    klass = call.site.room.klass
    name = call.form.get("item", "")
    item = next((each for each in klass.graded.rubric.items if each.id == name), None)
    if item is None:
        raise UsageError("the rubric has no such item")
    text = call.form.get("points", "").strip()
    points = number(text, "points") if text else None
    if points is not None and not 0 <= points <= item.points:
        raise UsageError(f"points: {name} is worth 0 to {item.points:g}")
    content = content_of(klass.found(key, name), klass.graded.students[key].notebook, klass.graded.students[key].pdf)
    data: dict[str, JSON] = {"points": points, "reason": _reason(call.form), "criterion": None, "content": content}
    return Decision(Kind.override, key, name, data)


_DECISIONS = {"penalty": _penalty, "lateness": _lateness, "note": _note, "flag": _flag, "override": _override}
