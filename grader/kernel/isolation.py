"""The judge's side of isolation: what this host offers, the policy of one kernel, its folder, its identity
and its end.

Levels, from strongest to weakest; `Workspace` always uses the strongest that the host gives:

full
    Landlock and seccomp, and a user of its own for the kernel. It reads libraries and its own folder only,
    reaches no network, and neither sees nor signals a process that is not its own.
strong
    Landlock and seccomp, but the judge's own user (which needs Landlock's scopes, ABI 6), or one that keeps the
    right to enter the judge's folders. The same holds, by Landlock alone; what the kernel leaves behind is ended
    by a process that it cannot reach, and known by a mark that it cannot take off.
basic
    Some of it: seccomp or a user of its own. No network and no tracing, but files that the kernel's user may
    read, the grader's among them, can be read.
none
    Limits on time and memory at most, or no user but root for the kernel.

What each level leaves open stands in THREATS.md. No kernel ever runs as root, except that a person's own notebook may
where root is the only user there is (a container without capabilities); see `for_own_notebook`.

Sources: landlock(7), seccomp(2), credentials(7), capabilities(7), proc(5), setrlimit(2).
"""

from __future__ import annotations

import base64
import ctypes
import errno
import functools
import os
import random
import stat
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from grader.kernel import _landlock, _seccomp, _view
from grader.kernel._processes import (
    FIRST_UID,
    KEEPER_UID,
    MIB,
    PROBE_UID,
    UIDS,
    Budget,
    IsolationError,
    Mark,
    Watchdog,
    all_pids,
    owner,
    status_of,
    sweep,
)
from grader.kernel._removal import remove_shared_memory, remove_traces, remove_tree
from grader.kernel.inside.confine import close_own_memory
from grader.kernel.janitor import Janitor

__all__ = [
    "FIRST_UID",
    "KEEPER_UID",
    "LEVELS",
    "Budget",
    "Host",
    "IsolationError",
    "Level",
    "Mark",
    "Uids",
    "Watchdog",
    "Workspace",
    "describe",
    "for_own_notebook",
    "make_policy",
    "meets",
    "probe",
    "require",
    "sweep",
    "weaknesses",
]

Level = Literal["full", "strong", "basic", "none"]
LEVELS: tuple[Level, ...] = ("none", "basic", "strong", "full")
POLICY_VERSION = 2
_SHARED_MEMORY = 256 * MIB


@dataclass(frozen=True)
class Host:
    """What this host lets the judge use; see `probe`."""

    linux: bool
    landlock: int
    """Version of Landlock's interface; 0 where there is none."""
    seccomp: bool
    root: bool
    identity: Literal["own", "reading", "shared"]
    """Whose user the kernel runs as: one of its own; one of its own that keeps the right to read what the
    grader's user may read, within Landlock; the grader's."""
    why_shared: str = ""
    namespaces: bool = False
    """Whether kernels get mounts, a network and System V objects of their own."""
    as_root: bool = False
    """Whether a kernel may be root where there is no other user for it: root of a user namespace that has only its
    maker as a user, or a person's own notebook."""

    @property
    def level(self) -> Level:
        """The level of isolation that a kernel gets here."""
        if self.root and self.identity == "shared" and not self.as_root:
            return "none"
        if self.landlock and self.seccomp and self.identity == "own":
            return "full"
        if self.landlock and self.seccomp and (self.landlock >= 6 or self.identity == "reading"):
            return "strong"
        if self.linux and (self.landlock or self.seccomp or self.identity != "shared"):
            return "basic"
        return "none"


