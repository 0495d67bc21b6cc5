"""The pages on the class as a whole: progress, lists, search, agreement between graders, and final grades."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from starlette.responses import RedirectResponse, Response

from grader.errors import UsageError
from grader.grades.final import compose
from grader.grades.students import Student
from grader.insight.agreement import agreements, disagreements, grader_means
from grader.review.desk import gradings_of, last_act, second_queue
from grader.review.events import told
from grader.review.pdfs import Pdfs
from grader.review.progress import grader_progress, item_progress, looks_again, paces, waits
from grader.review.submissions import flags_of
from grader.review.web import Call
from grader.text.safe_text import one_line

_MOST_FOUND = 100


def show(call: Call) -> Response:
    """Progress by item and by grader, and what needs attention."""
    room = call.site.room
    klass, state = room.klass, room.book.state()
    pace = paces(state, klass.items)
    items = [item_progress(klass, state, item, pace[item]) for item in klass.items]
    flags = [
        (key, student, sum(name not in {each.flag for each in state.flags(key) if each.resolved} for name in open_flags))
        for key, student in klass.graded.students.items()
        if (open_flags := flags_of(klass.result(key)))
    ]
    return call.page(
        "overview.html",
        items=items,
        graders=grader_progress(state),
        locks=room.book.locks(),
        left=sum((item.left for item in items if item.left is not None), start=timedelta()),
        has_pace=any(item.left is not None for item in items),
        flags=[(key, student, count) for key, student, count in flags if count],
        second=len(second_queue(klass, state, call.who)),
        start=next((item for item in items if not item.is_done), None),
        pdfs=room.pdfs,
        pdf_lists=_lists(room.pdfs, klass.graded.students) if room.pdfs else [],
        last=[told(state, event) for event in last_act(state, call.who)[:1]],
        link=call.query.get("link", ""),
    )


def _lists(pdfs: Pdfs, students: Mapping[str, Student]) -> list[tuple[str, list[str]]]:
    """What is wrong with the PDFs, by kind."""
    names = {key: student.shown for key, student in students.items()}
    return [
        ("Belong to nobody", [f"{each.file}: {each.reason}" for each in pdfs.pairing.unpaired]),
        ("Students without a PDF", [names[key] for key in pdfs.pairing.missing if key in names]),
        ("Cannot be read", [problem for _, problem in pdfs.problems()]),
    ]


def ask_name(call: Call) -> Response:
    """Ask who grades."""
    return call.page("name.html")


def set_name(call: Call) -> Response:
    """Remember the grader's name for this browser."""
    name = one_line(call.form.get("who", ""), 80).strip()
    if not name:
        raise UsageError("give your name, which is recorded with each decision")
    call.site.access.name(call.session, name)
    return RedirectResponse("/", 303)


def invite(call: Call) -> Response:
    """Make a one-time address for another grader."""
    token = call.site.access.new_token()
    host = call.request.headers["host"]
    return call.page("invite.html", address=f"http://{host}/?token={token}")


def answers(call: Call) -> Response:
    """All answers to an item, in the order in which they are graded, with who graded what."""
    room = call.site.room
    klass, state = room.klass, room.book.state()
    item = klass.item(call.path["item"])
    only = call.query.get("only", "")
    rows = [
        {
            "answer": answer,
            "grade": state.grade(answer.submission, item.id),
            "again": looks_again(state, answer),
            "waits": waits(state, answer),
            "texts": {entry.id: entry.text for entry in state.entries(item.id)},
        }
        for answer in klass.answers[item.id].values()
    ]
    chosen = {"waiting": "waits", "again": "again"}.get(only)
    return call.page("answers.html", item=item, rows=[row for row in rows if chosen is None or row[chosen]], only=only)


def search(call: Call) -> Response:
    """Answers that contain a text, and students with such a name or id."""
    room = call.site.room
    klass, state = room.klass, room.book.state()
    wanted = one_line(call.query.get("q", ""), 200).strip()
    folded = wanted.casefold()
    found: list[dict[str, Any]] = []
    students = []
    if folded:
        for item, by_key in klass.answers.items():
            for answer in by_key.values():
                place = answer.text.casefold().find(folded)
                if place >= 0 or folded == answer.handle:
                    start = max(0, place - 60)
                    excerpt = one_line(answer.text[start : start + 160], 200)
                    found.append({"answer": answer, "excerpt": excerpt, "grade": state.grade(answer.submission, item)})
        students = [
            (key, student)
            for key, student in klass.graded.students.items()
            if any(folded in text.casefold() for text in (student.name, student.sid, student.email, student.login, key))
        ]
    return call.page(
        "search.html", wanted=wanted, found=found[:_MOST_FOUND], students=students[:_MOST_FOUND], count=len(found)
    )


def agreement(call: Call) -> Response:
    """How far graders agree, which answers differ, and how each grader's mean compares."""
    room = call.site.room
    klass, state = room.klass, room.book.state()
    gradings = gradings_of(klass, state)
    settled = {item: set(state.settled(item)) for item in klass.items}
    return call.page(
        "agreement.html",
        agreements=agreements(gradings),
        differing=[
            (klass.answers[each.item][each.submission], each, each.submission in settled[each.item])
            for each in disagreements(gradings)
        ],
        means=grader_means(gradings),
        queue=second_queue(klass, state, call.who),
        graders=sorted({grading.grader for grading in gradings}),
    )


def next_second(call: Call) -> Response:
    """Go to the next answer that this grader is asked to grade a second time."""
    room = call.site.room
    queue = second_queue(room.klass, room.book.state(), call.who)
    current = call.query.get("after", "")
    for answer in queue:
        if f"{answer.item}/{answer.handle}" != current and room.book.lock(call.who, answer.submission, answer.item):
            return RedirectResponse(f"/second/item/{answer.item}/{answer.handle}", 303)
    return RedirectResponse("/agreement", 303)


def grades(call: Call) -> Response:
    """Final grades as they are composed now."""
    room = call.site.room
    klass, state = room.klass, room.book.state()
    graded = klass.graded
    final = compose(graded.rubric, graded.results, state, graded.students)
    totals = [each.total for each in final if each.total is not None]
    return call.page(
        "grades.html",
        folder=room.folder.name,
        rubric=graded.rubric,
        final=sorted(final, key=lambda each: (each.total is not None, each.student.shown)),
        done=len(totals),
        mean=sum(totals) / len(totals) if totals else None,
        requests=sum(
            request is not None and request.is_open
            for item in klass.items
            for key in klass.answers[item]
            if (request := state.request(key, item)) is not None
        ),
    )
