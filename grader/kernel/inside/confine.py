"""Confine the calling process before it runs untrusted code.

This is one long file on purpose. The kernel loads it by its bare name, the judge imports it from the package, and the tests of
isolation run it by its path, so it cannot import a file beside it. It can also be audited in one reading.

`apply` carries out a policy that the judge made (`grader.kernel.confinement.make_policy`). It decides nothing
itself, so that no reasoning about the host runs beside a student's code, and it costs about a millisecond,
so that a forked kernel can afford it.

Raw system calls instead of a package: the layers must work in a forked child with nothing but the standard
library at hand; the bindings on PyPI know neither Landlock's network rules nor its scopes, or need
libseccomp on the host.

Sources: landlock(7), seccomp(2), capabilities(7), prctl(2), credentials(7) and
    Documentation/userspace-api/landlock.rst.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import os
import select
import struct
import sys
from collections.abc import Callable, Iterable
from typing import Any

VERSION = 3

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_RULE_PATH_BENEATH = 1
_LANDLOCK_SCOPE_SIGNAL = 1 << 1
_CAPSET = {"x86_64": 126, "aarch64": 91}
_SIGKILL = 9
_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWNET = 0x00020000, 0x08000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 2, 4, 32, 1 << 12, 1 << 14, 1 << 18
# What Landlock lets one grant on something that is no directory; other bits make the kernel refuse the rule.
_FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15


class ConfineError(RuntimeError):
    """A layer that the policy requires could not be applied; the process must not run untrusted code."""


def apply(
    policy: dict[str, Any], keep_fds: Iterable[int] | None = None, *, entered: bool = False
) -> list[str]:
    """Confine this process for good and return the names of the layers that became active.

    ``entered`` says that `enter_namespaces` was called in the process that this one was forked from.

    Every descriptor but 0, 1, 2, `keep_fds` and those the policy names is closed; where neither names any, all stay
    open and the layer "descriptors" is not active.

    Must run while the process has one thread: Landlock, seccomp and capabilities bind the calling thread
    and what it starts later, so a thread that exists already would stay free.

    Raises:
        ConfineError: a layer in ``policy["required"]`` failed, the process has more threads, or its parent
            is gone, or it would still be root.
    """
    _check(policy)
    libc = _Libc()
    layers = _Layers(policy["required"])
    if policy["session"]:
        layers.add("session", _lead_session)
    if keep_fds is not None or policy["keep_fds"] is not None:
        layers.add(
            "descriptors", _close_descriptors, {0, 1, 2, *(policy["keep_fds"] or ()), *(keep_fds or ())}
        )
    if policy["namespaces"]:
        layers.add("namespaces", _private_folders, libc, policy, entered)
    os.umask(policy["umask"])
    # Landlock refers to folders by descriptor: they are opened while this process may still see them all.
    ruleset = -1
    if policy["landlock"]:
        ruleset = layers.attempt("landlock", _landlock_ruleset, libc, policy["landlock"], otherwise=-1)
    layers.add("limits", _limit, policy["limits"], policy["tag"])
    if sys.platform == "linux":
        _apply_linux(policy, layers, libc, ruleset)
    return layers.complete()


def _apply_linux(policy: dict[str, Any], layers: _Layers, libc: _Libc, ruleset: int) -> None:
    """The layers that only Linux has, in the only order that works."""
    if policy["uid"] is not None:
        layers.add("uid", _become, libc, policy["uid"], policy["gid"], policy["keep_capabilities"])
    elif os.geteuid() == 0:
        layers.add("capabilities", _drop_capabilities, libc)
    if 0 in os.getresuid() and not policy["as_root"]:
        raise ConfineError("the process is still root")
    layers.add("no_new_privs", libc.prctl, _PR_SET_NO_NEW_PRIVS, 1)
    # Not dumpable: other processes of the same UID, which for a grader that is not root include the user's
    # own and for a submission its own children, can neither trace this one nor read its memory, environment
    # or descriptors.
    layers.add("undumpable", libc.prctl, _PR_SET_DUMPABLE, 0)
    if policy["parent"] is not None:
        layers.add("dies_with_parent", _die_with, libc, policy["parent"])
    if policy["keeper"] is not None:
        layers.add("keeper", _start_keeper, libc, policy["keeper"])
    if ruleset >= 0:
        layers.add("landlock", libc.call, _LANDLOCK_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)
    # Last, as it refuses some of the calls above.
    if policy["seccomp"]:
        layers.add("seccomp", _load_filter, libc, base64.b64decode(policy["seccomp"]))


def _check(policy: dict[str, Any]) -> None:
    if policy["version"] != VERSION:
        raise ConfineError(f"policy has version {policy['version']}, this file knows {VERSION}")
    # Without /proc nothing says how many there are, which costs a host its level: `Host.level`.
    if policy["proc"] and (threads := len(os.listdir("/proc/self/task"))) != 1:  # noqa: PTH208
        raise ConfineError(f"{threads} threads run already; only one would be confined")


class _Layers:
    """The layers that are active so far, and those that must be."""

    def __init__(self, required: list[str]) -> None:
        self._required = set(required)
        self._active: list[str] = []

    def attempt(self, name: str, step: Callable[..., Any], *arguments: Any, otherwise: Any = None) -> Any:
        """The step's result, or `otherwise` where it fails and the layer is not required."""
        try:
            return step(*arguments)
        except (OSError, ValueError, KeyError, AttributeError) as error:
            if name in self._required:
                raise ConfineError(f"{name}: {error}") from error
            return otherwise

    def add(self, name: str, step: Callable[..., Any], *arguments: Any) -> None:
        failed = object()
        if self.attempt(name, step, *arguments, otherwise=failed) is not failed:
            self._active.append(name)

    def complete(self) -> list[str]:
        if missing := self._required - set(self._active):
            raise ConfineError(f"layers that did not become active: {', '.join(sorted(missing))}")
        return self._active