@functools.cache
def probe() -> Host:
    """Look once at what this host offers; changes nothing."""
    if sys.platform != "linux" or os.uname().machine not in _seccomp.ARCHITECTURES:
        return Host(False, 0, False, False, "shared", "only Linux on x86_64 and aarch64 is known")
    landlock, seccomp = _landlock_abi(), _has_seccomp()
    root = os.geteuid() == 0
    namespaces = root and _CAP_SYS_ADMIN in _capabilities() and _view.can_enter_namespaces()
    why = _why_no_identity()
    if why is None:
        identity: Literal["own", "reading", "shared"] = "own"
        closed = _view.closed_to_others()
        if closed is not None and not (namespaces and _view.reads_by_view(PROBE_UID)):
            identity = "reading" if _CAP_DAC_READ_SEARCH in _capabilities() else "shared"
            why = f"other users cannot read {closed}"
    else:
        identity = "shared"
    return Host(True, landlock, seccomp, root, identity, why or "", namespaces, root and _is_root_by_name())


def for_own_notebook(host: Host | None = None) -> Host:
    """The host for a notebook of the person who runs the grader, which is refused nowhere."""
    return replace(host or probe(), as_root=True)


def weaknesses(host: Host | None = None) -> str:
    """What this host lacks for the level `strong`, in words; empty where it lacks nothing."""
    host = host or probe()
    if meets("strong", host):
        return ""
    missing = []
    if not host.linux:
        return "only Linux on x86_64 and aarch64 can confine submissions"
    if not host.landlock:
        missing.append("Landlock is missing, so a submission can read the grader's files and other submissions")
    elif host.landlock < 6 and host.identity == "shared":
        missing.append("Landlock is older than ABI 6, and the submission runs as the grader's user")
    if not host.seccomp:
        missing.append("seccomp is missing, so a submission can open network connections")
    if host.root and host.identity == "shared" and not host.as_root:
        missing.append(f"there is no user but root for submissions ({host.why_shared})")
    return "; ".join(missing)


def require(level: Level, host: Host | None = None) -> None:
    """Raise `IsolationError` where kernels get less than this level, or would have to be root."""
    host = host or probe()
    if host.root and host.identity == "shared" and not host.as_root:
        remedy = "install Python outside a private home, for example under /opt" if "cannot read" in host.why_shared else (
            "grade as an ordinary user, or as a root with the capabilities that containers have by default"
        )
        raise IsolationError(f"submissions never run as root, and {host.why_shared}: {remedy}")
    if not meets(level, host):
        raise IsolationError(
            f"this machine isolates submissions at level {host.level}, grading needs {level}: {weaknesses(host)}. "
            f"`grader doctor` says how to get it; to grade all the same: --require-isolation {host.level}"
        )


def _is_root_by_name() -> bool:
    """Whether root of this user namespace is an ordinary user of the machine, and the only one that is there."""
    with Path("/proc/self/uid_map").open(encoding="ascii") as file:
        rows = [tuple(map(int, line.split())) for line in file]
    return len(rows) == 1 and rows[0][0] == 0 and rows[0][1] != 0 and rows[0][2] == 1


def meets(level: Level, host: Host | None = None) -> bool:
    """Whether kernels on this host get at least this level of isolation."""
    return LEVELS.index((host or probe()).level) >= LEVELS.index(level)


_NOTES = {
    "namespaces": "without it the kernel shares the machine's mounts, network and shared memory",
    "uid": "without it the kernel is the grader's user: what it may not touch rests on Landlock alone",
    "landlock": "without it the kernel reads every file that its user may read, the grader's code among them",
    "scopes": "without it (Landlock before ABI 6) the kernel can signal processes of its own user",
    "seccomp": "without it the kernel can open network connections and reach all of the system's interface",
    "limits": "without it the kernel can use all memory and CPU time until the watchdog sees it",
    "capabilities": "without it a kernel that runs as root may do what root may",
    "keeper": "without it a submission that forks faster than the grader can look may outlive it",
    "no_new_privs": "without it a set-user-ID program could give the kernel privileges",
    "undumpable": "without it processes of the same user can read the kernel's memory",
    "dies_with_parent": "without it the kernel outlives a grader that is killed",
    "descriptors": "without it the kernel keeps files that were open where it was started",
    "session": "without it the kernel can reach the grader's terminal",
}


