"""What a confined kernel may read and write: the interpreter and its packages, and nothing of the grader.

Landlock's rules only allow, and hold for all that lies beneath a path; see landlock(7).
"""

from __future__ import annotations

import functools
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.kernel.gpu import driver_folders

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_REG, _REFER, _TRUNCATE, _IOCTL_DEV = 1 << 5, 1 << 8, 1 << 13, 1 << 14, 1 << 15
_READ = _READ_FILE | _READ_DIR
_MAKE_DEVICES = 1 << 6 | 1 << 11
_ALL_OF_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_OWN_FOLDER = ((1 << 15) - 1) & ~_MAKE_DEVICES & ~_EXECUTE
_SOCKETS = _READ | _REMOVE_FILE | 1 << 9
# Listing is left out: names there are random, so one cannot guess what another process shares.
_SHARED_MEMORY = _READ_FILE | _WRITE_FILE | _REMOVE_FILE | _MAKE_REG | _TRUNCATE

_FONTS = ("/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/fontconfig", "/etc/fonts")
_SYSTEM = (
    *_FONTS,
    "/etc/matplotlibrc",
    *("/usr/share/zoneinfo", "/etc/localtime", "/etc/timezone", "/usr/share/locale", "/usr/share/mime"),
    *("/etc/mime.types", "/usr/share/nltk_data", "/usr/share/ca-certificates", "/etc/ssl/certs"),
    *("/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf", "/etc/ld.so.cache", "/etc/ld.so.conf"),
    *("/etc/ld.so.conf.d", "/etc/nsswitch.conf", "/etc/hosts", "/etc/host.conf", "/etc/os-release"),
    # Debian's links to the BLAS of choice
    "/etc/alternatives",
    # Of /proc only what libraries ask about the machine: command lines of other processes are nobody's
    # business.
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime"),
    *("/proc/version", "/proc/filesystems", "/proc/sys/kernel/osrelease", "/proc/sys/kernel/ostype"),
    *("/proc/sys/kernel/pid_max", "/proc/sys/vm/overcommit_memory", "/sys/devices/system/cpu"),
    *("/sys/devices/system/node", "/sys/kernel/mm/transparent_hugepage"),
)
# Of itself all but its network: /proc/self/net names every socket of the machine.
_SELF = (
    *("auxv", "cgroup", "cmdline", "comm", "environ", "fd", "fdinfo", "io", "limits", "maps", "mountinfo", "mounts"),
    *("oom_score", "smaps", "smaps_rollup", "stat", "statm", "status"),
)
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_GPU_READ = (
    *("/proc/driver", "/proc/devices", "/proc/modules", "/proc/sys/vm"),
    "/sys/devices",
    "/sys/bus/pci",
    "/sys/module",
    "/usr/local/cuda",
    "/usr/local/nvidia",
    "/usr/share/nvidia",
    "/etc/nvidia",
)


def site_folders() -> list[Path]:
    """Folders of installed packages that this interpreter imports from."""
    named = [Path(path) for path in sys.path if path]
    found = [
        path.resolve() for path in named if path.name in ("site-packages", "dist-packages") and path.is_dir()
    ]
    return list(dict.fromkeys(found))


def entries(folder: Path) -> list[Path]:
    """What lies in a folder; nothing where it cannot be listed."""
    try:
        return sorted(folder.iterdir())
    except (OSError, ValueError):
        return []


def _own_files() -> list[Path]:
    """The grader's files, wherever and however often it is installed: nothing of them is for a kernel."""
    package = Path(__file__).resolve().parents[2]
    sites = {*site_folders(), *_sites_beneath(_library_folders())}
    own = [package, package.parent / "reference"]
    if package.parent not in sites:
        own.append(package.parent)
    for folder in sites:
        for entry in entries(folder):
            name = entry.name.lower().replace("-", "_")
            # A path file of an editable install tells where the checkout lies.
            if "hw3_grader" in name or name in ("grader", "reference"):
                own.append(entry)
    return [path.resolve() for path in own]


