"""The budget of a kernel, and the watchdog that holds it to what limits of single processes miss."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.kernel.confinement.processes import IsolationError, Mark, state_of, status_of, sweep

MIB, GIB = 1 << 20, 1 << 30


@dataclass(frozen=True)
class Budget:
    """What a kernel and everything it starts may use. Sizes are bytes."""

    data: int = 4 * GIB
    """Private writable memory of each process (RLIMIT_DATA)."""
    cpu: int = 1800
    """CPU seconds of each process."""
    processes: int = 256
    """Processes and threads, all together."""
    programs: int = 64
    """Processes; held by the `Watchdog`."""
    file: int = 512 * MIB
    """Size of each file."""
    open_files: int = 512
    """Well below what the judge may have, as some of it is counted for each user."""
    memory: int = 6 * GIB
    """Memory of all processes together, shared memory included; held by the `Watchdog`."""
    disk: int = 1 * GIB
    """Size of the kernel's folder; held by the `Watchdog`."""
    files: int = 20_000
    """Number of files in the kernel's folder; held by the `Watchdog`."""


class Watchdog:
    """A thread that ends a kernel which, with all it started, uses more than its budget.

    It sees what limits of single processes miss: many small ones, shared memory, a folder that fills up.
    Use as a context manager; ``reason`` says afterwards what was stopped and why, or is None.
    """

    def __init__(
        self,
        mark: Mark,
        folder: Path,
        budget: Budget | None = None,
        on_stop: Callable[[str], None] = lambda reason: None,
        interval: float = 0.25,
    ) -> None:
        self.reason: str | None = None
        self._mark = mark
        self._folder = folder
        self._budget = budget or Budget()
        self._on_stop = on_stop
        self._interval = interval
        self._free = _free(folder)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop watching."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        passes = 0
        while not self._over.wait(self._interval):
            pids = self._mark.pids()
            # A folder is slower to look through than memory, and fills more slowly.
            reason = self.excess(pids, folder=passes % 4 == 0)
            passes += 1
            if reason is None:
                continue
            self.reason = reason
            with contextlib.suppress(IsolationError):
                sweep(self._mark)
            self._on_stop(reason)
            return

    def excess(self, pids: Sequence[int], folder: bool = True) -> str | None:
        """What is over the budget now, in words, or None."""
        budget = self._budget
        threads = sum(int(status_of(pid).get("Threads", "0")) for pid in pids)
        if threads > budget.processes:
            return f"{threads} processes and threads, {budget.processes} are allowed"
        if len(pids) > budget.programs:
            return f"{len(pids)} processes, {budget.programs} are allowed"
        if sum(state_of(pid) == "R" for pid in pids) > 4 + (os.cpu_count() or 1):
            _lower_priority(pids)
        if (memory := self.memory(pids)) > budget.memory:
            return f"{memory / GIB:.1f} GiB of memory, {budget.memory / GIB:.1f} GiB are allowed"
        if folder:
            size, number, too_deep = _size(self._folder, budget.files)
            size += _unlinked(pids) + _shared_memory(self._mark.uid)
            if too_deep:
                return f"folders within folders whose path is longer than {_LONGEST_PATH} bytes"
            if size > budget.disk:
                return f"{size / GIB:.1f} GiB of files, {budget.disk / GIB:.1f} GiB are allowed"
            if number > budget.files:
                return f"more than {budget.files} files"
            if (free := _free(self._folder)) < min(budget.disk, self._free - budget.disk):
                return f"only {free / GIB:.1f} GiB of the disk are left"
        return None

    def memory(self, pids: Sequence[int]) -> int:
        """Bytes of memory that processes use together, what they share counted once where the system tells.

        Where it does not, as in a container, one of them counts as shared: the child that judges a property, just forked.
        """
        each = [
            sum(int(status.get(key, "0 kB").split()[0]) * 1024 for key in ("RssAnon", "RssShmem"))
            for status in map(status_of, pids)
        ]
        held = sum(each)
        if held <= self._budget.memory or not pids:
            return held
        # Too much only if nothing is shared; the exact sum is dearer, and needs the right to look into the
        # processes.
        exact = 0
        for pid in pids:
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except FileNotFoundError:
                continue
            except OSError:
                return held - min(each) if len(each) > 1 else held
            exact += sum(
                int(line.split()[1]) * 1024
                for line in text.splitlines()
                if line.startswith(("Pss_Anon:", "Pss_Shmem:"))
            )
        return exact


_LONGEST_PATH = 3500


def _lower_priority(pids: Sequence[int]) -> None:
    """Leave the processors to others: many processes that compute at once count as little as few do."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, 19)


def _shared_memory(uid: int | None) -> int:
    """Bytes of the files that a user has in the machine's shared memory, mapped or not."""
    size = 0
    if uid is not None:
        with contextlib.suppress(OSError), os.scandir("/dev/shm") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    size += found.st_blocks * 512 if found.st_uid == uid else 0
    return size


def _size(folder: Path, most: int) -> tuple[int, int, bool]:
    """Bytes and number of what lies in a folder, and whether its paths get too long; stops at more than so many."""
    size = number = 0
    too_deep = False
    waiting = [folder]
    while waiting and number <= most:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                number += 1
                with contextlib.suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        # Past 4,096 bytes nothing has a path, so nothing there could be counted.
                        too_deep = too_deep or len(os.fsencode(entry.path)) > _LONGEST_PATH
                        waiting.append(Path(entry.path))
                if number > most:
                    break
    return size, number, too_deep


def _unlinked(pids: Sequence[int]) -> int:
    """Bytes of deleted files that processes hold open or mapped; 0 where the system does not let one look."""
    held: dict[tuple[int, int], int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
                with contextlib.suppress(OSError):
                    found = os.stat(f"/proc/{pid}/fd/{name}")  # noqa: PTH116
                    if found.st_nlink == 0 and stat.S_ISREG(found.st_mode):
                        held[found.st_dev, found.st_ino] = found.st_blocks * 512
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines():
                # What is shared memory counts as memory.
                if not line.endswith(" (deleted)") or "/dev/" in line or "/SYSV" in line or "/memfd:" in line:
                    continue
                span, _, offset, device, inode = line.split()[:5]
                first, last = (int(end, 16) for end in span.split("-"))
                major, minor = (int(part, 16) for part in device.split(":"))
                key = os.makedev(major, minor), int(inode)
                held[key] = max(held.get(key, 0), int(offset, 16) + last - first)
    return sum(held.values())


def _free(folder: Path) -> int:
    """Bytes that the folder's disk still has room for."""
    try:
        found = os.statvfs(folder)
    except (OSError, AttributeError):
        return 1 << 62
    return found.f_bavail * found.f_frsize
