"""Judges submissions of a class again with other seeds than the class's. No grade depends on what comes of it."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from grader.assignment import Assignment
from grader.batch.jobs import Backend, Job, Progress, grade_job, pack_assignment
from grader.batch.pool import Lost
from grader.batch.rechecks import Recheck, keep_recheck, load_recheck
from grader.batch.store import Record, Store, StoredVerdict
from grader.batch.submissions import Entry
from grader.grade import Judged
from grader.scoring.verdict import Verdict
from grader.text.safe_text import one_line

SAMPLE = 30
"""Submissions that are judged again by default: if no verdict changes, at most 1 in 10 is affected, with 95% confidence."""


@dataclass(frozen=True)
class Asked:
    """How a class is judged again.

    Args:
        seeds: how many other seeds.
        sample: how many submissions; None means all.
    """

    seeds: int
    sample: int | None = SAMPLE


def other_seed(seed: bytes, number: int) -> bytes:
    """The Nth other seed, which nobody can predict who does not know the class's."""
    return hashlib.sha256(b"hw3 recheck/%d/" % number + seed).digest()


def sampled(contents: Collection[str], seed: bytes, size: int | None) -> list[str]:
    """A random sample of contents. The same seed draws the same ones, and a larger sample contains a smaller one."""
    lot = other_seed(seed, 0)
    return sorted(contents, key=lambda content: hashlib.sha256(lot + content.encode()).digest())[:size]


class Rechecking:
    """Judges a sample of the contents that were judged, going on from what the store knows."""

    def __init__(
        self,
        store: Store,
        assignment: Assignment,
        context: str,
        backend: Backend,
        show: Callable[[Progress], None],
    ) -> None:
        self.store, self.assignment, self.context = store, assignment, context
        self.backend, self.show = backend, show
        self.progress = Progress(doing="judged again")
        self.lost: list[str] = []

    def run(
        self,
        asked: Asked,
        records: Mapping[str, Record],
        entries: Sequence[Entry],
        only: tuple[str, ...] | None,
        jobs: int,
        seconds: float,
    ) -> None:
        """Judge with each other seed what it has no verdict on. ``lost`` then says what the grader could not judge.

        ``only`` are properties, by default all; ``seconds`` is what one submission may take.
        """
        able = {entry.digest: entry for entry in entries if entry.digest in records and records[entry.digest].verdicts}
        chosen = sampled(able, self.assignment.seed, asked.sample)
        wanted = only or self.assignment.rubric.properties
        work = []
        for number in range(1, asked.seeds + 1):
            other = replace(self.assignment, seed=other_seed(self.assignment.seed, number))
            packed = pack_assignment(other)
            todo = [
                Job(able[content].path, content, packed, missing, seconds, able[content].name, seed_number=number)
                for content, missing in self._missing(chosen, wanted, number)
            ]
            work.append((number, other, todo))
        self.progress.total = sum(len(todo) for _, _, todo in work)
        for number, other, todo in work:
            if todo:
                self._judge(number, other, todo, min(jobs or os.cpu_count() or 1, len(todo)))
        self.progress.running = []
        self.show(self.progress)

    def _missing(
        self, contents: Sequence[str], wanted: Sequence[str], number: int
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Contents with the properties that have no verdict with a seed."""
        for content in contents:
            known = load_recheck(self.store, content, self.context, number)
            judged = {} if known is None else known.judged
            if missing := tuple(name for name in wanted if name not in judged):
                yield content, missing

    def _judge(self, number: int, assignment: Assignment, work: Sequence[Job], jobs: int) -> None:
        # Cases are drawn before the workers are forked from this process, so that they share them.
        drawing = threading.Thread(target=self.backend.prepare, args=(assignment, work[0].only))
        drawing.start()
        grade = functools.partial(grade_job, judge=self.backend.judge)
        with self.backend.pool(jobs, self.store.release_in_child, self.progress.news.append) as pool:
            if pool.folder is not None:
                self.store.put(".work", str(pool.folder))
            drawing.join()
            for job, found in pool.run(grade, work, self._tick):
                self._keep(job, number, found)

    def _keep(self, job: Job, number: int, found: Judged | Lost) -> None:
        reason = found.reason if isinstance(found, Lost) else found.result.error
        self.progress.done += 1
        if isinstance(found, Lost) or found.verdicts is None:
            self.progress.failed += 1
            self.lost.append(one_line(f"{job.label}: not judged again: {reason}"))
        else:
            verdicts = {name: StoredVerdict.of(_in_words(verdict)) for name, verdict in sorted(found.verdicts.items())}
            recheck = Recheck(content=job.digest, context=self.context, number=number, verdicts=verdicts)
            keep_recheck(self.store, recheck)
        self.progress.last = f"{job.label} (seed {number})"
        self.show(self.progress)

    def _tick(self, running: list[Job]) -> None:
        self.progress.running = [job.label for job in running]
        self.show(self.progress)


def _in_words(verdict: Verdict) -> Verdict:
    """Without pictures and the like, which nobody asks of another seed."""
    return replace(verdict, pictures=(), snippet="", places=())
