"""Workers that are killed while their jobs are larger than a pipe."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from grader.batch.pool import Lost, workers
from grader.kernel.warm import WarmHost

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills its worker by a signal")
LARGE = 1 << 20


def worked_on(item: tuple[int, bytes, Path], address: str | None) -> int:
    """The item's number. One of them always kills its worker, another one only at first."""
    number, payload, folder = item
    assert len(payload) == LARGE
    if number == 1 or (number == 3 and not (folder / "tried").exists()):
        (folder / "tried").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def negative(number: int, address: str | None) -> int:
    """Other work for the same workers."""
    return -number


def test_large_items_outlive_workers_that_are_killed(tmp_path: Path) -> None:
    items = [(number, bytes(LARGE), tmp_path) for number in range(6)]
    with WarmHost(fork=False) as host, workers(2, host=host) as pool:
        found = {item[0]: outcome for item, outcome in pool.run(worked_on, items)}
        assert {number for number, outcome in found.items() if isinstance(outcome, Lost)} == {1}
        assert all(found[number] == number for number in (0, 2, 3, 4, 5))
        again = dict(pool.run(negative, [1, 2, 3]))
    assert again == {1: -1, 2: -2, 3: -3}
