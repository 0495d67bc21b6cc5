"""A batch: which contents have to be judged, the judging and training of them, and the reports on the class."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from grader.assignment import Assignment
from grader.batch.context import code_of_homework, code_of_judging, context_of, training_context_of
from grader.batch.decisions import Decisions
from grader.batch.fairness import Fairness, fairness_of
from grader.batch.falls import Fall, record_falls
from grader.batch.jobs import Backend, Job, Progress, grade_job, pack_assignment
from grader.batch.leftovers import clear_after_a_kill
from grader.batch.memory import Settings, differences, refuse_differences, refuse_lost_students, settings_of
from grader.batch.pool import Lost
from grader.batch.recheck import Asked, Rechecking
from grader.batch.results import report
from grader.batch.roster import ROSTER, load_roster
from grader.batch.rows import scores
from grader.batch.snapshots import graded, graded_before
from grader.batch.store import Manifest, Member, Record, Store, Training
from grader.batch.submissions import Entry, find_submissions
from grader.batch.training import Trainee, Trainees, trainees_of
from grader.errors import UsageError
from grader.grade import NO_TRAINING, Judged, failure
from grader.scoring.result import Result
from grader.scoring.rubric import ManualItem, Rubric, TrainingItem
from grader.text.safe_text import one_line
from grader.training import plan as training_plan

GRACE_SECONDS = 60.0
"""What a submission may take beyond its limits, until the grader takes itself for the one that hangs."""


@dataclass(frozen=True)
class Options:
    """What a person may ask of a batch.

    Args:
        jobs: workers at the same time; 0 means one a core.
        only: items to judge, all if empty.
        rerun_failed: judge again what the grader could not judge.
        limit: at most so many submissions are judged in this run.
        training: whether models are trained as well, after all properties were judged.
        change: which of `memory.CHANGES` may differ from what the class was graded with before.
        roster: a CSV file with everyone who gets a row; by default the one that the class was graded with before.
        recheck: how submissions are judged again with other seeds; not at all by default.
    """

    jobs: int = 0
    only: tuple[str, ...] = ()
    rerun_failed: bool = False
    limit: int | None = None
    training: training_plan.Options = NO_TRAINING
    change: tuple[str, ...] = ()
    roster: Path | None = None
    recheck: Asked | None = None


@dataclass(frozen=True)
class Outcome:
    """What a batch did: ``judged`` and ``trained`` contents now, ``known`` ones before, ``left`` for another run.

    ``untrained`` says why others were not trained, with how many they are; ``gone`` were in the class before, and
    ``strange`` are files that are nobody's.
    """

    members: tuple[Member, ...]
    results: dict[str, Result]
    judged: int
    known: int
    left: int
    lost: tuple[str, ...]
    restarts: int
    trained: int = 0
    untrained: Mapping[str, int] = field(default_factory=dict)
    scores: str = ""
    """Of the class, in a line."""
    gone: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()
    imported: tuple[str, ...] = ()
    """Overrides that `overrides.yaml` brought, or withdrew, now."""
    fairness: Fairness | None = None
    """What other seeds found, also in earlier runs."""
    fell: tuple[Fall, ...] = ()
    """Grades that are lower than before this run."""


def run_batch(
    sources: Sequence[Path],
    folder: Path,
    assignment: Assignment,
    rubric_text: bytes,
    options: Options | None = None,
    show: Callable[[Progress], None] = lambda progress: None,
    backend: Backend | None = None,
) -> Outcome:
    """Grade the submissions in ``sources`` into ``folder``, going on from what is there.

    Raises `GraderError` when a source or the folder fails; what was judged until then is kept.
    """
    options = options or Options()
    wanted = _wanted(assignment.rubric, options.only)
    with Store(folder) as store:
        clear_after_a_kill(store)
        before = store.known_manifest()
        settings = settings_of(
            assignment,
            code_of_judging(),
            code_of_homework(assignment),
            data=options.training.data,
            training=options.training.mode,
            evidence_seconds=options.training.evidence_seconds,
        )
        _refuse_changes(store, before, settings, options.change)
        kept = folder / ROSTER
        roster = options.roster or (kept if kept.is_file() else None)
        students, roster_text = load_roster(roster) if roster else ((), "")
        found = find_submissions(
            sources,
            folder / "extracted",
            assignment.template,
            before.keys if before else None,
            students,
            assignment.homework,
        )
        entries = found.entries
        context = context_of(assignment)
        manifest = Manifest(
            context=context,
            seed=assignment.seed_kind,
            members=tuple(Member.of(entry) for entry in entries),
            settings=settings,
            keys=_keys(before, entries),
            sources=tuple(sorted(str(source.resolve()) for source in sources)),
            strange=found.strange,
        )
        gone = _gone(before, manifest)
        if before is not None and (before.sources != manifest.sources or options.roster):
            refuse_lost_students(folder, gone, options.change)
        decisions = Decisions(folder, manifest, assignment.rubric, before)
        earlier = graded_before(store, before)
        imported = decisions.import_file()
        store.write_manifest(manifest)
        store.put("rubric.yaml", rubric_text.decode("utf-8", "replace"))
        if roster_text:
            store.put(ROSTER, roster_text)
        records, queue = _known_and_queue(store, entries, context, wanted, options)
        left = queue[options.limit :] if options.limit is not None else []
        queue = queue[: options.limit] if options.limit is not None else queue
        known = len(records)
        run = _Run(
            store, assignment, context, wanted if options.only else None, records, show, backend or Backend()
        )
        not_yet = {entry.digest for entry in left}
        fell: tuple[Fall, ...] = ()
        try:
            trainees = run.trainees(entries, options)
            if queue:
                run.judge(queue, options)
            able = [trainee for trainee in trainees.chosen if run.can_train(trainee)]
            if able:
                run.train(able[: options.limit], trainees.at_a_time)
                not_yet |= {trainee.entry.digest for trainee in able[options.limit or len(able) :]}
            run.recheck(entries, options)
        finally:
            # Also after Ctrl-C: the reports say what is known by then.
            fell = record_falls(store, earlier, graded(store, manifest, assignment.rubric, run.records))
            rows = report(store, manifest, assignment.rubric, run.records, decisions.state())
        return Outcome(
            manifest.members,
            {row.member.key: row.result for row in rows if row.result is not None},
            run.done["graded"],
            known,
            len(not_yet),
            tuple(run.lost),
            run.restarts,
            run.done["trained"],
            trainees.others,
            scores=scores(rows, assignment.rubric),
            imported=imported,
            gone=tuple(gone),
            strange=manifest.strange,
            fairness=fairness_of(store, manifest, assignment.rubric, run.records),
            fell=fell,
        )


def _refuse_changes(
    store: Store, before: Manifest | None, settings: Settings, allowed: Collection[str]
) -> None:
    """Raise `UsageError` where a class that was graded would be graded otherwise, unless that is asked for."""
    if before is None or before.settings is None or not store.has("judged"):
        return
    found = differences(before.settings, settings, trained=store.has("trained"))
    refuse_differences(store.folder, found, allowed)


def _gone(before: Manifest | None, now: Manifest) -> list[str]:
    """Keys of those who were in the class before."""
    staying = {member.identity for member in now.members} | {member.key for member in now.members}
    return [
        member.key
        for member in (before.members if before else ())
        if member.identity and member.identity not in staying and member.key not in staying
    ]


def _keys(before: Manifest | None, entries: Sequence[Entry]) -> dict[str, str]:
    """Keys by identity, those of the roster as well."""
    known = dict(before.keys) if before else {}
    known |= {entry.roster: entry.key for entry in entries if entry.roster}
    return known | {entry.identity: entry.key for entry in entries}


def _wanted(rubric: Rubric, only: Sequence[str]) -> tuple[str, ...]:
    """The properties to judge; raises `UsageError` for an item that waits for a person."""
    judged = [item for item in rubric.items if not isinstance(item, ManualItem)]
    unknown = [name for name in only if name not in {item.id for item in judged}]
    if unknown:
        names = ", ".join(item.id for item in judged)
        raise UsageError(f"--only {unknown[0]}: the items judged automatically are {names}")
    chosen = [item for item in rubric.automatic if not only or item.id in only]
    return tuple(name for item in chosen for criterion in item.criteria for name in criterion.properties)


def _known_and_queue(
    store: Store, entries: Sequence[Entry], context: str, wanted: tuple[str, ...], options: Options
) -> tuple[dict[str, Record], list[Entry]]:
    """What is known by content, and a submission of each content that has still to be judged."""
    records: dict[str, Record] = {}
    queue: dict[str, Entry] = {}
    for entry in entries:
        if not entry.digest or entry.digest in records or entry.digest in queue:
            continue
        record = store.load(entry.digest, context)
        if record is None or record.missing(wanted) or (options.rerun_failed and record.failed):
            queue[entry.digest] = entry
        if record is not None:
            records[entry.digest] = record
    return records, list(queue.values())


class _Run:
    """The judging of a queue, and the training of models."""

    def __init__(
        self,
        store: Store,
        assignment: Assignment,
        context: str,
        only: tuple[str, ...] | None,
        records: dict[str, Record],
        show: Callable[[Progress], None],
        backend: Backend,
    ) -> None:
        self.store, self.assignment, self.context = store, assignment, context
        self.only, self.records, self.show, self.backend = only, records, show, backend
        self.packed = pack_assignment(assignment)
        self.seconds = assignment.limits.total + GRACE_SECONDS
        self.training_context = training_context_of(context, assignment.rubric, assignment.homework)
        self.progress = Progress()
        self.done = {"graded": 0, "trained": 0}
        self.lost: list[str] = []
        self.restarts = 0

    def judge(self, queue: Sequence[Entry], options: Options) -> None:
        """Judge the properties of contents."""
        self.progress = Progress(total=len(queue), known=len(self.records))
        # While the warm parent gets warm, and before the workers start, so that forked ones have it all.
        drawing = threading.Thread(target=self.backend.prepare, args=(self.assignment, self.only))
        drawing.start()
        work = [self._job(entry, options) for entry in queue]
        keep = functools.partial(self._keep, again=options.rerun_failed)
        self._work(work, options.jobs or os.cpu_count() or 1, keep, ready=drawing.join)

    def trainees(self, entries: Sequence[Entry], options: Options) -> Trainees:
        """Whose models are to be trained in this run."""
        rubric = self.assignment.rubric
        trained = {item.id for item in rubric.items if isinstance(item, TrainingItem)}
        if options.only and not trained & set(options.only):
            return Trainees()

        def say(stage: str, done: int, total: int) -> None:
            self.show(Progress(running=[f"{stage}: {done} of {total}"]))

        context, places = self.training_context, self.backend.places
        return trainees_of(self.store, entries, self.assignment, context, options.training, say, places)

    def can_train(self, trainee: Trainee) -> bool:
        """Whether the notebook of a model could be judged."""
        record = self.records.get(trainee.entry.digest)
        return record is not None and record.verdicts is not None

    def train(self, trainees: Sequence[Trainee], at_a_time: int) -> None:
        """Train models, or count with their checkpoints."""
        self.progress = Progress(doing="trained", total=len(trainees))
        work = [
            replace(
                self._job_of(trainee.entry, ()),
                training=trainee.job,
                weights=trainee.weights,
                seconds=self.seconds + trainee.job.seconds,
            )
            for trainee in trainees
        ]
        self._work(work, at_a_time, self._keep_training)

    def recheck(self, entries: Sequence[Entry], options: Options) -> None:
        """Judge submissions again with other seeds, if that is asked for."""
        if options.recheck is not None:
            again = Rechecking(self.store, self.assignment, self.context, self.backend, self.show)
            again.run(options.recheck, self.records, entries, self.only, options.jobs, self.seconds)
            self.lost += again.lost

    def _work(
        self,
        work: Sequence[Job],
        jobs: int,
        keep: Callable[[Job, Judged | Lost], None],
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        """Do jobs, so many at a time, and keep what is found; ``ready`` is waited for before the first."""
        self.show(self.progress)
        grade = functools.partial(grade_job, judge=self.backend.judge)
        release, say = self.store.release_in_child, self.progress.news.append
        with self.backend.pool(min(jobs, len(work)), release, say) as pool:
            if pool.folder is not None:
                self.store.put(".work", str(pool.folder))
            ready()
            for job, found in pool.run(grade, work, self._tick):
                keep(job, found)
            self.restarts = max(self.restarts, pool.restarts)
        self.progress.running = []
        self.show(self.progress)

    def _keep_training(self, job: Job, found: Judged | Lost) -> None:
        assert job.training is not None
        item = job.training.item.id
        reason = found.reason if isinstance(found, Lost) else found.result.error
        outcome = found.trained if isinstance(found, Judged) else training_plan.Outcome()
        if reason is not None:
            outcome = training_plan.Outcome(notes={item: [f"not judged: {reason}"]})
            self.progress.failed += 1
            self.lost.append(one_line(f"{job.label}: {item}: {reason}"))
        self.store.keep_training(
            Training.of(
                outcome,
                content=job.digest,
                context=self.training_context,
                weights=job.weights,
                evidence_seconds=job.training.options.evidence_seconds,
            )
        )
        verdict = outcome.verdicts.get(item)
        self._count(f"{job.label}: {item} {verdict.status if verdict else 'waits'}")

    def _count(self, label: str) -> None:
        self.progress.done += 1
        self.done[self.progress.doing] += 1
        self.progress.last = label
        self.show(self.progress)

    def _job(self, entry: Entry, options: Options) -> Job:
        known = self.records.get(entry.digest)
        only = self.only
        if known is not None and known.verdicts is not None and not (options.rerun_failed and known.failed):
            only = tuple(known.missing(self.only or self.assignment.rubric.properties))
        return self._job_of(entry, only)

    def _job_of(self, entry: Entry, only: tuple[str, ...] | None) -> Job:
        return Job(entry.path, entry.digest, self.packed, only, self.seconds, entry.name)

    def _tick(self, running: list[Job]) -> None:
        self.progress.running = [job.label for job in running]
        self.show(self.progress)

    def _keep(self, job: Job, found: Judged | Lost, *, again: bool) -> None:
        lost = isinstance(found, Lost)
        if isinstance(found, Lost):
            found = Judged(failure(job.path.name, self.assignment, found.reason))
        lost = lost or (found.verdicts is None and found.grader_failed)
        record = self.store.keep(job.digest, self.context, found, lost=lost, again=again)
        if record.failed or record.result.error:
            self.progress.failed += 1
        if record.failed:
            self.lost.append(
                one_line(f"{job.label}: {record.result.error or 'some items could not be judged'}")
            )
        self.records[job.digest] = record
        self._count(job.label)
