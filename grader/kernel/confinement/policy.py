"""The policy of one kernel, or of a process of ours that reads untrusted data: what `confine.apply` carries out."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from grader.kernel.confinement import seccomp as filters
from grader.kernel.confinement.host import CAP_DAC_READ_SEARCH, Host, probe
from grader.kernel.confinement.landlock import Access, only_fonts, rules
from grader.kernel.confinement.processes import READER_UID, all_pids, owner, status_of
from grader.kernel.confinement.view import make_view
from grader.kernel.confinement.watchdog import MIB, Budget
from grader.kernel.confinement.workspace import Workspace

POLICY_VERSION = 3
NOTHING_MORE = Access()
_SHARED_MEMORY = 256 * MIB


def make_policy(
    workspace: Workspace,
    access: Access = NOTHING_MORE,
    *,
    budget: Budget | None = None,
    parent: int | None = None,
    keep_fds: Sequence[int] | None = None,
    host: Host | None = None,
) -> dict[str, Any]:
    """The policy for ``confine.apply``, as values that JSON can carry.

    Every layer that this host has is required: one that fails stops the kernel instead of leaving it open.

    Args:
        workspace: the folder the kernel may write to, and whose user it runs as.
        access: what the kernel may reach besides that; ``shared_memory`` is decided here.
        budget: limits.
        parent: process that starts the kernel, and with which it dies; by default this one. The kernel
            counts as started by a thread: when that thread ends, the kernel is killed.
        keep_fds: descriptors that stay open besides 0, 1 and 2; None leaves that to the caller of ``apply``.
        host: what the host offers, by default `probe`.
    """
    host, budget = host or probe(), budget or Budget()
    uid = workspace.uid
    mounts = host.namespaces and uid is not None
    required = ["limits", "no_new_privs", "undumpable"] if host.linux else []
    landlock = None
    if host.landlock:
        required.append("landlock")
        # What lies in shared memory is a user's: without one of its own nobody could tell the kernel's from the judge's.
        granted = replace(access, shared_memory=uid is not None, folders=access.folders if mounts else ())
        landlock = rules(host.landlock, workspace.path, granted)
    if host.seccomp:
        required.append("seccomp")
        program = filters.program(programs=access.programs, attributes=uid is not None, gpu=access.gpu)
    keeper = uid is None and host.landlock >= 6 and host.seccomp
    if mounts:
        required.append("namespaces")
    required += [*(["uid"] if uid is not None else []), *(["keeper"] if keeper else [])]
    return {
        "version": POLICY_VERSION,
        "proc": host.proc,
        "uid": uid,
        "gid": uid,
        "as_root": host.as_root,
        "namespaces": {"view": make_view(), "folders": _in_memory(access.folders, uid, budget)} if mounts else None,
        "keep_capabilities": [CAP_DAC_READ_SEARCH] if uid is not None and host.identity == "reading" else [],
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


def make_sealed_policy(memory: int, seconds: int, output: int, host: Host | None = None) -> dict[str, Any]:
    """The policy of a process of ours that reads something untrusted, and has all that it needs open.

    It reaches fonts and nothing else: no other file, no network, no other process.

    Args:
        memory: bytes of private memory.
        seconds: CPU time.
        output: bytes of each file that it may write to.
        host: what the host offers, by default `probe`.
    """
    host = host or probe()
    uid = READER_UID if host.root and host.identity == "own" else None
    required = ["limits", "no_new_privs", "undumpable"] if host.linux else []
    required += [name for name, has in (("landlock", host.landlock), ("seccomp", host.seccomp)) if has]
    return {
        "version": POLICY_VERSION,
        "proc": host.proc,
        "uid": uid,
        "gid": uid,
        "as_root": True,
        "namespaces": None,
        "keep_capabilities": [],
        "parent": os.getpid(),
        "keeper": None,
        "keep_fds": [],
        "session": True,
        "umask": 0o077,
        "tag": None,
        "limits": {
            "RLIMIT_DATA": [memory, memory],
            "RLIMIT_CPU": [seconds, seconds + 1],
            "RLIMIT_NPROC": [0, 0],
            "RLIMIT_FSIZE": [output, output],
            "RLIMIT_NOFILE": [32, 32],
            "RLIMIT_CORE": [0, 0],
        },
        "landlock": only_fonts(host.landlock) if host.landlock else None,
        "seccomp": base64.b64encode(filters.program(attributes=False)).decode() if host.seccomp else None,
        "required": [*required, *(["uid"] if uid is not None else [])],
    }


def _in_memory(folders: Iterable[Path], uid: int | None, budget: Budget) -> list[list[Any]]:
    """Folders with the options that they are mounted by, and the files that stay in them; shared memory is one of them.

    Nothing stays in shared memory: it is what other processes of this machine have there.
    """
    own = f"mode=700,uid={uid},gid={uid},size={budget.disk},nr_inodes={budget.files}"
    shared = f"mode=1777,size={min(_SHARED_MEMORY, budget.disk)},nr_inodes=1000"
    ours = [[str(folder), own, sorted(path.name for path in folder.iterdir())] for folder in folders]
    return [*ours, ["/dev/shm", shared, []]]


def _limits(budget: Budget, uid: int | None) -> dict[str, list[int]]:
    processes, known = budget.processes, True
    if uid is None:
        # The limit counts all of a user's threads, those from before included; without /proc nobody knows how many.
        pids = all_pids()
        known = bool(pids)
        processes += sum(int(status_of(pid).get("Threads", "0")) for pid in pids if owner(pid) == os.getuid())
    return {
        "RLIMIT_DATA": [budget.data, budget.data],
        # First a signal that can be caught, then one that cannot.
        "RLIMIT_CPU": [budget.cpu, budget.cpu + 5],
        **({"RLIMIT_NPROC": [processes, processes]} if known else {}),
        "RLIMIT_FSIZE": [budget.file, budget.file],
        "RLIMIT_NOFILE": [budget.open_files, budget.open_files],
        "RLIMIT_CORE": [0, 0],
        "RLIMIT_MEMLOCK": [64 * MIB, 64 * MIB],
    }
