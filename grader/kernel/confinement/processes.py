"""The processes of a kernel: how they are known, ended and kept within a budget."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.errors import GraderError

# Distributions and systemd give out no UID from 60578 to 61183: "Users, Groups, UIDs and GIDs on systemd
# Systems".
FIRST_UID = 60600
UIDS = 500
KEEPER_UID = FIRST_UID + UIDS - 1
PROBE_UID = FIRST_UID + UIDS - 2
"""As whom the grader tries what a kernel could read; no kernel's."""
READER_UID = FIRST_UID - 1
"""As whom a process of ours reads untrusted data that is no code; no kernel's."""


class IsolationError(GraderError):
    """A layer of isolation could not be set up, or something of a submission outlived its end."""


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


@dataclass(frozen=True)
class Mark:
    """How the processes of one kernel are known: by their user, or else by a limit with a value of its own.

    A process inherits its limits, shows them to everyone in /proc, cannot raise a hard one, and seccomp
    keeps it from lowering this one: the limit on real-time scheduling, which means nothing to a process
    that may not schedule so.
    """

    uid: int | None
    tag: int

    def is_on(self, pid: int) -> bool:
        """Whether a process carries this mark; a dead one that nobody has waited for does not."""
        try:
            if self.uid is None:
                return _real_time_limit(pid) == (self.tag, self.tag) and _state(pid) not in ("Z", "X")
            state, users = _state_and_users(pid)
            return self.uid in users and state not in ("Z", "X")
        except (OSError, ValueError, IndexError):
            return False

    def pids(self) -> list[int]:
        """The living processes that carry this mark."""
        own = os.getpid()
        return [pid for pid in all_pids() if pid != own and self.is_on(pid)]

    def keepers(self) -> list[int]:
        """Processes that can end all of these at once: `_start_keeper` in ``inside/confine.py``."""
        if self.uid is not None:
            return []
        return [
            pid for pid in all_pids() if _real_time_limit(pid) == (1, self.tag) and _state(pid) not in "ZX"
        ]


def all_pids() -> list[int]:
    """Every process that /proc shows."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    except OSError:
        return []


def status_of(pid: int | str) -> dict[str, str]:
    """A process's ``/proc/PID/status``; empty where it is gone."""
    try:
        return _status(pid)
    except OSError:
        return {}


def owner(pid: int) -> int | None:
    """A process's real user."""
    try:
        return _state_and_users(pid)[1][0]
    except (OSError, ValueError, IndexError):
        return None


def _status(pid: int | str) -> dict[str, str]:
    with Path(f"/proc/{pid}/status").open(encoding="utf-8", errors="replace") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def _state_and_users(pid: int) -> tuple[str, list[int]]:
    """A process's state, and its real, effective, saved and file system user; a part of `_status` in a fraction of its time."""
    descriptor = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Both stand within its first hundreds of bytes, after a name that has no line break: proc(5).
        text = os.read(descriptor, 1024)
    finally:
        os.close(descriptor)
    before, _, after = text.partition(b"\nUid:\t")
    return before.split(b"\nState:\t")[1][:1].decode(), [int(user) for user in after.partition(b"\n")[0].split()]


def _state(pid: int) -> str:
    """R, S, D, T, Z or X; X also for a process that is gone: proc(5)."""
    try:
        # The name before the state may hold anything, parentheses included.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _real_time_limit(pid: int) -> tuple[int, int] | None:
    """A process's soft and hard RLIMIT_RTTIME; None where it has none."""
    try:
        with Path(f"/proc/{pid}/limits").open(encoding="ascii", errors="replace") as file:
            line = next(line for line in file if line.startswith("Max realtime timeout"))
        soft, hard = line.split()[3:5]
        return int(soft), int(hard)
    except (OSError, StopIteration, ValueError):
        return None


def has_processes(uid: int) -> bool:
    """Whether a user has a process, a dead one that nobody has waited for included; True where the system does not say.

    The kernel walks its list of processes, at whose end it puts new ones, so none escapes by a fork: getpriority(2).
    """
    try:
        os.getpriority(os.PRIO_USER, uid)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True


def sweep(mark: Mark, seconds: float = 5.0) -> int:
    """Kill every process that carries a mark, those included that it starts meanwhile; returns how many it
    killed.

    Raises:
        IsolationError: some are left after so many seconds.
    """
    if mark.uid is not None and not has_processes(mark.uid):
        return 0
    deadline = time.monotonic() + seconds
    killed: set[int] = set()
    for keeper in mark.keepers():
        killed.update(mark.pids())
        with contextlib.suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGUSR1)
        while _state(keeper) not in ("Z", "X") and time.monotonic() < deadline:
            time.sleep(0.001)
    if mark.uid is not None:
        # A look at /proc can miss a process that forks and ends while one looks; this cannot.
        killed.update(mark.pids())
        _kill_all_at_once(mark.uid)
    turn = 0
    while alive := mark.pids():
        turn += 1
        # What was killed takes a while to end; only where there are others, too, does a submission fork faster than this.
        fresh = not killed.issuperset(alive)
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        if mark.uid is not None and turn % 3 == 0 and (fresh or turn % 30 == 0):
            _kill_all_at_once(mark.uid)
        if time.monotonic() > deadline:
            raise IsolationError(f"processes {mark.pids()} of a submission cannot be ended")
        if turn > 1:
            time.sleep(0.001)
    return len(killed)


def _kill_all_at_once(uid: int, tries: int = 5) -> None:
    """Kill a user's processes in one system call, which no fork can slip through.

    The call is made by a child with that user as its effective one, so that it reaches this user's
    processes alone; as its real and saved user is another, they in turn cannot signal the child: kill(2).
    """
    if uid < 1000 or uid == KEEPER_UID:
        raise IsolationError(f"{uid} is no user of a kernel")
    with warnings.catch_warnings():
        # Only system calls follow in the child, so other threads' locks do not matter.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        if os.WIFSIGNALED(os.waitpid(child, 0)[1]) and tries > 1:
            # Another grader did the same at this moment, and its call reached this one's child.
            _kill_all_at_once(uid, tries - 1)
        return
    try:
        os.setgroups([])
        os.setresgid(KEEPER_UID, KEEPER_UID, KEEPER_UID)
        os.setresuid(KEEPER_UID, uid, KEEPER_UID)
        # Still privileged, the next call would end every process of the machine.
        if os.getresuid() == (KEEPER_UID, uid, KEEPER_UID) and int(_status("self")["CapEff"], 16) == 0:
            os.kill(-1, signal.SIGKILL)
    finally:
        os._exit(0)


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
        if sum(_state(pid) == "R" for pid in pids) > 4 + (os.cpu_count() or 1):
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
