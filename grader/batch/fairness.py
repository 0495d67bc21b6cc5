"""Whether grades depend on the seed: which verdicts differ between the class's seed and others, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from grader.batch.rechecks import Recheck, rechecks_of
from grader.batch.store import Manifest, Record, Store, StoredVerdict
from grader.insight.rates import Rate
from grader.report.terminal import points
from grader.scoring.result import totals
from grader.scoring.rubric import AutomaticItem, Rubric
from grader.scoring.score import score
from grader.scoring.verdict import Verdict, VerdictStatus
from grader.text.safe_text import for_markdown, one_line


@dataclass(frozen=True)
class ChangedVerdict:
    """A verdict on one content that differs with at least one of the other seeds."""

    keys: tuple[str, ...]
    """Those who handed the content in."""
    item: str
    criterion: str
    property_name: str
    title: str
    """The property in a sentence."""
    status: VerdictStatus
    """With the class's seed."""
    others: tuple[VerdictStatus, ...]
    """With the other seeds, in their order."""
    message: str
    """What a seed found with which the property did not pass."""
    counterexample: str

    @property
    def in_words(self) -> str:
        """``passed; with other seeds: failed once, passed twice``."""
        counts = Counter(self.others)
        times = {1: "once", 2: "twice"}
        others = ", ".join(f"{status} {times.get(often, f'{often} times')}" for status, often in counts.items())
        return f"{self.status}; with other seeds: {others}"


@dataclass(frozen=True)
class ChangedScore:
    """The points of one content that would differ with at least one of the other seeds."""

    keys: tuple[str, ...]
    score: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Fairness:
    """What judging a class again with other seeds found."""

    seeds: int
    """Other seeds that at least one submission was judged with."""
    known: int
    """Contents that could be judged again."""
    changed: tuple[ChangedVerdict, ...]
    scores: tuple[ChangedScore, ...]
    verdicts: Rate
    """Changed verdicts of those that were judged again. Those of one submission depend on each other."""
    submissions: Rate
    """Submissions with a changed verdict of those that were judged again. They are independent, so the bound holds."""
    errors: int
    """Verdicts that the grader itself could not reach with one of the seeds; they count nowhere else."""


def rate_in_words(rate: Rate, what: str) -> str:
    """``2 of 90 verdicts changed (2.2%, at most 6.8% with 95% confidence)``."""
    if rate.share is None or rate.bound is None:
        return f"no {what} were judged again"
    return (
        f"{rate.count} of {rate.total} {what} changed ({rate.share:.2%}; at most {rate.bound:.2%} with 95% confidence)"
    )


def fairness_of(
    store: Store, manifest: Manifest, rubric: Rubric, records: Mapping[str, Record]
) -> Fairness | None:
    """What the store knows of other seeds; None where nothing was judged again."""
    keys: dict[str, list[str]] = {}
    for member in manifest.members:
        keys.setdefault(member.digest, []).append(member.key)
    known_again = rechecks_of(store, manifest.context)
    changed: list[ChangedVerdict] = []
    scores: list[ChangedScore] = []
    seeds = known = compared = differing = affected = errors = judged = 0
    for digest, record in sorted(records.items()):
        if not record.verdicts or digest not in keys:
            continue
        known += 1
        again = known_again.get(digest)
        if not again:
            continue
        judged += 1
        seeds = max(seeds, *(each.number for each in again))
        pairs = _Pairs(record.verdicts, again, tuple(sorted(keys[digest])))
        found = list(pairs.changed(rubric))
        compared += pairs.compared
        differing += pairs.differing
        errors += pairs.errors
        affected += bool(found)
        changed += found
        scores += pairs.score(rubric) if found else []
    if not judged:
        return None
    return Fairness(
        seeds, known, tuple(changed), tuple(scores), Rate(differing, compared), Rate(affected, judged), errors
    )


class _Pairs:
    """The verdicts on one content with the class's seed, beside those with others."""

    def __init__(
        self, verdicts: Mapping[str, StoredVerdict], again: Sequence[Recheck], keys: tuple[str, ...]
    ) -> None:
        self.verdicts, self.again, self.keys = verdicts, again, keys
        self.compared = self.differing = self.errors = 0

    def changed(self, rubric: Rubric) -> Iterator[ChangedVerdict]:
        """The verdicts that differ, in the rubric's order; counts all that are compared."""
        for item in rubric.automatic:
            for criterion in item.criteria:
                for name in criterion.properties:
                    first = self.verdicts.get(name)
                    others = [each.verdicts[name] for each in self.again if name in each.verdicts]
                    if first is None or not others:
                        continue
                    if first.status == "error":
                        self.errors += 1
                        continue
                    self.errors += sum(other.status == "error" for other in others)
                    others = [other for other in others if other.status != "error"]
                    self.compared += len(others)
                    differing = sum(other.status != first.status for other in others)
                    self.differing += differing
                    if differing:
                        worst = next((each for each in (first, *others) if each.status == "failed"), others[0])
                        yield ChangedVerdict(
                            self.keys,
                            item.id,
                            criterion.id,
                            name,
                            first.title or worst.title,
                            first.status,
                            tuple(other.status for other in others),
                            worst.message,
                            worst.counterexample or "",
                        )

    def score(self, rubric: Rubric) -> list[ChangedScore]:
        """The points that differ, with those of the automatic items alone; empty where they are the same."""
        first = _points(rubric, self.verdicts)
        others = [_points(rubric, {**self.verdicts, **each.judged}) for each in self.again]
        if all(other == first for other in others):
            return []
        return [ChangedScore(self.keys, first, min(others), max(others))]


def _points(rubric: Rubric, verdicts: Mapping[str, StoredVerdict]) -> float:
    items = tuple(item for item in rubric.items if isinstance(item, AutomaticItem))
    judged: dict[str, Verdict] = {name: stored.verdict() for name, stored in verdicts.items()}
    return totals(score(rubric.model_copy(update={"items": items}), judged)).score


def recheck_markdown(fairness: Fairness) -> str:
    """What other seeds found, as `recheck.md` states it."""
    return "\n".join(_markdown(fairness)) + "\n"


def _markdown(fairness: Fairness) -> Iterator[str]:
    yield f"# Judged again with {fairness.seeds} other seed{'' if fairness.seeds == 1 else 's'}"
    yield ""
    yield f"- {for_markdown(rate_in_words(fairness.submissions, 'submissions'))}"
    yield f"- {for_markdown(rate_in_words(fairness.verdicts, 'verdicts'))}"
    yield f"- the class has {fairness.known} different submissions; the sample is random"
    if fairness.errors:
        yield f"- verdicts that the grader itself failed to reach: {fairness.errors}"
    yield ""
    yield "No grade depends on this. Submissions are independent, so their bound holds; verdicts on one submission are not."
    if not fairness.changed:
        return
    yield ""
    yield "| submission | criterion | property | verdict | found |"
    yield "|---|---|---|---|---|"
    for each in fairness.changed:
        cells = (", ".join(each.keys), each.criterion, each.property_name, each.in_words, one_line(each.message))
        yield f"| {' | '.join(for_markdown(cell) for cell in cells)} |"
    if fairness.scores:
        yield ""
        yield "| submission | automatic points | lowest with another seed | highest |"
        yield "|---|---:|---:|---:|"
        for changed in fairness.scores:
            given = (points(changed.score), points(changed.lowest), points(changed.highest))
            yield f"| {for_markdown(', '.join(changed.keys))} | {' | '.join(given)} |"
