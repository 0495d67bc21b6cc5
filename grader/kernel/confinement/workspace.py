"""A private folder and a user of its own for each kernel."""

from __future__ import annotations

import os
import random
import stat
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from grader.kernel.confinement.cleanup import remove_shared_memory, remove_traces, remove_tree
from grader.kernel.confinement.host import Host, probe
from grader.kernel.confinement.janitor import JANITOR
from grader.kernel.confinement.processes import (
    FIRST_UID,
    KEEPER_UID,
    PROBE_UID,
    IsolationError,
    Mark,
    all_pids,
    owner,
    sweep,
)
from grader.kernel.inside.confine import close_own_memory

_MAX_PATH = 80


class Uids:
    """Users for kernels, each lent to one at a time, also between graders on one machine.

    Who holds the lock on a user's file has the user; the lock ends with its process, whatever happens.
    """

    def __init__(self, folder: Path | None = None, first: int = FIRST_UID, end: int = KEEPER_UID) -> None:
        """``first`` to ``end``, which is not one of them, are the users to lend."""
        self._first, self._end = first, end
        runtime = Path("/run/lock") if Path("/run/lock").is_dir() else Path(tempfile.gettempdir())
        self.folder = folder or runtime / "hw3-grader-uids"

    def take(self) -> tuple[int, int]:
        """A free user, and the descriptor that holds it until closed; raises IsolationError without one."""
        import fcntl  # noqa: PLC0415 - absent on Windows

        self.folder.mkdir(mode=0o700, exist_ok=True)
        found = self.folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o077:
            raise IsolationError(f"{self.folder} is not a folder that only root may use; delete it")
        used = {owner(pid) for pid in all_pids()}
        # Containers on one machine do not see each other's locks, but share what a user's processes may be in number.
        start = random.SystemRandom().randrange(self._first, self._end)
        for uid in (*range(start, self._end), *range(self._first, start)):
            descriptor = os.open(
                self.folder / str(uid), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                continue
            if uid not in (*used, PROBE_UID) and not _has_account(uid):
                return uid, descriptor
            os.close(descriptor)
        raise IsolationError(f"all users from {self._first} to {self._end - 1} are taken")


def _has_account(uid: int) -> bool:
    import pwd  # noqa: PLC0415 - absent on Windows

    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


class Workspace:
    """A private folder and identity for one kernel.

    Leaving it ends the kernel's processes and deletes the folder. Its path is short enough for Unix
    sockets; it belongs to the kernel's user once `give_away` was called.
    """

    def __init__(self, host: Host | None = None, uids: Uids | None = None) -> None:
        self.host = host or probe()
        self.uid: int | None = None
        self._uids = uids or Uids()
        self._lease = -1

    def __enter__(self) -> Workspace:
        """Take a user and make the folder; raises IsolationError."""
        _raise_own_limit()
        if self.host.identity != "shared":
            self.uid, self._lease = self._uids.take()
        elif not self.host.landlock:
            # Nothing else keeps a kernel of the same user from writing into the judge.
            close_own_memory()
        try:
            self.mark = Mark(self.uid, random.SystemRandom().randrange(1 << 40, 1 << 60))
            self._outer = self._make_outer()
            JANITOR.watch(self._outer, self.uid, self.mark.tag)
            self.path = self._outer / "k"
            self.path.mkdir(mode=0o700)
            self.give_away()
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what is left of the kernel and delete its folder, and give the user back."""
        try:
            self.sweep()
        finally:
            remove_tree(self._outer)
            if self.uid is not None:
                remove_shared_memory(self.uid)
                if not self.host.landlock or not self.host.seccomp:
                    remove_traces(self.uid)
            JANITOR.forget(self._outer)
            self._give_back()

    def _give_back(self) -> None:
        if self._lease >= 0:
            os.close(self._lease)
            self._lease = -1

    def _make_outer(self) -> Path:
        # Sockets have paths of at most 107 bytes: unix(7).
        for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
            if len(os.fsencode(folder)) > _MAX_PATH - 16 or not Path(folder).is_dir():
                continue
            if self.uid is not None and not _passable(Path(folder)):
                continue
            outer = Path(tempfile.mkdtemp(prefix="hw3-", dir=folder)).resolve()
            outer.chmod(0o711)
            return outer
        raise IsolationError(
            "no folder for temporary files is short enough and open to the kernel's user; set TMPDIR"
        )

    def give_away(self) -> None:
        """Hand what the judge has put into the folder to the kernel's user; only while no kernel runs."""
        if self.uid is None or sys.platform != "linux":
            return
        os.chown(self.path, self.uid, self.uid)
        for _, folders, files, descriptor in os.fwalk(self.path, follow_symlinks=False):
            for name in (*folders, *files):
                if os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_uid == os.geteuid():
                    os.chown(name, self.uid, self.uid, dir_fd=descriptor, follow_symlinks=False)

    def sweep(self) -> int:
        """End every process of the kernel; see `sweep`."""
        return sweep(self.mark)

    def clear(self) -> None:
        """End the kernel and empty the folder, so that the judge cannot trip over what it laid out there."""
        self.sweep()
        remove_tree(self.path)
        self.path.mkdir(mode=0o700)
        self.give_away()


def _raise_own_limit() -> None:
    """Let the judge open as many files as it may: what kernels may is far below that."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - absent on Windows

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 8192 if hard == resource.RLIM_INFINITY else min(hard, 8192)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _passable(folder: Path) -> bool:
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder.resolve(), *folder.resolve().parents))
