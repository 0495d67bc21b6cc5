"""Alike answers that one decision grades: similarity proposes, the person decides, and one undo takes it back."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from grader.errors import UsageError
from grader.gradebook.events import Decision
from grader.insight.alike import Group, alike
from grader.review.classroom import Answer, Class
from grader.review.desk import LOCK_SECONDS, act_of, grade_data, grading, is_empty, last_act
from grader.review.events import told
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

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the submissions."""
        return frozenset(member.answer.submission for member in self.members)


class Groups:
    """The groups of each item, computed once for the answers that there are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[tuple[str, ...], tuple[Group, ...]]] = {}

    def of(self, klass: Class, item: str, with_pdf: Collection[str] = ()) -> tuple[Proposal, ...]:
        """The proposed groups of an item, the largest first.

        Who handed in a PDF (``with_pdf``, by key) may have answered there, so an empty notebook says nothing about them.
        """
        answers = klass.answers[item]
        gradable = {key: answer for key, answer in answers.items() if not answer.problem and not _has_more(answer)}
        state = tuple(answer.content for answer in gradable.values())
        with self._lock:
            known = self._known.get(item)
            if known is None or known[0] != state:
                texts = {key: answer.text for key, answer in gradable.items()}
                known = state, alike(texts, klass.questions[item].template)
                self._known[item] = known
        proposals = (_proposal(group, answers, with_pdf) for group in known[1])
        return tuple(sorted((each for each in proposals if len(each.members) > 1), key=lambda each: -len(each.members)))


GROUPS = Groups()
"""For all pages of this process; groups are told apart by the content of their answers."""


def _has_more(answer: Answer) -> bool:
    """Whether an answer shows more than its text says, or shows what only its notebook says."""
    return any(each.data or each.kind == "reported_accuracy" for each in answer.evidence)


def _proposal(group: Group, answers: Mapping[str, Answer], with_pdf: Collection[str]) -> Proposal:
    members = [
        Member(answers[key], value)
        for key, value in zip(group.members, group.similarity, strict=True)
        if group.kind != "blank" or key not in with_pdf
    ]
    return Proposal(group.kind, _KINDS[group.kind], tuple(members))


def _inside(proposals: Sequence[Proposal], place: int) -> int:
    """The number, from 1, of a group that has all members of another one and comes before it; 0 if there is none."""
    return next((n for n, each in enumerate(proposals[:place], 1) if proposals[place].keys <= each.keys), 0)


def show(call: Call) -> Response:
    """The groups of an item."""
    room = call.site.room
    klass = room.klass
    item = klass.item(call.path["item"])
    state = room.book.state()
    with_pdf = frozenset(key for key, answer in klass.answers[item.id].items() if answer.has_pdf)
    proposals = GROUPS.of(klass, item.id, with_pdf)
    grades = {key: state.grade(key, item.id) for key in klass.answers[item.id]}
    return call.page(
        "groups.html",
        item=item,
        entries=list(enumerate(state.entries(item.id), 1)),
        proposals=proposals,
        inside=[_inside(proposals, place) for place in range(len(proposals))],
        grades=grades,
        graded=[key for key, grade in grades.items() if grade is not None],
        with_pdf=with_pdf,
        last=[told(state, event) for event in last_act(state, call.who)[:1]],
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
