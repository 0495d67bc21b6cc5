"""The page on which an answer is graded, and what is recorded from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from starlette.responses import FileResponse, RedirectResponse, Response

from grader.errors import UsageError
from grader.gradebook.events import Decision, Kind
from grader.gradebook.state import Grade, State
from grader.review.classroom import Answer, NotThere
from grader.review.desk import (
    LOCK_SECONDS,
    act_of,
    coming_answers,
    grade_data,
    grading,
    last_act,
    neighbor,
    next_answer,
    points_of,
)
from grader.review.events import told
from grader.review.formula import quantities_of
from grader.review.progress import item_progress, next_item, paces
from grader.review.web import Call, duration

_MOST_KEYS = 9
_IMAGE_HEADERS = {"cache-control": "private, max-age=3600"}


def address(answer: Answer) -> str:
    """Of the page of an answer."""
    return f"/item/{answer.item}/{answer.handle}"


def next_in_item(call: Call) -> Response:
    """Go to the next answer of an item that waits."""
    room = call.site.room
    klass, item = room.klass, call.path["item"]
    klass.item(item)
    after = call.query.get("after", "")
    current = klass.answer(item, after) if after else None
    if current is not None and call.query.get("skip"):
        call.site.skipped.add(call.who, current)
    found = next_answer(klass, room.book, call.who, item, current.submission if current else None, call.site.skipped)
    if found is None:
        state = room.book.state()
        progress = item_progress(klass, state, item, paces(state, [item])[item])
        return call.page("finished.html", item=klass.item(item), progress=progress, start=next_item(klass, state, item))
    return RedirectResponse(address(found), 303)


def show(call: Call) -> Response:
    """The page of an answer."""
    answer = _answer(call)
    page = page_of(call, answer)
    room = call.site.room
    if room.pdfs is not None:
        state = room.book.state()
        coming = coming_answers(room.klass, state, answer)
        room.pdfs.draw_ahead([(key, answer.item, state.pages(key, answer.item)) for key in coming])
    return call.page("answer.html", **page)


def show_second(call: Call) -> Response:
    """The page of an answer for a second grading that is blind."""
    return call.page("answer.html", **page_of(call, _answer(call), second=True))


def page_of(call: Call, answer: Answer, *, second: bool = False) -> dict[str, Any]:
    """What the page of an answer shows. In a second grading that is blind, without what others decided."""
    room = call.site.room
    klass, book = room.klass, room.book
    item = klass.item(answer.item)
    holder = book.hold(call.who, answer.submission, answer.item, LOCK_SECONDS)
    state = book.state()
    grade = state.second(answer.item).get(answer.submission) if second else state.grade(answer.submission, answer.item)
    if second and grade is not None and grade.who != call.who:
        grade = None
    pages = room.pdfs.shown(answer.submission, answer.item, state.pages(answer.submission, answer.item)) if room.pdfs else None
    order = klass.order(answer.item)
    before, after = neighbor(klass, answer, -1), neighbor(klass, answer, 1)
    base = "/second" if second else ""
    return {
        "answer": answer,
        "item": item,
        "question": klass.questions[answer.item],
        "entries": list(enumerate(state.entries(answer.item), 1)),
        "most_keys": _MOST_KEYS,
        "grade": grade,
        "second": second,
        "base": base,
        "locked_by": "" if holder == call.who else holder,
        "again": not second and state.stale(answer.submission, answer.item, answer.content),
        "request": None if second else state.request(answer.submission, answer.item),
        "history": [] if second else _history(state, answer),
        "note": _note(state, answer),
        "place": order.index(answer.submission) + 1,
        "total": len(order),
        "progress": item_progress(klass, state, answer.item, paces(state, [answer.item])[answer.item]),
        "previous": address(before) if before and not second else "",
        "following": address(after) if after and not second else "",
        "next": f"/second?after={answer.item}/{answer.handle}" if second else f"/item/{answer.item}?after={answer.handle}",
        "pdf": pages,
        "quantities": quantities_of(klass, answer.item),
        "name": _revealed(state, call, answer),
        "settle": "" if second or not call.query.get("settle") else _differing(state, answer),
    }


def _answer(call: Call) -> Answer:
    return call.site.room.klass.answer(call.path["item"], call.path["handle"])


def _history(state: State, answer: Answer) -> list[dict[str, Any]]:
    return [
        {"who": event.who, "at": event.at, "what": told(state, event), "undone": state.is_undone(event)}
        for event in reversed(state.history(answer.submission, answer.item))
    ]


def _differing(state: State, answer: Answer) -> str:
    """Both gradings of an answer, in words."""
    given = state.log.at(answer.submission, answer.item, Kind.grade)[-1:]
    parts = [f"{event.who} gave {points_of(state, event):g}" for event in given]
    second = state.second(answer.item).get(answer.submission)
    return ", ".join([*parts, *([f"{second.who} gave {second.points:g}"] if second else [])])


def _note(state: State, answer: Answer) -> str:
    return next((note.text for note in state.notes(answer.submission) if note.item == answer.item), "")


def _revealed(state: State, call: Call, answer: Answer) -> str:
    """The student's name, where this grader asked for it."""
    asked = state.log.at(answer.submission, answer.item, Kind.reveal)
    if any(event.who == call.who for event in asked):
        return call.site.room.klass.graded.students[answer.submission].shown
    return ""


