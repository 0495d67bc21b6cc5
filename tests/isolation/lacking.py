"""Makes this process a grader on another machine: one that lacks layers of isolation, or is run by an ordinary user.

For processes that a test starts. Call `become` before anything uses what the host offers.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from grader.kernel import confinement
from grader.kernel.confinement import view as views
from grader.kernel.inside import confine

ROOT = Path(confine.__file__).parents[3]
NOBODY = 65534
# chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod,
# audit_write, setfcap: capabilities(7)
_OF_CONTAINERS = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_ENOSYS, _EPERM, _EINVAL = 38, 1, 22
_UNSHARE, _PRCTL, _CAPSET = {"x86_64": (272, 157, 126), "aarch64": (97, 167, 91)}.get(os.uname().machine, (0, 0, 0))
_REFUSED = {"landlock": ((444, 445, 446), _ENOSYS), "namespaces": ((_UNSHARE,), _EPERM)}


def become(lacking: Sequence[str], *, user: bool = False) -> None:
    """Take from this process and all that it starts: landlock, seccomp, namespaces, capabilities, or a private home;
    with ``user`` also proc.

    Without a private home everyone may read Python. With ``user`` it becomes an ordinary user, who finds it so; "container" is
    a root who does, too, with the capabilities that containers have by default.
    """
    if os.geteuid() == 0 and (user or {"private home", "container"} & set(lacking)):
        _open_home()
        if "proc" in lacking:
            confine._Libc().mount("none", "/proc", "tmpfs", 0, "size=4k")
    if os.geteuid() == 0 and user:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        os.environ["HOME"] = tempfile.mkdtemp(prefix="hl-", dir="/tmp")
        # Once more, as a process that changes its user is less open to others than one that was started by this user.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    if user:
        atexit.register(shutil.rmtree, os.environ["HOME"], ignore_errors=True)
    steps = [(0x20, 0, 0, 0)]
    for name in lacking:
        for number in _REFUSED.get(name, ((), 0))[0]:
            steps += [(0x15, 0, 1, number), (0x06, 0, 0, _ERROR | _REFUSED[name][1])]
    if "seccomp" in lacking:
        # prctl(PR_SET_SECCOMP), as on a system that does not know it
        steps += [(0x15, 0, 3, _PRCTL), (0x20, 0, 0, 16), (0x15, 0, 1, 22), (0x06, 0, 0, _ERROR | _EINVAL)]
    steps.append((0x06, 0, 0, _ALLOW))
    program = b"".join(struct.pack("<HBBI", *step) for step in steps)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))

    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(Program(len(steps), program)), 0, 0) == 0
    confinement.probe.cache_clear()
    if {"capabilities", "container"} & set(lacking):
        kept = sum(1 << number for number in _OF_CONTAINERS) if "container" in lacking else 0
        assert libc.syscall(_CAPSET, struct.pack("Ii", 0x20080522, 0), struct.pack("6I", kept, kept, 0, 0, 0, 0)) == 0


def _open_home() -> None:
    libc = confine._Libc()
    libc.unshare(0x00020000)
    libc.mount(None, "/", None, 0x4000 | 0x40000)
    view = views.make_view()
    if view["closed"]:
        inside = any(Path(folder) in ROOT.parents for folder in view["closed"])
        confine._show_only(libc, {**view, "shown": [*view["shown"], *([str(ROOT)] if inside else [])]})
    views.make_view.cache_clear()
