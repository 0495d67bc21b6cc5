"""What was decided, in a few words for the history of an answer."""

from __future__ import annotations

from collections.abc import Callable

from grader.gradebook.events import Event, Kind
from grader.gradebook.state import State
from grader.report.terminal import points as shown
from grader.review.desk import points_of

_GRADES = {Kind.grade: "graded", Kind.second: "graded a second time", Kind.settle: "settled"}


def told(state: State, event: Event) -> str:
    """An event in words, such as ``graded: 0.5 (slip, adjustment -0.25)``."""
    if event.kind in _GRADES:
        return f"{_GRADES[event.kind]}: {shown(points_of(state, event))}{_details(event)}"
    return _WORDS[event.kind](event)


def _text(event: Event, name: str, otherwise: str = "") -> str:
    return str(event.data.get(name) or otherwise)


def _reason(event: Event) -> str:
    return _text(event, "reason", "no reason")


def _override(event: Event) -> str:
    what = f" of {event.data['criterion']}" if event.data.get("criterion") else ""
    given = event.data["points"]
    set_to = f"set to {shown(float(given))}" if isinstance(given, (int, float)) else "no longer set"
    return f"points{what} {set_to}: {_reason(event)}"


def _lateness(event: Event) -> str:
    percent = event.data["percent"]
    return "lateness by the rubric's rule" if percent is None else f"lateness costs {percent} %: {_reason(event)}"


def _pages(event: Event) -> str:
    pages = event.data["pages"]
    return f"pages of the PDF: {', '.join(map(str, pages)) if isinstance(pages, list) else ''}"


_WORDS: dict[Kind, Callable[[Event], str]] = {
    Kind.clear: lambda event: "grade withdrawn",
    Kind.override: _override,
    Kind.entry: lambda event: f"entry {event.data['id']} {'removed' if event.data.get('removed') else 'set'}",
    Kind.penalty: lambda event: (
        f"penalty {event.data['id']} {'given' if event.data['on'] else 'taken back'}: {_reason(event)}"
    ),
    Kind.lateness: _lateness,
    Kind.note: lambda event: f"note: {_text(event, 'text', 'removed')}",
    Kind.flag: lambda event: f"flag {'resolved' if event.data['resolved'] else 'reopened'}: {_reason(event)}",
    Kind.request: lambda event: f"regrade requested: {_text(event, 'text')}",
    Kind.answer: lambda event: f"regrade request {event.data['outcome']}: {_text(event, 'text', 'no comment')}",
    Kind.reveal: lambda event: "name revealed",
    Kind.pages: _pages,
    Kind.undo: lambda event: "undone",
}


def _details(event: Event) -> str:
    given, adjustment, comment = event.data["entries"], event.data.get("adjustment"), event.data.get("comment")
    parts = [str(name) for name in given] if isinstance(given, list) else []
    if isinstance(adjustment, (int, float)) and adjustment:
        parts.append(f"adjustment {'-' if adjustment < 0 else '+'}{shown(abs(adjustment))}")
    if comment:
        parts.append(f"comment: {comment}")
    return f" ({', '.join(parts)})" if parts else ""
