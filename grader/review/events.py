"""What was decided, in a few words for the history of an answer."""

from __future__ import annotations

from grader.gradebook.events import Event, Kind
from grader.gradebook.state import State
from grader.report.terminal import points as shown
from grader.review.desk import points_of

_GRADES = {Kind.grade: "graded", Kind.second: "graded a second time", Kind.settle: "settled"}


def told(state: State, event: Event) -> str:
    """An event in words, such as ``graded: 0.5 (slip, adjustment -0.25)``."""
    data = event.data
    match event.kind:
        case Kind.grade | Kind.second | Kind.settle:
            return f"{_GRADES[event.kind]}: {shown(points_of(state, event))}{_details(event)}"
        case Kind.clear:
            return "grade withdrawn"
        case Kind.override:
            what = f" of {data['criterion']}" if data.get("criterion") else ""
            given = data["points"]
            set_to = f"set to {shown(float(given))}" if isinstance(given, (int, float)) else "no longer set"
            return f"points{what} {set_to}: {data.get('reason') or 'no reason'}"
        case Kind.entry:
            return f"entry {data['id']} {'removed' if data.get('removed') else 'set'}"
        case Kind.penalty:
            return f"penalty {data['id']} {'given' if data['on'] else 'taken back'}: {data.get('reason') or 'no reason'}"
        case Kind.lateness:
            percent = data["percent"]
            return "lateness by the policy" if percent is None else f"lateness costs {percent} %"
        case Kind.note:
            return f"note: {data.get('text') or 'removed'}"
        case Kind.flag:
            return f"flag {'resolved' if data['resolved'] else 'reopened'}: {data.get('reason') or 'no reason'}"
        case Kind.request:
            return f"regrade requested: {data.get('text')}"
        case Kind.answer:
            return f"regrade request {data['outcome']}: {data.get('text') or 'no comment'}"
        case Kind.reveal:
            return "name revealed"
        case Kind.pages:
            pages = data["pages"]
            return f"pages of the PDF: {', '.join(map(str, pages)) if isinstance(pages, list) else ''}"
        case Kind.undo:
            return "undone"


def _details(event: Event) -> str:
    given, adjustment, comment = event.data["entries"], event.data.get("adjustment"), event.data.get("comment")
    parts = [str(name) for name in given] if isinstance(given, list) else []
    if isinstance(adjustment, (int, float)) and adjustment:
        parts.append(f"adjustment {'-' if adjustment < 0 else '+'}{shown(abs(adjustment))}")
    if comment:
        parts.append(f"comment: {comment}")
    return f" ({', '.join(parts)})" if parts else ""
