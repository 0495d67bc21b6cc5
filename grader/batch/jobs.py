"""One content to judge or to train, how a worker of the batch does that, and what a batch works with."""

from __future__ import annotations

import functools
import pickle
import time
import zlib
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from grader.assignment import Assignment
from grader.batch.pool import Pool, WarmParentLost, alarm, workers
from grader.batch.submissions import digest_of
from grader.batch.training import Places
from grader.errors import GraderError, HostError
from grader.grade import NO_TRAINING, Judged, Request, failure, judge, prepare
from grader.kernel.warm import WarmHost, client_of
from grader.training import plan as training_plan

Judge = Callable[[Path, Assignment, Request], Judged]


class Cluster(Protocol):
    """Workers on other machines."""

    def pool(self, say: Callable[[str], None]) -> Pool:
        """What runs jobs there; ``say`` is told, in a line each, what a person should know about the workers."""

    def has_gpu(self) -> bool:
        """Whether one of the workers may train on a GPU."""


@dataclass(frozen=True)
class Backend:
    """What a batch works with.

    Args:
        executor: makes the executor that runs the jobs; by default local processes.
        host: keeps the warm parent of the kernels; by default the batch launches one of its own.
        judge: judges one submission. It runs in a worker process, so it must be picklable.
        prepare: gets ready, before the workers start, what forked ones then share.
        cluster: runs the jobs on other machines; by default they run on this one.
    """

    executor: Callable[[], Executor] | None = None
    host: WarmHost | None = None
    judge: Judge = judge
    prepare: Callable[[Assignment, Collection[str] | None], None] = prepare
    cluster: Cluster | None = None

    def pool(self, jobs: int, in_child: Callable[[], None], say: Callable[[str], None]) -> Pool:
        """What runs jobs: so many at a time on this machine, or as many as a cluster can."""
        if self.cluster is not None:
            return self.cluster.pool(say)
        return workers(jobs, self.executor, in_child, self.host)

    @property
    def places(self) -> Places:
        """Where models can be trained."""
        return Places() if self.cluster is None else Places(has_gpu=self.cluster.has_gpu, elsewhere=True)


@dataclass
class Progress:
    """How far a batch is; ``total``, ``done`` and ``failed`` count contents that are judged, or trained, in this run."""

    doing: Literal["graded", "trained", "judged again"] = "graded"
    started: float = field(default_factory=time.monotonic)
    total: int = 0
    done: int = 0
    failed: int = 0
    known: int = 0
    running: list[str] = field(default_factory=list)
    last: str = ""
    news: list[str] = field(default_factory=list)
    """What happened to workers of a cluster, in a line each."""


@dataclass(frozen=True)
class Job:
    """One content to judge or to train: where it lies, and what it is judged by (see `pack_assignment`)."""

    path: Path
    digest: str
    assignment: bytes
    only: tuple[str, ...] | None
    seconds: float
    label: str
    training: training_plan.Job | None = None
    weights: str = ""
    """What tells the checkpoint that is verified from others."""
    seed_number: int = 0
    """Which of the other seeds judges it (`batch.recheck.other_seed`); 0 is the class's own."""


class _TooLong(BaseException):
    """The grader hangs."""


def pack_assignment(assignment: Assignment) -> bytes:
    """An assignment as jobs hold it, small enough for a job to fit in the pipe to a worker (see `pool.begin_worker`)."""
    return zlib.compress(pickle.dumps(assignment))


@functools.lru_cache(maxsize=2)
def unpack_assignment(packed: bytes) -> Assignment:
    """The assignment of a job."""
    unpacked: Assignment = pickle.loads(zlib.decompress(packed))  # made by this program's other process
    return unpacked


def grade_job(job: Job, address: str | None, judge: Judge = judge) -> Judged:
    """Judge one submission in a worker.

    Raises `WarmParentLost` if the warm parent died, whatever was found by then, and `HostError`.
    """
    assignment = unpack_assignment(job.assignment)
    if digest_of(job.path)[0] != job.digest:
        return Judged(
            failure(job.path.name, assignment, "changed while the batch ran; run it again"),
            grader_failed=True,
        )
    link = client_of(address)
    if link is None and address is not None:
        raise WarmParentLost
    training = NO_TRAINING if job.training is None else job.training.options
    try:
        with alarm(job.seconds, _TooLong):
            request = Request(warm=link, only=job.only, training=training, retry_seconds=None)
            judged = judge(job.path, assignment, request)
    except _TooLong:
        reason = f"the grader did not end within {job.seconds:.0f} s"
        judged = Judged(failure(job.path.name, assignment, reason), grader_failed=True)
    except HostError:
        raise
    except GraderError as error:
        judged = Judged(failure(job.path.name, assignment, str(error)), grader_failed=True)
    if link is not None and not link.is_alive():
        raise WarmParentLost
    return judged
