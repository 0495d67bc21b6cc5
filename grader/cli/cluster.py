"""Commands for many machines: worker, and what `grader batch --scheduler` needs."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from grader.cli.options import DataFolder, SeedFile
from grader.cli.output import complain
from grader.errors import UsageError

if TYPE_CHECKING:
    from grader.assignment import Assignment
    from grader.cluster.coordinator import DaskCluster


def worker(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS", help="The scheduler, such as tls://10.0.0.1:8786 or tcp://10.0.0.1:8786."
        ),
    ],
    jobs: Annotated[int, typer.Option(help="Submissions at the same time; 0 means one per core.", min=0)] = 0,
    name: Annotated[str | None, typer.Option(help="What messages call this worker.")] = None,
    seed_file: SeedFile = None,
    gpus: Annotated[
        float,
        typer.Option(help="GPUs of this machine to train on; each trains three models at a time.", min=0),
    ] = 0.0,
    data: DataFolder = None,
    patience: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="How long to wait for a scheduler that is not there.", min=0),
    ] = 300.0,
) -> None:
    """Grade on this machine for `grader batch --scheduler ADDRESS` on another one.

    Start `dask scheduler` first, then a worker on each machine, then the batch. This machine needs the same versions of the
    grader, homework and libraries; a worker that differs is not used, and the batch says why. Submissions, rubric and
    results travel; no shared folder is needed. The secret seed travels over TLS only: with a tcp:// scheduler, give each
    worker the file with --seed-file. Ctrl-C or SIGTERM ends the worker, and what it was grading is graded elsewhere.
    """
    require_extra()
    require_address(address)
    from grader.assignment import read_seed
    from grader.batch.training import GPU_TRAINEES
    from grader.cluster.process import Asked, run_worker

    if seed_file is not None:
        read_seed(seed_file)
    threads = max(jobs or os.cpu_count() or 1, round(GPU_TRAINEES * gpus))
    run_worker(address, Asked(threads, name, seed_file, gpus, data, patience), complain)


def cluster_at(address: str, assignment: Assignment, rubric: bytes) -> DaskCluster:
    """The cluster of a scheduler, to be entered; raises `UsageError` for an address that is none, or without the extra."""
    require_extra()
    require_address(address)
    from grader.cluster.coordinator import DaskCluster

    return DaskCluster(address, assignment, rubric)


def require_extra() -> None:
    """Raise `UsageError` where Dask is not installed."""
    if find_spec("distributed") is None:
        raise UsageError("this needs Dask; install it with: pip install 'hw3-grader[cluster]'")


def require_address(address: str) -> None:
    """Raise `UsageError` for what is no scheduler's address."""
    protocol, found, rest = address.partition("://")
    host, colon, port = rest.rpartition(":")
    if not found or protocol not in ("tcp", "tls") or not host or not colon or not port.isdecimal():
        raise UsageError(
            f"{address}: not a scheduler's address; it looks like tls://HOST:8786 or tcp://HOST:8786"
        )


def report_weaker_workers(cluster: DaskCluster) -> None:
    """Exit with status 4 where workers isolated less than strong, which only --require-isolation allows."""
    for name, weakness in cluster.weaker.items():
        complain(f"worker {name} graded at isolation {weakness}")
    if cluster.weaker:
        raise typer.Exit(4)
