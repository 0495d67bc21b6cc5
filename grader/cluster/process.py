"""`grader worker`: a Dask worker with our plugin, started again when it dies and when the scheduler comes back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import Nanny

from grader.cluster import plugin
from grader.errors import UsageError

RETRY_SECONDS = 1.0
START_SECONDS = 600.0
"""A busy machine takes long to import what a worker needs."""
_SETTINGS = {
    # A worker starts judges, which Python refuses to the children of a daemon.
    "distributed.worker.daemon": False,
    # Kernels have limits of their own, and what the judge needs is not Dask's to give.
    "distributed.worker.memory.terminate": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
}


@dataclass(frozen=True)
class Asked:
    """How a worker is to be.

    Args:
        jobs: submissions at the same time.
        name: what people call it; by default Dask makes one of the machine's.
        seed_file: the class's secret seed, where the connection is not encrypted.
        gpus: GPUs of this machine to train on.
        data: the folder with the training data.
        patience: seconds until a scheduler that is away is given up.
    """

    jobs: int = 1
    name: str | None = None
    seed_file: Path | None = None
    gpus: float = 0.0
    data: Path | None = None
    patience: float = 300.0


def run_worker(address: str, asked: Asked, say: Callable[[str], None]) -> None:
    """Work for a scheduler until it says goodbye or a signal comes; what happens is told to ``say`` in a line each.

    Raises `UsageError` where no scheduler was at the address for ``patience`` seconds.
    """
    with dask.config.set(_SETTINGS):
        asyncio.run(_work(address, asked, say))


async def _work(address: str, asked: Asked, say: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    if sys.platform != "win32":
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    seen = time.monotonic()
    is_told = False
    while not stop.is_set():
        nanny = _nanny(address, asked)
        try:
            started = asyncio.ensure_future(nanny.start())
            await _first(started, stop.wait())
            if stop.is_set():
                break
            await started
            say(f"working for {address} as {nanny.worker_address}, {asked.jobs} submissions at a time")
            is_told = False
            await _first(nanny.finished(), stop.wait())
            seen = time.monotonic()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            if time.monotonic() - seen > asked.patience:
                raise UsageError(
                    f"no scheduler at {address} for {asked.patience:.0f} s ({reason[:200]})"
                ) from None
            if not is_told:
                say(
                    f"cannot join {address} ({reason[:200]}); is its scheduler running? Trying again for "
                    f"{asked.patience:.0f} s"
                )
            is_told = True
        finally:
            with contextlib.suppress(Exception):
                await nanny.close(timeout=5)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), RETRY_SECONDS)


def _nanny(address: str, asked: Asked) -> Nanny:
    environment: dict[str, Any] = {}
    if asked.seed_file is not None:
        environment[plugin.SEED_FILE] = str(asked.seed_file.resolve())
    if asked.data is not None:
        environment[plugin.DATA] = str(asked.data.resolve())
    return Nanny(
        address,
        nthreads=asked.jobs,
        name=asked.name,
        memory_limit=0,
        env={**environment, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        preload=[plugin.__name__],
        resources={"GPU": asked.gpus} if asked.gpus else None,
        death_timeout=START_SECONDS,
        quiet=True,
        silence_logs=logging.WARNING,
    )


async def _first(*waited: Any) -> None:
    """Wait until one of them is done; the others go on or, if they were begun here, end."""
    tasks = [asyncio.ensure_future(each) for each in waited]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, each in zip(tasks, waited, strict=True):
        if task is not each and not task.done():
            task.cancel()