def describe(active: Iterable[str], host: Host | None = None) -> list[dict[str, Any]]:
    """A row ``{layer, active, note}`` for every layer, given those that `confine.apply` returned."""
    host = host or probe()
    on = set(active)
    rows = []
    for name, note in _NOTES.items():
        if name == "capabilities" and ("uid" in on or not host.root):
            continue
        if name == "keeper" and "uid" in on:
            continue
        if name == "namespaces" and "uid" not in on:
            continue
        is_on = (name in on) if name != "scopes" else ("landlock" in on and host.landlock >= 6)
        if name == "uid" and is_on and host.identity == "reading":
            note = f"keeps the right to read, within Landlock: {host.why_shared}"  # noqa: PLW2901
        elif name == "uid" and not is_on and host.why_shared:
            note = f"{note} ({host.why_shared})"  # noqa: PLW2901
        elif name == "landlock" and is_on:
            note = f"ABI {host.landlock}"  # noqa: PLW2901
        elif is_on:
            note = ""  # noqa: PLW2901
        rows.append({"layer": name, "active": is_on, "note": note})
    return rows


def _landlock_abi() -> int:
    version = ctypes.CDLL(None, use_errno=True).syscall(444, None, ctypes.c_size_t(0), 1)
    return max(int(version), 0)


def _has_seccomp() -> bool:
    # A null program is refused with EFAULT where filters are known and EINVAL where they are not: seccomp(2).
    if ctypes.CDLL(None, use_errno=True).prctl(22, ctypes.c_ulong(2), None, 0, 0) == 0:
        return False
    return ctypes.get_errno() == errno.EFAULT


_CAP_SYS_ADMIN = 21
_CAP_CHOWN, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_KILL, _CAP_SETGID, _CAP_SETUID = 0, 1, 2, 5, 6, 7


def _capabilities() -> set[int]:
    mask = int(status_of("self")["CapEff"], 16)
    return {number for number in range(64) if mask >> number & 1}


def _why_no_identity() -> str | None:
    if os.geteuid() != 0:
        return "the grader is not root"
    if missing := {_CAP_CHOWN, _CAP_DAC_OVERRIDE, _CAP_KILL, _CAP_SETGID, _CAP_SETUID} - _capabilities():
        return f"root lacks capabilities {sorted(missing)}"
    with Path("/proc/self/uid_map").open(encoding="ascii") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    if not any(first <= FIRST_UID and first + count >= FIRST_UID + UIDS for first, _, count in ranges):
        return f"UIDs {FIRST_UID} to {FIRST_UID + UIDS - 1} are not mapped in this user namespace"
    return None