class _Libc:
    """The C library's ``prctl`` and ``syscall``, raising OSError instead of returning -1."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)

    def prctl(self, option: int, *arguments: Any) -> int:
        padded = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
        padded += [ctypes.c_ulong(0)] * (4 - len(padded))
        return self._check(self._library.prctl(ctypes.c_int(option), *padded))

    def call(self, number: int, *arguments: Any) -> int:
        return self._check(
            self._library.syscall(
                ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)
            )
        )

    def unshare(self, flags: int) -> int:
        return self._check(self._library.unshare(ctypes.c_int(flags)))

    def mount(self, source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> int:
        source, target, kind = (None if text is None else os.fsencode(text) for text in (source, target, kind))  # type: ignore[assignment]
        return self._check(
            self._library.mount(source, target, kind, ctypes.c_ulong(flags), os.fsencode(options) or None)
        )

    @staticmethod
    def _check(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


def close_own_memory() -> None:
    """Keep this process's memory, environment and descriptors from others of its user; on Linux."""
    if sys.platform == "linux":
        _Libc().prctl(_PR_SET_DUMPABLE, 0)


def enter_namespaces(view: dict[str, Any]) -> None:
    """Give this process mounts, a network without interfaces and System V objects of its own; needs CAP_SYS_ADMIN.

    Each folder that ``view["closed"]`` names is replaced by an empty one in which only the paths of ``view["shown"]`` and
    the links of ``view["links"]`` are there, so that a user who may not enter the folder can read them all the same. Nothing
    is changed outside of this process and those that it starts. Raises OSError.
    """
    libc = _Libc()
    libc.unshare(_CLONE_NEWNS | _CLONE_NEWIPC | _CLONE_NEWNET)
    # First of all: what is mounted from here on must not appear elsewhere.
    libc.mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    if view["closed"]:
        _show_only(libc, view)


