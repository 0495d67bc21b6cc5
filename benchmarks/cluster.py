"""``python -m benchmarks.cluster``: how many workers one coordinator can keep busy.

Stub workers sleep as long as a submission takes and answer with a real result. So all that costs CPU is what a cluster adds:
the coordinator (reading, sending, checking and storing a result) and Dask's scheduler. Both are measured in CPU seconds, which
other programs on the machine do not change. With 100 workers in a few processes:

    python -m benchmarks.cluster --submissions 10000 --workers 100 --seconds 1.0
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import logging
import multiprocessing
import resource
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from distributed import Scheduler, Worker

from grader.assignment import load_assignment
from grader.batch.jobs import Job, grade_job
from grader.batch.pool import Lost
from grader.batch.store import Store
from grader.cluster import plugin
from grader.cluster.coordinator import DaskCluster
from grader.cluster.offer import Offer
from grader.cluster.parcels import Parcel, packed
from grader.grade import Judged, judge

PROCESSES = 4
"""That the stub workers live in."""


class StubPlugin(plugin.GraderPlugin):
    """A worker that agrees with everybody, sleeps and answers what it was told to."""

    def __init__(self, seconds: float, answer: bytes) -> None:
        self.seconds, self.answer = seconds, answer

    def setup(self, worker: Worker) -> None:
        """Start no warm parent."""
        self.worker = worker

    def teardown(self, worker: Worker) -> None:
        """End nothing."""

    def meet(self, offer: Offer) -> dict[str, Any]:
        """Agree."""
        facts = {"refused": [], "threads": 1, "gpus": 0.0, "cores": 1, "level": "strong", "weaknesses": ""}
        return {**facts, "name": str(self.worker.name)}

    def forget(self, token: str) -> None:
        """Nothing is known."""

    def grade(self, token: str, function: plugin.Grade, parcel: Parcel) -> bytes:
        """Sleep as long as a submission takes."""
        time.sleep(self.seconds)
        return self.answer


def _run_workers(address: str, count: int, seconds: float, answer: bytes) -> None:
    logging.getLogger("distributed").setLevel(logging.ERROR)

    async def work() -> None:
        workers = []
        for _ in range(count):
            worker = await Worker(address, nthreads=1, memory_limit=0, silence_logs=40)
            await worker.plugin_add(plugin=StubPlugin(seconds, answer), name=plugin.NAME)
            workers.append(worker)
        await asyncio.gather(*(worker.finished() for worker in workers))

    asyncio.run(work())


def _run_scheduler(port: int, cpu: Any, stop: Any) -> None:
    logging.getLogger("distributed").setLevel(logging.ERROR)

    async def work() -> None:
        async with Scheduler(host="127.0.0.1", port=port, dashboard=False):
            while not stop.is_set():
                cpu.value = _cpu()
                await asyncio.sleep(0.2)

    asyncio.run(work())


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(
    submissions: int, workers: int, seconds: float, notebook: bytes, judged: Judged, folder: Path
) -> dict[str, float]:
    """CPU seconds of coordinator and scheduler, and wall seconds, for a class whose submissions are copies of one notebook."""
    context = multiprocessing.get_context("spawn")
    cpu, stop = context.Value("d", 0.0), context.Event()
    port = 28786
    address = f"tcp://127.0.0.1:{port}"
    processes: list[Any] = [context.Process(target=_run_scheduler, args=(port, cpu, stop))]
    share = [len(range(number, workers, PROCESSES)) for number in range(PROCESSES)]
    processes += [
        context.Process(target=_run_workers, args=(address, n, seconds, packed(judged))) for n in share if n
    ]
    for process in processes:
        process.start()
    assignment = load_assignment()
    try:
        jobs = [_job(folder, number, notebook) for number in range(submissions)]
        _wait_for(port)
        rubric = assignment.homework.rubric.read_bytes()
        with Store(folder / "out") as store, DaskCluster(address, assignment, rubric, 600) as cluster:
            while len(cluster.desk.accepted) < workers:
                time.sleep(0.5)
            before, scheduler_before, started = _cpu(), cpu.value, time.monotonic()
            lost = 0
            with cluster.pool(print) as pool:
                for job, found in pool.run(grade_job, jobs):
                    if isinstance(found, Lost):
                        lost += 1
                    else:
                        store.keep(job.digest, "0" * 16, found)
            wall = time.monotonic() - started
            time.sleep(0.5)
            return {
                "submissions": submissions,
                "workers": workers,
                "seconds each": seconds,
                "lost": lost,
                "wall s": round(wall, 1),
                "ideal wall s": round(submissions * seconds / workers, 1),
                "coordinator CPU ms each": round(1000 * (_cpu() - before) / submissions, 2),
                "scheduler CPU ms each": round(1000 * (cpu.value - scheduler_before) / submissions, 2),
            }
    finally:
        stop.set()
        for process in processes:
            process.terminate()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)


def _job(folder: Path, number: int, notebook: bytes) -> Job:
    path = folder / f"{number}.ipynb"
    path.write_bytes(notebook + b" " * (number % 7) + b"\n")
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return Job(path, digest, b"", None, 900.0, f"student {number}")


def main() -> None:
    """Measure, and print a JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--submissions", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1.0, help="what a submission takes on a worker")
    asked = parser.parse_args()
    assignment = load_assignment()
    example = assignment.homework.example
    judged = judge(example, assignment)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(
            asked.submissions, asked.workers, asked.seconds, example.read_bytes(), judged, Path(folder)
        )
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