# -- what is recorded ------------------------------------------------------------------------------------------------


def save(call: Call) -> Response:
    """Record a grade, or the one that settles two different ones."""
    return _save(call, Kind.settle if call.form.get("settle") else Kind.grade)


def save_second(call: Call) -> Response:
    """Record what a second grader gives."""
    return _save(call, Kind.second)


def _save(call: Call, kind: Kind) -> Response:
    room, answer = call.site.room, _answer(call)
    holder = room.book.hold(call.who, answer.submission, answer.item, LOCK_SECONDS)
    if holder != call.who:
        raise UsageError(f"{holder} has this answer open; it was not saved")
    seen = call.form.get("content", "")
    if seen and seen != answer.content:
        raise UsageError("The answer has changed since you opened it; reload the page and look again")
    data = grade_data(call.entries, call.form, answer.content)
    state = room.book.state()
    if kind is not Kind.second:
        _refuse_unseen(call, state.grade(answer.submission, answer.item))
    decision = grading(answer, data, state, kind)
    act = "" if decision is None else room.book.record(call.who, [decision], act=act_of(call.form))
    state = room.book.state()
    points = state.points_of(answer.item, [str(name) for name in call.entries], float(str(data["adjustment"])))
    is_graded = decision is not None and decision.kind is not Kind.clear
    progress = item_progress(room.klass, state, answer.item, paces(state, [answer.item])[answer.item])
    worth = room.klass.item(answer.item).points
    message = f"saved: {points:g} of {worth:g}" if is_graded else "saved: no grade"
    return call.done(
        message,
        address(answer),
        act=act,
        points=points if is_graded else None,
        graded=progress.graded,
        total=progress.total,
        left="" if progress.left is None else duration(progress.left),
    )


def _refuse_unseen(call: Call, grade: Grade | None) -> None:
    """Refuse to replace a grade that somebody else gave after the page was opened, when its lock had expired."""
    known = call.form.get("graded")
    if grade is None or known is None or grade.who == call.who or grade.act == known:
        return
    raise UsageError(f"{grade.who} has graded this answer since you opened it; reload the page")


def undo(call: Call) -> Response:
    """Take back the last thing that this grader did."""
    room = call.site.room
    state = room.book.state()
    events = last_act(state, call.who)
    if not events:
        return call.done("nothing to undo", "/")
    room.book.undo(call.who, events[0].act)
    first = events[0]
    shown = room.klass.answers.get(first.item or "", {}).get(first.submission or "")
    where = address(shown) if shown is not None else ""
    what = f"undone: {told(state, first)}" + (f" and {len(events) - 1} more" if len(events) > 1 else "")
    return call.done(what, where or "/", where=where)


