"""The processes of a kernel: how they are known and ended."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
import warnings
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
                return _real_time_limit(pid) == (self.tag, self.tag) and state_of(pid) not in ("Z", "X")
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
            pid for pid in all_pids() if _real_time_limit(pid) == (1, self.tag) and state_of(pid) not in "ZX"
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


def state_of(pid: int) -> str:
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
    # Most sweeps find nothing, and a batch that is resumed sweeps after hundreds of users; looking further forks.
    if mark.uid is not None and not has_processes(mark.uid):
        return 0
    deadline = time.monotonic() + seconds
    killed: set[int] = set()
    for keeper in mark.keepers():
        killed.update(mark.pids())
        with contextlib.suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGUSR1)
        while state_of(keeper) not in ("Z", "X") and time.monotonic() < deadline:
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
