"""Grades that fell since an earlier run in the same folder, and why.

What the grader gave before and gives now are compared; what people decided is not part of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from grader.batch.memory import differences
from grader.batch.store import Manifest, Member, Record, Store, Stored, StoredVerdict, read_stored
from grader.report.terminal import points
from grader.scoring.result import CriterionResult, ItemResult, Result
from grader.scoring.rubric import Rubric
from grader.text.safe_text import one_line

NAME = "falls.json"
_VERSIONS = ("python", "torch", "hypothesis", "nltk")


class Fall(Stored):
    """An item or criterion for which the grader once gave a student more points."""

    key: str
    item: str
    criterion: str = ""
    """Empty where the item as a whole fell."""
    before: float
    after: float
    verdict: str
    """What is judged otherwise now, with the property that says so, or how the rubric counts otherwise."""
    cause: str
    """What differs between the two runs."""
    date: str
    """Of the later run, as YYYY-MM-DD."""


class _Falls(Stored):
    falls: tuple[Fall, ...] = ()


@dataclass(frozen=True)
class Graded:
    """A class as it was graded at one time, by the grader alone."""

    manifest: Manifest
    rubric: Rubric
    records: Mapping[str, Record]
    results: Mapping[str, Result]


def load_falls(store: Store) -> tuple[Fall, ...]:
    """The grades that are lower than they were once."""
    found = read_stored(store.folder / NAME, _Falls)
    return () if found is None else found.falls


def record_falls(store: Store, before: Graded | None, after: Graded) -> tuple[Fall, ...]:
    """Write down which grades fell, and forget those that recovered; gives the new ones."""
    known = load_falls(store)
    new = () if before is None else tuple(falls_between(before, after))
    kept = tuple(fall for fall in known if _is_lower(fall, after) and fall not in new)
    if kept or new:
        falls = _Falls(falls=(*kept, *new)).model_dump(mode="json")
        store.put(NAME, json.dumps(falls, ensure_ascii=False, indent=1) + "\n")
    else:
        store.drop(NAME)
    return new


def falls_between(before: Graded, after: Graded) -> Iterator[Fall]:
    """The grades that are lower after than before. What is pending on either side is not compared."""
    earlier = {member.key: member for member in before.manifest.members}
    date = time.strftime("%Y-%m-%d", time.gmtime())
    for member in after.manifest.members:
        was, now = before.results.get(member.key), after.results.get(member.key)
        if was is None or now is None or member.key not in earlier:
            continue
        pair = _Pair(earlier[member.key], member, before, after)
        old = {item.id: item for item in was.items}
        for item in now.items:
            if item.id in old:
                for criterion, lost, gained, verdict in pair.fallen(old[item.id], item):
                    yield Fall(
                        key=member.key,
                        item=item.id,
                        criterion=criterion,
                        before=lost,
                        after=gained,
                        verdict=one_line(verdict),
                        cause=one_line(pair.cause(was, now)),
                        date=date,
                    )


def _is_lower(fall: Fall, after: Graded) -> bool:
    """Whether an earlier fall still holds."""
    result = after.results.get(fall.key)
    item = next((item for item in result.items if item.id == fall.item), None) if result else None
    if item is None or item.points is None:
        return False
    if not fall.criterion:
        return item.points < fall.before
    criterion = next((each for each in item.criteria if each.id == fall.criterion), None)
    return criterion is not None and criterion.status != "error" and criterion.points < fall.before


class _Pair:
    """One student, before and after."""

    def __init__(self, earlier: Member, member: Member, before: Graded, after: Graded) -> None:
        self.earlier, self.member, self.before, self.after = earlier, member, before, after

    def fallen(self, old: ItemResult, new: ItemResult) -> Iterator[tuple[str, float, float, str]]:
        """Criteria of an item, or the item where no criterion explains it: its points before and after, and the verdict."""
        found = False
        lost = old.points is not None and new.points is not None and new.points < old.points
        earlier = {criterion.id: criterion for criterion in old.criteria}
        for criterion in new.criteria:
            was = earlier.get(criterion.id)
            if was is None or "error" in (was.status, criterion.status) or criterion.points >= was.points:
                continue
            if was.status == criterion.status and not lost:
                # A rubric that moves points within an item takes nothing from who has all of them.
                continue
            found = True
            yield criterion.id, was.points, criterion.points, self._verdict(was, criterion)
        is_open = any(criterion.status == "error" for criterion in (*old.criteria, *new.criteria))
        if found or is_open or not lost or old.points is None or new.points is None:
            return
        if old.max_points != new.max_points:
            verdict = f"the item is worth {points(new.max_points)} points instead of {points(old.max_points)}"
        else:
            names = sorted({each.id for each in new.criteria} ^ set(earlier))
            verdict = f"other criteria: {', '.join(names)}" if names else "; ".join(new.notes) or "no reason was given"
        yield "", old.points, new.points, verdict

    def _verdict(self, was: CriterionResult, now: CriterionResult) -> str:
        if was.status == now.status:
            return f"worth {points(now.max_points)} points instead of {points(was.max_points)}"
        old, new = self._verdicts(self.before, self.earlier), self._verdicts(self.after, self.member)
        names = {
            criterion.id: criterion.properties for item in self.after.rubric.automatic for criterion in item.criteria
        }.get(now.id, ())
        for name in names:
            first, second = old.get(name), new.get(name)
            if first is not None and second is not None and first.status != second.status:
                return f"{name} was {first.status} and is {second.status}: {second.message}"
        for name in names:
            second = new.get(name)
            if second is not None and second.status not in ("passed", "inapplicable"):
                return f"{name}, which did not count before, is {second.status}: {second.message}"
        return now.message

    def _verdicts(self, graded: Graded, member: Member) -> Mapping[str, StoredVerdict]:
        record = graded.records.get(member.digest)
        return {} if record is None or record.verdicts is None else record.verdicts

    def cause(self, was: Result, now: Result) -> str:
        """What differs between the runs."""
        causes = list(chain(self._submission(), self._settings(), _libraries(was, now)))
        return "; ".join(causes) or "nothing differs: the verdict changes from run to run"

    def _submission(self) -> Iterator[str]:
        if self.earlier.digest != self.member.digest:
            yield "another notebook was handed in"
        elif self.earlier.weights != self.member.weights:
            yield "another checkpoint was handed in"

    def _settings(self) -> Sequence[str]:
        old, new = self.before.manifest.settings, self.after.manifest.settings
        if old is None or new is None:
            return []
        found = differences(old, new, trained=True)
        return [f"another {each.name} ({each.before}, now {each.after})" for each in found]


def _libraries(was: Result, now: Result) -> Iterator[str]:
    for name in _VERSIONS:
        old, new = getattr(was.versions, name), getattr(now.versions, name)
        if old != new:
            yield f"another version of {name} ({old}, now {new})"
