"""What this host offers to confine a kernel, and which level of isolation that makes."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from grader.errors import UsageError
from grader.kernel.confinement import seccomp as filters
from grader.kernel.confinement import view
from grader.kernel.confinement.processes import FIRST_UID, PROBE_UID, UIDS, IsolationError, status_of
from grader.kernel.inside.confine import LANDLOCK_CREATE_RULESET, PR_SET_SECCOMP, SECCOMP_MODE_FILTER

Level = Literal["full", "strong", "basic", "none"]
LEVELS: tuple[Level, ...] = ("none", "basic", "strong", "full")
CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_KILL, CAP_SETGID, CAP_SETUID = 0, 1, 2, 5, 6, 7
CAP_SYS_ADMIN = 21
_LANDLOCK_CREATE_RULESET_VERSION = 1


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
    proc: bool = True
    """Whether /proc shows the machine's processes."""

    @property
    def level(self) -> Level:
        """The level of isolation that a kernel gets here."""
        if self.root and self.identity == "shared" and not self.as_root:
            return "none"
        if not self.proc:
            return "basic" if self.linux and (self.landlock or self.seccomp or self.identity != "shared") else "none"
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
    if sys.platform != "linux" or os.uname().machine not in filters.ARCHITECTURES:
        return Host(False, 0, False, False, "shared", "only Linux on x86_64 and aarch64 is known", proc=False)
    landlock, seccomp = _landlock_abi(), _has_seccomp()
    root, proc = os.geteuid() == 0, Path("/proc/self/status").is_file()
    namespaces = root and proc and CAP_SYS_ADMIN in _capabilities() and view.can_enter_namespaces()
    why = _why_no_identity()
    if why is None:
        identity: Literal["own", "reading", "shared"] = "own"
        closed = view.closed_to_others()
        if closed is not None and not (namespaces and view.reads_by_view(PROBE_UID)):
            identity = "reading" if CAP_DAC_READ_SEARCH in _capabilities() else "shared"
            why = f"other users cannot read {closed}"
    else:
        identity = "shared"
    return Host(True, landlock, seccomp, root, identity, why or "", namespaces, root and _is_root_by_name(), proc)


def require_kernels() -> None:
    """Raise `UsageError` on a system where no kernel could be run at all, as on Windows."""
    needed = ((os, "fork"), (socket, "AF_UNIX"), (socket, "send_fds"))
    if missing := [name for module, name in needed if not hasattr(module, name)]:
        raise UsageError(
            f"this system cannot run submissions, as its Python has no {missing[0]}. On Windows, run the grader in WSL 2, "
            "which is Linux; students can use the check package in their notebooks"
        )


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
    if not host.proc:
        missing.append("/proc is not mounted, so processes that a submission leaves behind are not seen")
    if host.root and host.identity == "shared" and not host.as_root:
        missing.append(f"submissions could only run as root ({host.why_shared})")
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
            f"`grader doctor` shows how to fix this; to grade anyway, pass --require-isolation {host.level}"
        )


def _is_root_by_name() -> bool:
    """Whether root of this user namespace is an ordinary user of the machine, and the only one that is there."""
    rows = _users()
    return len(rows) == 1 and rows[0][0] == 0 and rows[0][1] != 0 and rows[0][2] == 1


def meets(level: Level, host: Host | None = None) -> bool:
    """Whether kernels on this host get at least this level of isolation."""
    return LEVELS.index((host or probe()).level) >= LEVELS.index(level)


_NOTES = {
    "namespaces": "without it the kernel shares the machine's mounts, network and shared memory",
    "uid": "without it the kernel runs as the grader's user, so only Landlock protects the grader's files",
    "landlock": "without it the kernel can read every file its user can read, including the grader's code",
    "scopes": "without it (Landlock before ABI 6) the kernel can signal other processes of its user",
    "seccomp": "without it the kernel can open network connections and make any system call",
    "limits": "without it the kernel can use all memory and CPU time until the watchdog notices",
    "capabilities": "without it a kernel that runs as root keeps all of root's rights",
    "keeper": "without it a submission that forks faster than the grader can check may outlive it",
    "no_new_privs": "without it a set-user-ID program could give the kernel privileges",
    "undumpable": "without it processes of the same user can read the kernel's memory",
    "dies_with_parent": "without it the kernel keeps running if the grader is killed",
    "descriptors": "without it the kernel inherits files that its parent had open",
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
            note = f"keeps the right to read all files, limited by Landlock: {host.why_shared}"  # noqa: PLW2901
        elif name == "uid" and not is_on and host.why_shared:
            note = f"{note} ({host.why_shared})"  # noqa: PLW2901
        elif name == "landlock" and is_on:
            note = f"ABI {host.landlock}"  # noqa: PLW2901
        elif is_on:
            note = ""  # noqa: PLW2901
        rows.append({"layer": name, "active": is_on, "note": note})
    return rows


def _landlock_abi() -> int:
    version = ctypes.CDLL(None, use_errno=True).syscall(
        LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_CREATE_RULESET_VERSION
    )
    return max(int(version), 0)


def _has_seccomp() -> bool:
    # A null program is refused with EFAULT where filters are known and EINVAL where they are not: seccomp(2).
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), None, 0, 0) == 0:
        return False
    return ctypes.get_errno() == errno.EFAULT




def _users() -> list[tuple[int, ...]]:
    """The users of this user namespace, as (first, first outside, how many); none where /proc does not say."""
    try:
        with Path("/proc/self/uid_map").open(encoding="ascii") as file:
            return [tuple(map(int, line.split())) for line in file]
    except OSError:
        return []


def _capabilities() -> set[int]:
    mask = int(status_of("self").get("CapEff", "0"), 16)
    return {number for number in range(64) if mask >> number & 1}


def _why_no_identity() -> str | None:
    if os.geteuid() != 0:
        return "the grader is not root"
    if not Path("/proc/self/status").is_file():
        return "/proc is not mounted"
    if missing := {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_KILL, CAP_SETGID, CAP_SETUID} - _capabilities():
        return f"root lacks capabilities {sorted(missing)}"
    if not any(first <= FIRST_UID and first + count >= FIRST_UID + UIDS for first, _, count in _users()):
        return f"UIDs {FIRST_UID} to {FIRST_UID + UIDS - 1} are not mapped in this user namespace"
    return None
