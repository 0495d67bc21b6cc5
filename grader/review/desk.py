"""What one grader does next: which answer comes, what a saved form decides, and what undoing takes back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grader.errors import UsageError
from grader.gradebook.book import Gradebook
from grader.gradebook.events import JSON, Decision, Event, Kind
from grader.gradebook.state import State
from grader.insight.agreement import Grading, second_sample
from grader.review.classroom import Answer, Class, in_order_after
from grader.review.progress import waits

LOCK_SECONDS = 120.0
_ACT = re.compile(r"[0-9a-f]{32}")
_UNDOABLE = frozenset(Kind) - {Kind.undo, Kind.reveal}
_COMING = 8
SECOND_SHARE = 0.05


@dataclass
class Skipped:
    """The answers that a grader put off, by name of the grader; they come last."""

    by_grader: dict[str, set[tuple[str, str]]] = field(default_factory=dict)

    def add(self, who: str, answer: Answer) -> None:
        """Put an answer off."""
        self.by_grader.setdefault(who, set()).add((answer.submission, answer.item))

    def has(self, who: str, submission: str, item: str) -> bool:
        """Whether an answer was put off."""
        return (submission, item) in self.by_grader.get(who, ())


def next_answer(
    klass: Class, book: Gradebook, who: str, item: str, after: str | None = None, skipped: Skipped | None = None
) -> Answer | None:
    """Lock the next answer without a grade for a grader and return it; None if there is none that nobody has open.

    ``after`` is the key of the submission that the grader looks at now.
    """
    state = book.state()
    order = [key for key in in_order_after(klass.order(item), after) if waits(state, klass.answers[item][key])]
    if skipped is not None:
        order.sort(key=lambda key: skipped.has(who, key, item))
    key = book.claim(who, item, order, LOCK_SECONDS, seen=state.log.last)
    return None if key is None else klass.answers[item][key]


def coming_answers(klass: Class, state: State, answer: Answer) -> list[str]:
    """The submissions whose answers are likely to be opened after an answer, so that their pages can be drawn."""
    answers = klass.answers[answer.item]
    others = in_order_after(klass.order(answer.item), answer.submission)
    waiting = (key for key in others if waits(state, answers[key]))
    return list(itertools.islice(waiting, _COMING))


def neighbor(klass: Class, answer: Answer, step: int) -> Answer | None:
    """The answer so many steps on in the order of its item."""
    order = klass.order(answer.item)
    place = order.index(answer.submission) + step
    return klass.answers[answer.item][order[place]] if 0 <= place < len(order) else None


def act_of(form: Mapping[str, str]) -> str | None:
    """The id that a page gave to an action, so that a repeated request records nothing again."""
    act = form.get("act", "")
    if act and not _ACT.fullmatch(act):
        raise UsageError("act: must be 32 hexadecimal digits")
    return act or None


def grade_data(entries: Sequence[str], form: Mapping[str, str], content: str) -> dict[str, JSON]:
    """The data of a grade by what a form says; raises `UsageError`."""
    chosen: list[JSON] = list(dict.fromkeys(entries))
    adjustment = number(form.get("adjustment", ""), "adjustment")
    return {"entries": chosen, "adjustment": adjustment, "comment": form.get("comment", "").strip(), "content": content}


def is_empty(data: Mapping[str, JSON]) -> bool:
    """Whether a grade says nothing at all."""
    return not data["entries"] and not data["adjustment"] and not data["comment"]


def number(text: str, name: str) -> float:
    """A number in a form; an empty field is 0. Raises `UsageError`."""
    text = text.strip().replace(",", ".").replace("\u2212", "-")
    try:
        value = float(text or 0)
    except ValueError:
        raise UsageError(f"{name}: {text[:40]} is not a number") from None
    if not abs(value) <= 1000:
        raise UsageError(f"{name}: must be between -1000 and 1000")
    return value


def grading(answer: Answer, data: Mapping[str, JSON], state: State, kind: Kind = Kind.grade) -> Decision | None:
    """The decision that a saved grade is; None where an empty form leaves an answer without a grade."""
    if kind is Kind.grade and is_empty(data):
        # All entries taken off again: the answer waits for a grade once more.
        has_grade = state.grade(answer.submission, answer.item) is not None
        return Decision(Kind.clear, answer.submission, answer.item) if has_grade else None
    return Decision(kind, answer.submission, answer.item, data)


def last_act(state: State, who: str) -> list[Event]:
    """The events of the last act of a grader that was not undone; empty if there is none."""
    last: Event | None = None
    for events in state.log.events.values():
        for event in reversed(events):
            if event.who == who and event.kind in _UNDOABLE and not state.is_undone(event):
                if last is None or event.id > last.id:
                    last = event
                break
    if last is None:
        return []
    return [event for events in state.log.events.values() for event in events if event.act == last.act]


def gradings_of(klass: Class, state: State) -> list[Grading]:
    """All first and second gradings that hold, as plain data."""
    found = []
    for item in klass.items:
        second = state.second(item)
        for key in klass.answers[item]:
            given = state.log.at(key, item, Kind.grade)
            if not given or state.grade(key, item) is None:
                continue
            first = given[-1]
            found.append(Grading(key, item, first.who, points_of(state, first)))
            if key in second and second[key].who != first.who:
                found.append(Grading(key, item, second[key].who, second[key].points))
    return found


def points_of(state: State, event: Event) -> float:
    """What a grade that was recorded is worth by the entries of today."""
    given, adjustment = event.data["entries"], event.data.get("adjustment")
    chosen = [str(name) for name in given] if isinstance(given, list) else []
    return state.points_of(event.item or "", chosen, adjustment if isinstance(adjustment, (int, float)) else 0.0)


def second_queue(klass: Class, state: State, who: str) -> list[Answer]:
    """The answers that a grader is asked to grade a second time, without seeing the first grade."""
    gradings = gradings_of(klass, state)
    graders = {grading.grader for grading in gradings} | {who}
    if len(graders) < 2:
        return []
    drawn = second_sample(gradings, graders, share=SECOND_SHARE)
    return [klass.answers[each.item][each.submission] for each in drawn if each.grader == who]