def _show_only(libc: _Libc, view: dict[str, Any]) -> None:
    shown = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in view["shown"]]
    before = os.umask(0o022)
    try:
        for folder in view["closed"]:
            libc.mount("none", folder, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m,nr_inodes=1000")
        for path, descriptor in shown:
            if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
                os.makedirs(path, exist_ok=True)  # noqa: PTH103
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
            libc.mount(f"/proc/self/fd/{descriptor}", path, None, _MS_BIND | _MS_REC)
        for path, target in view["links"]:
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
            if not os.path.lexists(path):
                os.symlink(target, path)  # noqa: PTH211
        for folder in view["closed"]:
            libc.mount("none", folder, None, _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
    finally:
        os.umask(before)
        for _, descriptor in shown:
            os.close(descriptor)


def _private_folders(libc: _Libc, policy: dict[str, Any], entered: bool) -> None:
    """Replace the folders that the policy names by folders in memory, of bounded size, with the files that it names."""
    wanted = policy["namespaces"]
    if not entered:
        enter_namespaces(wanted["view"])
    libc.unshare(_CLONE_NEWNS)
    libc.mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    here = os.getcwd()  # noqa: PTH109
    for folder, options, names in wanted["folders"]:
        kept = {}
        for name in names:
            with open(f"{folder}/{name}", "rb") as file:  # noqa: PTH123
                kept[name] = file.read()
        libc.mount("none", folder, "tmpfs", _MS_NOSUID | _MS_NODEV, options)
        for name, data in kept.items():
            with open(f"{folder}/{name}", "xb") as file:  # noqa: PTH123
                file.write(data)
                os.fchown(file.fileno(), policy["uid"], policy["gid"])
    # The working directory is still the folder beneath.
    os.chdir(here)


def _lead_session() -> None:
    if os.getsid(0) != os.getpid():
        os.setsid()


def _close_descriptors(keep: set[int]) -> None:
    try:
        found = [int(name) for name in os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")]  # noqa: PTH208
    except OSError:
        found = list(range(os.sysconf("SC_OPEN_MAX")))
    for number in found:
        if number not in keep:
            # The descriptor that listed the folder is closed already.
            try:
                os.close(number)
            except OSError:
                continue


def _limit(limits: dict[str, list[int]], tag: int | None) -> None:
    """Set each ``[soft, hard]`` limit, never above the present hard one; raises ValueError after all if one cannot be set."""
    import resource  # noqa: PLC0415 - absent on Windows

    wanted = {name: (soft, hard) for name, (soft, hard) in limits.items()}
    if tag is not None:
        wanted["RLIMIT_RTTIME"] = (tag, tag)
    refused: list[str] = []
    for name, (soft, hard) in wanted.items():
        which = getattr(resource, name, None)
        if which is None:
            continue
        present = resource.getrlimit(which)[1]
        if present != resource.RLIM_INFINITY:
            hard = min(hard, present)  # noqa: PLW2901
        try:
            resource.setrlimit(which, (min(soft, hard), hard))
        except (OSError, ValueError):
            refused.append(name)
    if refused:
        raise ValueError(f"cannot be set: {', '.join(refused)}")


def _become(libc: _Libc, uid: int, gid: int, keep: list[int]) -> None:
    """Take another user's identity, with no group and no capability but those in `keep`."""
    os.setgroups([])
    _drop_bounding_set(libc)
    os.setresgid(gid, gid, gid)
    libc.prctl(_PR_SET_KEEPCAPS, 1 if keep else 0)
    os.setresuid(uid, uid, uid)
    _set_capabilities(libc, keep)
    libc.prctl(_PR_SET_KEEPCAPS, 0)
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (gid, gid, gid) or os.getgroups():
        raise OSError("identity did not change")


def _drop_capabilities(libc: _Libc) -> None:
    os.setgroups([])
    _drop_bounding_set(libc)
    _set_capabilities(libc, [])


def _drop_bounding_set(libc: _Libc) -> None:
    for capability in range(64):
        try:
            libc.prctl(_PR_CAPBSET_DROP, capability)
        except OSError as error:
            # EINVAL: one past the last that this kernel knows. EPERM: no CAP_SETPCAP, and then no_new_privs
            # has to do.
            if error.errno in (errno.EINVAL, errno.EPERM):
                break
            raise


def _set_capabilities(libc: _Libc, keep: list[int]) -> None:
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    mask = sum(1 << capability for capability in keep)
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    libc.call(_CAPSET[os.uname().machine], header, struct.pack("6I", low, low, 0, high, high, 0))


def _die_with(libc: _Libc, parent: int) -> None:
    """Be killed when the parent dies; a change of identity clears this, so it comes after."""
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        raise ConfineError("the process that started this one is gone")


def _start_keeper(libc: _Libc, judge: int) -> None:
    """Leave a process behind that can end all others of this submission in one call, and that none can end.

    Landlock lets a process signal its own domain and those nested in it. The keeper stands in an outer domain
    of which everything else here stands in an inner one: from there ``kill(-1)`` reaches them, and only them.
    It acts when the judge says so with SIGUSR1, or is gone. Needs Landlock ABI 6.
    """
    ruleset = libc.call(LANDLOCK_CREATE_RULESET, struct.pack("QQQ", 0, 0, _LANDLOCK_SCOPE_SIGNAL), 24, 0)
    libc.call(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    if _can_signal(judge):
        raise OSError("signals are not held back")
    heard, told = os.pipe()
    # Two forks, so that no one here waits for a child that never ends.
    between = os.fork()
    if between == 0:
        try:
            if os.fork() == 0:
                _keep(judge, told)
        finally:
            os._exit(0)
    os.close(told)
    os.waitpid(between, 0)
    try:
        if os.read(heard, 1) != b"k":
            raise OSError("the keeper did not start")
    finally:
        os.close(heard)


def _can_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (PermissionError, ProcessLookupError):
        return False
    return True


def _keep(judge: int, told: int) -> None:
    import resource  # noqa: PLC0415
    import signal  # noqa: PLC0415

    os.setsid()
    _close_descriptors({told})
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    # How the judge tells the keeper from the others; they cannot imitate it, as seccomp guards this limit.
    resource.setrlimit(resource.RLIMIT_RTTIME, (1, resource.getrlimit(resource.RLIMIT_RTTIME)[1]))
    watched = os.pidfd_open(judge)
    os.write(told, b"k")
    os.close(told)
    while signal.sigtimedwait({signal.SIGUSR1}, 0.5) is None:
        if select.select([watched], [], [], 0)[0]:
            break
    # Were signals not held back, this would reach every process of the user.
    if not _can_signal(judge):
        os.kill(-1, signal.SIGKILL)


def _landlock_ruleset(libc: _Libc, landlock: dict[str, Any]) -> int:
    """A ruleset as descriptor; paths that do not exist are left out."""
    attributes = struct.pack("QQQ", landlock["fs"], landlock["net"], landlock["scoped"])
    size = 8 if landlock["abi"] < 4 else 16 if landlock["abi"] < 6 else 24
    ruleset = libc.call(LANDLOCK_CREATE_RULESET, attributes, size, 0)
    try:
        for path, rights in landlock["rules"]:
            try:
                descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except (FileNotFoundError, PermissionError, NotADirectoryError):
                continue
            try:
                if os.fstat(descriptor).st_mode & 0o170000 != 0o040000:
                    rights &= _FILE_RIGHTS  # noqa: PLW2901
                if rights & landlock["fs"]:
                    rule = struct.pack("=Qi", rights & landlock["fs"], descriptor)
                    libc.call(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, rule, 0)
            finally:
                os.close(descriptor)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def _load_filter(libc: _Libc, program: bytes) -> None:
    """Load a classic BPF program of 8-byte instructions; see seccomp(2)."""
    instructions = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    loaded = Program(len(program) // 8, ctypes.cast(instructions, ctypes.c_void_p))
    libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(loaded))
