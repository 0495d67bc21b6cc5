"""Alike answers that one decision grades: similarity proposes, the person decides, and one undo takes it back."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from grader.errors import UsageError
from grader.gradebook.events import Decision
from grader.insight.alike import Group, alike
from grader.review.classroom import Answer, Class
from grader.review.desk import LOCK_SECONDS, act_of, grade_data, grading, is_empty
from grader.review.web import Call

_KINDS = {
    "blank": "No answer: nothing beyond the template",
    "identical": "Identical after normalization",
    "similar": "Similar: the same numbers, formulas and negations, and most words",
}


@dataclass(frozen=True)
class Member:
    """An answer in a group. ``similarity`` is that to the first one."""

    answer: Answer
    similarity: float


@dataclass(frozen=True)
class Proposal:
    """Answers that may be graded together, and why."""

    kind: str
    why: str
    members: tuple[Member, ...]


class Groups:
    """The groups of each item, computed once for the answers that there are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[tuple[str, ...], tuple[Group, ...]]] = {}

    def of(self, klass: Class, item: str) -> tuple[Proposal, ...]:
        """The proposed groups of an item, the largest first."""
        answers = klass.answers[item]
        gradable = {key: answer for key, answer in answers.items() if not answer.problem and not _has_more(answer)}
        state = tuple(answer.content for answer in gradable.values())
        with self._lock:
            known = self._known.get(item)
            if known is None or known[0] != state:
                texts = {key: answer.text for key, answer in gradable.items()}
                known = state, alike(texts, klass.questions[item].template)
                self._known[item] = known
        return tuple(_proposal(group, answers) for group in known[1])


GROUPS = Groups()
"""For all pages of this process; groups are told apart by the content of their answers."""


def _has_more(answer: Answer) -> bool:
    """Whether an answer shows more than its text says, or shows what only its notebook says."""
    return any(each.data or each.kind == "reported_accuracy" for each in answer.evidence)


def _proposal(group: Group, answers: Mapping[str, Answer]) -> Proposal:
    members = zip(group.members, group.similarity, strict=True)
    return Proposal(group.kind, _KINDS[group.kind], tuple(Member(answers[key], value) for key, value in members))


def show(call: Call) -> Response:
    """The groups of an item."""
    room = call.site.room
    klass = room.klass
    item = klass.item(call.path["item"])
    state = room.book.state()
    proposals = GROUPS.of(klass, item.id)
    grades = {key: state.grade(key, item.id) for key in klass.answers[item.id]}
    return call.page(
        "groups.html", item=item, entries=list(enumerate(state.entries(item.id), 1)), proposals=proposals, grades=grades
    )


def grade(call: Call) -> Response:
    """Grade the ticked members of a group as one act."""
    room = call.site.room
    klass, book = room.klass, room.book
    item = klass.item(call.path["item"]).id
    if not call.chosen:
        raise UsageError("tick at least one answer")
    if not call.entries:
        raise UsageError("choose at least one rubric entry")
    answers = [klass.answer(item, handle) for handle in dict.fromkeys(call.chosen)]
    free = [answer for answer in answers if book.lock(call.who, answer.submission, item, LOCK_SECONDS)]
    state = book.state()
    decisions: list[Decision] = []
    for answer in free:
        data = grade_data(call.entries, call.form, answer.content)
        decision = None if is_empty(data) else grading(answer, data, state)
        if decision is not None:
            decisions.append(decision)
    if not decisions:
        raise UsageError("others have all of these answers open; nothing was saved")
    act = book.record(call.who, decisions, act=act_of(call.form))
    for answer in free:
        book.release(call.who, answer.submission, item)
    left: Any = len(answers) - len(free)
    message = f"saved: {len(decisions)} answers" + (f"; {left} left out, as others have them open" if left else "")
    return call.done(message, f"/groups/{item}", act=act)