def _library_folders() -> list[Path]:
    folders = [Path(path) for path in _LIBRARIES]
    folders += [Path(prefix, name) for prefix in (sys.base_prefix, sys.prefix) for name in ("lib", "lib64")]
    folders += [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    return sorted({folder.resolve() for folder in folders if folder.is_dir()})


def _sites_beneath(libraries: Iterable[Path]) -> list[Path]:
    """Folders of packages of every interpreter in these places."""
    found = [
        python / name
        for library in libraries
        for python in (library, *library.glob("python*"))
        for name in ("site-packages", "dist-packages")
    ]
    return [folder.resolve() for folder in found if folder.is_dir()]


def cover(root: Path, hidden: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """The fewest paths that make up `root` without what lies at or beneath a hidden path.

    Landlock's rules only allow, and hold for everything beneath a path; so a folder with something hidden
    in it is allowed entry by entry. Yields each path and whether it is allowed as a whole; a folder that is
    not may be listed, no more.
    """
    beneath = [path for path in hidden if path == root or root in path.parents]
    if not beneath:
        yield root, True
        return
    if root in beneath:
        return
    yield root, False
    for entry in entries(root):
        if entry.is_symlink():
            # Landlock looks at where a link leads, and that is allowed or hidden on its own.
            continue
        yield from cover(entry, beneath)


@functools.lru_cache(maxsize=8)
def _read_rules(extra: tuple[Path, ...], hidden: tuple[Path, ...]) -> tuple[tuple[str, int], ...]:
    without_own = [*_own_files(), *hidden]
    roots = [
        (root, without_own) for root in (*_library_folders(), *site_folders(), Path(sys.prefix, "pyvenv.cfg"))
    ]
    roots += [(Path(path).resolve(), list(hidden)) for path in extra]
    granted: dict[str, int] = {}
    for root, without in roots:
        for path, whole in cover(root, without):
            granted[str(path)] = granted.get(str(path), 0) | (_READ if whole else _READ_DIR)
    covering = {name for name, rights in granted.items() if rights == _READ}
    for name in covering:
        if any(str(folder) in covering for folder in Path(name).parents):
            del granted[name]
    # Not resolved: /proc/self must be looked up by the process that is to be confined.
    granted.update(dict.fromkeys(_SYSTEM, _READ))
    granted.update({f"/proc/self/{name}": _READ for name in _SELF})
    granted["/proc/self"] = granted["/proc/self/task"] = _READ_DIR
    return tuple(granted.items())


@dataclass(frozen=True)
class Access:
    """What a kernel may reach besides its own folder, the interpreter and its libraries.

    Args:
        readable: paths that it may read.
        hidden: paths that it may not read, even beneath a readable one.
        folders: folders in the workspace that are held in memory, if the host allows that; files can then be made in these
            alone, and the workspace itself is for sockets.
        programs: whether it may start other programs. Nothing in the homework does.
        gpu: whether it may use NVIDIA devices and read what describes them.
        shared_memory: whether it may use ``/dev/shm``.
    """

    readable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()
    programs: bool = False
    gpu: bool = False
    shared_memory: bool = False


def rules(abi: int, own: Path, access: Access) -> dict[str, Any]:
    """What ``confine.apply`` needs for Landlock: rights by path, and all that is forbidden elsewhere."""
    granted = dict(_read_rules(access.readable, access.hidden))
    granted.update(dict.fromkeys(_DEVICES, _READ_FILE | _WRITE_FILE))
    if access.shared_memory:
        granted["/dev/shm"] = _SHARED_MEMORY
    if access.programs:
        granted["/usr/bin"] = granted["/bin"] = _READ | _EXECUTE
        # The dynamic loader is executed too.
        for path in map(str, _library_folders()):
            granted[path] = granted.get(path, 0) | _EXECUTE
    if access.gpu:
        granted.update(dict.fromkeys((*_GPU_READ, *driver_folders()), _READ))
        # CUDA names its threads there, and does not start where it cannot.
        granted["/proc/self"] = _READ | _WRITE_FILE | _TRUNCATE
        devices = [*Path("/dev").glob("nvidia*"), Path("/dev/dri")]
        granted.update({str(path): _READ | _WRITE_FILE | _IOCTL_DEV for path in devices})
    granted[str(own)] = _SOCKETS if access.folders else _OWN_FOLDER
    granted.update({str(folder): _OWN_FOLDER for folder in access.folders})
    return _forbidding(abi, granted)


def only_fonts(abi: int) -> dict[str, Any]:
    """The same for a process that draws text, and needs no other file."""
    return _forbidding(abi, dict.fromkeys(_FONTS, _READ))


def _forbidding(abi: int, granted: Mapping[str, int]) -> dict[str, Any]:
    # An interface newer than ABI 6 adds nothing that is used here.
    return {
        "abi": abi,
        "fs": _ALL_OF_ABI.get(abi, _ALL_OF_ABI[5]),
        "net": 3 if abi >= 4 else 0,
        "scoped": 3 if abi >= 6 else 0,
        "rules": [[path, rights] for path, rights in granted.items()],
    }
