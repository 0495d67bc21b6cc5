"""Whose models a batch trains, with which checkpoints, and how many at a time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from grader.assignment import Assignment
from grader.batch.store import Member, Store, Training
from grader.batch.submissions import Entry
from grader.errors import GraderError
from grader.kernel import gpu
from grader.training.plan import Job, Options, plan

GPU_TRAINEES = 3
"""At a time on one GPU: while one kernel sets itself up, another keeps the GPU busy."""
CORES = 4
"""For one model that is trained on the CPU."""


@dataclass(frozen=True)
class Trainee:
    """One content whose model is to be trained, or whose checkpoint is to be counted with."""

    entry: Entry
    job: Job
    weights: str
    """What tells the checkpoint from others; empty where the model is trained."""


@dataclass(frozen=True)
class Trainees:
    """Who is trained in this run, so many at a time; ``others`` are not, by the reason for it."""

    chosen: Sequence[Trainee] = ()
    at_a_time: int = 1
    others: Mapping[str, int] = field(default_factory=dict)


def cpu_trainees(threads: int, cores: int) -> int:
    """How many models are trained at a time on so many cores, by at most so many threads."""
    return max(1, min(threads, cores // CORES))


@dataclass(frozen=True)
class Places:
    """Where models can be trained.

    Args:
        cores: of this machine.
        has_gpu: whether there is a GPU to train on.
        elsewhere: whether other machines train, which get the data ready themselves and say how many they train at a time.
    """

    cores: int = os.cpu_count() or 1
    has_gpu: Callable[[], bool] = gpu.is_present
    elsewhere: bool = False


def trainees_of(
    store: Store,
    entries: Sequence[Entry],
    assignment: Assignment,
    context: str,
    options: Options,
    say: Callable[[str, int, int], None],
    places: Places = Places(),
) -> Trainees:
    """The trainings that are requested and not stored yet. The data are prepared once; without them, nothing is trained."""
    check, cores = assignment.homework.training, places.cores
    if check is None:
        return Trainees()
    found: dict[tuple[str, str], Trainee] = {}
    others: Counter[str] = Counter()
    wanted = 0
    for entry in entries:
        if not entry.digest:
            continue
        job = plan(
            check, entry.path, assignment.rubric, replace(options, weights=entry.checkpoint), places.has_gpu
        )
        if job is None:
            break
        weights = entry.weights if job.action == "verify" else ""
        if _is_known(store, entry.digest, context, weights, options.evidence_seconds):
            continue
        if job.action == "nothing":
            others[job.why_not] += 1
        else:
            wanted += 1
            found.setdefault((entry.digest, weights), Trainee(entry, job, weights))
    if not found or places.elsewhere:
        return Trainees(list(found.values()), len(found), others)
    try:
        check.prepare(options.data, say)
    except GraderError as error:
        return Trainees(others=others + Counter({str(error): wanted}))
    if any(trainee.job.device == "cuda" for trainee in found.values()):
        return Trainees(list(found.values()), min(GPU_TRAINEES, cores), others)
    at_a_time = max(1, cores // CORES)
    share = max(1, cores // at_a_time)
    chosen = [
        replace(trainee, job=replace(trainee.job, options=replace(trainee.job.options, threads=share)))
        for trainee in found.values()
    ]
    return Trainees(chosen, at_a_time, others)


def known_training(store: Store, member: Member, context: str) -> Training | None:
    """What is known of a member's model: a verdict from training it before one from its checkpoint."""
    if not member.digest:
        return None
    trained = store.load_training(member.digest, context)
    if trained is not None and trained.verdicts:
        return trained
    counted = store.load_training(member.digest, context, member.weights) if member.weights else None
    return counted or trained


def _is_known(store: Store, content: str, context: str, weights: str, evidence_seconds: float) -> bool:
    for kind in dict.fromkeys(["", weights]):
        known = store.load_training(content, context, kind)
        if known is not None and known.settled and known.evidence_seconds >= evidence_seconds:
            return True
    return False