def keep(call: Call) -> Response:
    """Extend the locks of the answers that a page shows and has ready."""
    room = call.site.room
    klass = room.klass
    for place in call.form.get("open", "").split()[:4]:
        item, _, handle = place.partition("/")
        answer = klass.answer(item, handle)
        room.book.lock(call.who, answer.submission, answer.item, LOCK_SECONDS)
    return call.done("kept")


def reveal(call: Call) -> Response:
    """Show the student's name to this grader, which is logged."""
    answer = _answer(call)
    call.site.room.book.record(call.who, [Decision(Kind.reveal, answer.submission, answer.item)])
    return call.done("the name is shown, and that was logged", address(answer))


def note(call: Call) -> Response:
    """Record a note to the student on this item."""
    answer = _answer(call)
    text = call.form.get("text", "").strip()
    call.site.room.book.record(call.who, [Decision(Kind.note, answer.submission, answer.item, {"text": text})])
    return call.done("saved", address(answer))


def ask_regrade(call: Call) -> Response:
    """Record a regrade request with the student's text, which reopens the item."""
    answer = _answer(call)
    text = call.form.get("text", "").strip()
    if not text:
        raise UsageError("paste what the student wrote")
    call.site.room.book.record(call.who, [Decision(Kind.request, answer.submission, answer.item, {"text": text})])
    return call.done("reopened", address(answer))


def answer_regrade(call: Call) -> Response:
    """Record how a regrade request was decided."""
    answer = _answer(call)
    request = call.site.room.book.state().request(answer.submission, answer.item)
    if request is None or not request.is_open:
        raise UsageError("there is no open regrade request on this answer")
    data = {"outcome": call.form.get("outcome", ""), "text": call.form.get("text", "").strip()}
    call.site.room.book.record(call.who, [Decision(Kind.answer, answer.submission, answer.item, data)])
    return call.done("answered", address(answer))


def choose_pages(call: Call) -> Response:
    """Remember which pages of the PDF hold this answer."""
    answer = _answer(call)
    pages = page_numbers(call.form.get("pages", ""))
    call.site.room.book.record(call.who, [Decision(Kind.pages, answer.submission, answer.item, {"pages": [*pages]})])
    return call.done("saved", address(answer))


def page_numbers(text: str) -> Sequence[int]:
    """Page numbers such as ``2, 4-6``; raises `UsageError`."""
    found: list[int] = []
    for part in filter(None, re.split(r"[,;\s]+", text.strip())):
        match = re.fullmatch(r"(\d{1,4})(?:[-\u2013](\d{1,4}))?", part)
        if match is None or len(found) > 400:
            raise UsageError(f"pages: write them as 2, 4-6, not {part[:40]}")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    if not found or min(found) < 1:
        raise UsageError("pages: name at least one page; they count from 1")
    return tuple(dict.fromkeys(found))


# -- images ----------------------------------------------------------------------------------------------------------


def image(call: Call) -> Response:
    """An image of the notebook, encoded anew."""
    room, answer, number = call.site.room, _answer(call), int(call.path["number"])
    data = room.pictures.of((answer.submission, answer.item, answer.content, number), lambda: room.image(answer, number))
    if data is None:
        raise NotThere("the image cannot be decoded")
    return Response(data, media_type="image/png", headers=_IMAGE_HEADERS)


def page(call: Call) -> Response:
    """A page of the PDF."""
    answer, pdfs = _answer(call), call.site.room.pdfs
    if pdfs is None:
        raise NotThere("this review has no PDFs; start it with --pdfs")
    return FileResponse(pdfs.image(answer.submission, int(call.path["number"])), media_type="image/png", headers=_IMAGE_HEADERS)