def make_policy(
    workspace: Workspace,
    readable: Iterable[Path] = (),
    *,
    hidden: Iterable[Path] = (),
    budget: Budget | None = None,
    parent: int | None = None,
    keep_fds: Sequence[int] | None = None,
    programs: bool = False,
    gpu: bool = False,
    folders: Sequence[Path] = (),
    host: Host | None = None,
) -> dict[str, Any]:
    """The policy for ``confine.apply``, as values that JSON can carry.

    Every layer that this host has is required: one that fails stops the kernel instead of leaving it open.

    Args:
        workspace: the folder the kernel may write to, and whose user it runs as.
        readable: paths the kernel may read besides the interpreter and its libraries.
        hidden: paths it may not read even where they lie beneath a readable one.
        budget: limits.
        parent: process that starts the kernel, and with which it dies; by default this one. The kernel
            counts as started by a thread: when that thread ends, the kernel is killed.
        keep_fds: descriptors that stay open besides 0, 1 and 2; None leaves that to the caller of ``apply``.
        programs: whether the kernel may start other programs. Nothing in the homework does.
        gpu: whether it may use NVIDIA devices and read what describes them.
        folders: folders in the workspace that are held in memory, where the host allows that; files can then be
            made in these alone.
        host: what the host offers, by default `probe`.
    """
    host, budget = host or probe(), budget or Budget()
    uid = workspace.uid
    mounts = host.namespaces and uid is not None
    required = ["limits", "no_new_privs", "undumpable"] if host.linux else []
    landlock = None
    if host.landlock:
        required.append("landlock")
        landlock = _landlock.rules(
            host.landlock,
            workspace.path,
            readable,
            hidden,
            programs=programs,
            gpu=gpu,
            # What lies there is a user's: without one of its own nobody could tell the kernel's from the judge's.
            shared_memory=uid is not None,
            folders=folders if mounts else (),
        )
    if host.seccomp:
        required.append("seccomp")
        program = _seccomp.program(programs=programs, attributes=uid is not None, gpu=gpu)
    keeper = uid is None and host.landlock >= 6 and host.seccomp
    if mounts:
        required.append("namespaces")
    required += [*(["uid"] if uid is not None else []), *(["keeper"] if keeper else [])]
    return {
        "version": POLICY_VERSION,
        "uid": uid,
        "gid": uid,
        "as_root": host.as_root,
        "namespaces": {"view": _view.make_view(), "folders": _in_memory(folders, uid, budget)} if mounts else None,
        "keep_capabilities": [_CAP_DAC_READ_SEARCH] if uid is not None and host.identity == "reading" else [],
        "parent": os.getpid() if parent is None else parent,
        "keeper": os.getpid() if keeper else None,
        "keep_fds": None if keep_fds is None else list(keep_fds),
        "session": True,
        "umask": 0o077,
        "tag": workspace.mark.tag,
        "limits": _limits(budget, uid),
        "landlock": landlock,
        "seccomp": base64.b64encode(program).decode() if host.seccomp else None,
        "required": required,
    }


def _in_memory(folders: Iterable[Path], uid: int | None, budget: Budget) -> list[tuple[str, str, list[str]]]:
    """Folders with the options that they are mounted by, and the files that stay in them; shared memory is one of them.

    Nothing stays in shared memory: it is what other processes of this machine have there.
    """
    own = f"mode=700,uid={uid},gid={uid},size={budget.disk},nr_inodes={budget.files}"
    shared = f"mode=1777,size={min(_SHARED_MEMORY, budget.disk)},nr_inodes=1000"
    ours = [(str(folder), own, sorted(path.name for path in folder.iterdir())) for folder in folders]
    return [*ours, ("/dev/shm", shared, [])]


def _limits(budget: Budget, uid: int | None) -> dict[str, list[int]]:
    processes = budget.processes
    if uid is None:
        # The limit counts all of a user's threads, those from before included.
        processes += sum(
            int(status_of(pid).get("Threads", "0")) for pid in all_pids() if owner(pid) == os.getuid()
        )
    return {
        "RLIMIT_DATA": [budget.data, budget.data],
        # First a signal that can be caught, then one that cannot.
        "RLIMIT_CPU": [budget.cpu, budget.cpu + 5],
        "RLIMIT_NPROC": [processes, processes],
        "RLIMIT_FSIZE": [budget.file, budget.file],
        "RLIMIT_NOFILE": [budget.open_files, budget.open_files],
        "RLIMIT_CORE": [0, 0],
        "RLIMIT_MEMLOCK": [64 * MIB, 64 * MIB],
    }


_MAX_PATH = 80


class Uids:
    """Users for kernels, each lent to one at a time, also between graders on one machine.

    Who holds the lock on a user's file has the user; the lock ends with its process, whatever happens.
    """

    def __init__(self, folder: Path | None = None) -> None:
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
        first = random.SystemRandom().randrange(FIRST_UID, KEEPER_UID)
        for uid in (*range(first, KEEPER_UID), *range(FIRST_UID, first)):
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
        raise IsolationError(f"all users from {FIRST_UID} to {KEEPER_UID - 1} are taken")


def _has_account(uid: int) -> bool:
    import pwd  # noqa: PLC0415 - absent on Windows

    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


_JANITOR = Janitor()


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
            _JANITOR.watch(self._outer, self.uid, self.mark.tag)
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
            _JANITOR.forget(self._outer)
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
