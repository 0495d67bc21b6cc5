"""A Dask worker's own warm parent and judge processes, and what it grades by.

Dask preloads this module in a worker (``--preload grader.cluster.plugin``; `grader worker` does so). Each thread of the worker
hands its submission to a judge process of its own, which dies with the worker, as on one machine. So what happens to a judge
does not happen to the worker, and time limits hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import multiprocessing
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from grader.assignment import Assignment, read_seed
from grader.batch.jobs import Job, pack_assignment, unpack_assignment
from grader.batch.leftovers import claim, clear_unclaimed
from grader.batch.pool import Workers, begin_worker
from grader.batch.recheck import other_seed
from grader.batch.training import cpu_trainees
from grader.cluster.offer import Offer, assignment_of, differences, fingerprint_of
from grader.cluster.parcels import UNKNOWN, Parcel, packed
from grader.errors import GraderError
from grader.grade import Judged, failure
from grader.kernel import confinement
from grader.kernel.warm import Door, WarmHost

NAME = "grader"
SEED_FILE = "GRADER_SEED_FILE"
DATA = "GRADER_DATA"
Grade = Callable[[Job, "str | None"], Judged]
_CLOSING = "the worker is shutting down"


class GraderPlugin(WorkerPlugin):
    """What a worker keeps for grading. Its methods may be called by several threads."""

    name = NAME

    def setup(self, worker: Worker) -> None:
        """Launch the warm parent."""
        self.worker = worker
        self.host = _SharedHost()
        self.host.__enter__()
        if os.name == "posix":
            clear_unclaimed(self.host.folder)
            self._claim = claim(self.host.folder)
        self._sessions: dict[str, Session] = {}
        self._pools: list[Workers] = []
        self._mine = threading.local()

    def teardown(self, worker: Worker) -> None:
        """Kill judges, kernels and the warm parent. The coordinator has unfinished submissions graded again."""
        # Threads that still grade would otherwise restart them, and the worker process would not exit.
        self.host.is_closing = True
        for judge in multiprocessing.active_children():
            judge.kill()
        for pool in self._pools:
            with contextlib.suppress(Exception):
                pool.__exit__()
        self.host.__exit__()

    def meet(self, offer: Offer) -> dict[str, Any]:
        """Agree with a coordinator, or say why not: ``refused`` is empty, or lists the reasons."""
        refused: list[str] = []
        try:
            path = os.environ.get(SEED_FILE)
            assignment = assignment_of(offer, read_seed(Path(path)) if path else None)
            refused = differences(offer["expected"], fingerprint_of(assignment))
            if assignment.least_isolation is not None:
                confinement.require(assignment.least_isolation)
        except GraderError as error:
            refused.append(str(error))
        host = confinement.probe()
        if not refused:
            self._sessions[offer["token"]] = Session(assignment)
        return {
            "refused": refused,
            "name": str(self.worker.name),
            "threads": self.worker.state.nthreads,
            "gpus": float(self.worker.state.total_resources.get("GPU", 0)),
            "cores": os.cpu_count() or 1,
            "level": host.level,
            "weaknesses": confinement.weaknesses(host),
        }

    def forget(self, token: str) -> None:
        """Grade for a coordinator no more."""
        self._sessions.pop(token, None)

    def grade(self, token: str, function: Grade, parcel: Parcel) -> bytes:
        """What came of a parcel, as `parcels.packed`."""
        session = self._sessions.get(token)
        if session is None:
            return UNKNOWN
        with tempfile.TemporaryDirectory(prefix="p", dir=self.host.folder) as folder:
            job = parcel.unpack(
                Path(folder), session.packed_assignment(parcel.seed_number), _data(), self._training_threads()
            )
            ((_, found),) = self._pool().run(functools.partial(_graded, function), [job])
        return packed(found)

    def _training_threads(self) -> int:
        cores = os.cpu_count() or 1
        return max(1, cores // cpu_trainees(self.worker.state.nthreads, cores))

    def _pool(self) -> Workers:
        """This thread's judge. It was started by this thread, with which it dies, and by no other."""
        pool: Workers | None = getattr(self._mine, "pool", None)
        if pool is None:
            pool = self._mine.pool = Workers(1, self._judge, lambda: None, self.host)
            self._pools.append(pool)
        return pool

    def _judge(self) -> Executor:
        if self.host.is_closing:
            raise GraderError(_CLOSING)
        return _judges(self.host.folder, self.host.door)


class Session:
    """What is graded for one coordinator."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment

    @functools.lru_cache(maxsize=4)  # noqa: B019 - a session lives as long as its worker
    def packed_assignment(self, seed_number: int) -> bytes:
        """The assignment as judges get it, with the class's seed or another one derived from it."""
        seed = self.assignment.seed
        return pack_assignment(
            replace(self.assignment, seed=other_seed(seed, seed_number)) if seed_number else self.assignment
        )


class _SharedHost(WarmHost):
    """A warm parent for the threads of a process."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self.is_closing = False

    def ensure(self) -> bool:
        """`WarmHost.ensure`, for one thread at a time; raises `GraderError` while the worker shuts down."""
        with self._lock:
            if self.is_closing:
                raise GraderError(_CLOSING)
            return super().ensure()


def _graded(function: Grade, job: Job, address: str | None) -> Judged:
    """``function(job, address)``, after the data are ready that a training needs."""
    if job.training is not None and job.training.action != "nothing":
        assignment = unpack_assignment(job.assignment)
        check = assignment.homework.training
        try:
            if check is not None:
                check.prepare(job.training.options.data, lambda stage, done, total: None)
        except GraderError as error:
            return Judged(failure(job.path.name, assignment, str(error)), grader_failed=True)
    return function(job, address)


def _judges(folder: Path, door: Door | None) -> Executor:
    # A worker has threads, so that nothing is forked from it.
    initial = (os.getpid(), folder, None, door)
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), begin_worker, initial)


def _data() -> Path | None:
    folder = os.environ.get(DATA)
    return Path(folder) if folder else None


# -- what the coordinator calls ------------------------------------------------------------------------------------------


async def meet(offer: Offer, dask_worker: Worker) -> dict[str, Any]:
    """`GraderPlugin.meet`, on a worker that may not have the plugin yet."""
    await dask_setup(dask_worker)
    return await asyncio.to_thread(_plugin_of(dask_worker).meet, offer)


async def forget(token: str, dask_worker: Worker) -> None:
    """`GraderPlugin.forget`."""
    if NAME in dask_worker.plugins:
        _plugin_of(dask_worker).forget(token)


def grade(token: str, function: Grade, parcel: Parcel) -> bytes:
    """`GraderPlugin.grade`, in a thread of the worker."""
    worker = get_worker()
    return _plugin_of(worker).grade(token, function, parcel) if NAME in worker.plugins else UNKNOWN


async def dask_setup(worker: Worker) -> None:
    """Give a worker the plugin, once."""
    if NAME not in worker.plugins:
        await worker.plugin_add(plugin=GraderPlugin(), name=NAME)


def _plugin_of(worker: Worker) -> GraderPlugin:
    plugin = worker.plugins[NAME]
    assert isinstance(plugin, GraderPlugin)
    return plugin
