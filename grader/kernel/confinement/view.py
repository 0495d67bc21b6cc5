"""How a kernel sees a Python that lies in a private home: by mounts of its own, which change nothing for anyone else.

A kernel's user may not enter the home of the user who installed Python. Where the grader may mount, the kernel gets an empty
folder in the home's place, in which only the interpreter and its packages appear; see ``confine.enter_namespaces``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import sys
import sysconfig
import warnings
from pathlib import Path
from typing import Any

from grader.kernel.confinement.landlock import entries, site_folders

_MOST_LINKS = 40


def _needed() -> list[Path]:
    """What a kernel reads of Python, its packages and our data, by the paths that it uses."""
    found = [Path(sys.executable), *map(Path, (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix))]
    found += [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    found += [Path(path) for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return [*found, Path(__file__).resolve().parents[2] / "data" / "nltk"]


def _steps(path: Path) -> tuple[list[tuple[Path, str]], list[Path]]:
    """The links that lead along a path, and the folders passed, with the real path last."""
    links: list[tuple[Path, str]] = []
    folders: list[Path] = []
    current, left = Path("/"), list(path.absolute().parts[1:])
    while left:
        name = left.pop(0)
        if name == "..":
            current = current.parent
            continue
        step = current / name
        if step.is_symlink() and len(links) < _MOST_LINKS:
            target = str(step.readlink())
            links.append((step, target))
            parts = list(Path(target).parts)
            if Path(target).is_absolute():
                current, parts = Path("/"), parts[1:]
            left = parts + left
            continue
        folders.append(step)
        current = step
    return links, folders


@functools.cache
def make_view() -> dict[str, Any]:
    """Closed folders on the way to what is needed, and what of them is shown instead; see ``confine.enter_namespaces``."""
    links: dict[Path, str] = {}
    real: list[Path] = []
    passed: set[Path] = set()
    for path in _needed():
        with contextlib.suppress(OSError):
            if path.exists():
                its_links, folders = _steps(path)
                links.update(its_links)
                passed.update(folders[:-1], *(link.parents for link, _ in its_links))
                real.append(folders[-1])
    shut = {folder for folder in passed if not folder.stat().st_mode & stat.S_IXOTH}
    closed = sorted(folder for folder in shut if not any(parent in shut for parent in folder.parents))

    def is_inside(path: Path) -> bool:
        return any(folder in path.parents for folder in closed)

    shown: list[Path] = []
    for path in sorted({path for path in real if is_inside(path)}):
        if not any(known == path or known in path.parents for known in shown):
            shown.append(path)
    kept = {
        link: target
        for link, target in links.items()
        if is_inside(link) and not any(known in link.parents for known in shown)
    }
    return {
        "closed": [str(path) for path in closed],
        "shown": [str(path) for path in shown],
        "links": [[str(link), target] for link, target in sorted(kept.items())],
    }


def closed_to_others() -> Path | None:
    """The first path of the interpreter and its packages that another user cannot read, if any."""
    seen: dict[Path, bool] = {}

    def enters(folder: Path) -> bool:
        if folder not in seen:
            open_to_all = bool(folder.stat().st_mode & stat.S_IXOTH)
            seen[folder] = open_to_all and (folder == folder.parent or enters(folder.parent))
        return seen[folder]

    for path in _to_read():
        with contextlib.suppress(FileNotFoundError):
            real = path.resolve()
            if not (enters(real.parent) and enters(path.parent) and real.stat().st_mode & stat.S_IROTH):
                return path
    return None


def _to_read() -> list[Path]:
    return [
        Path(sys.executable),
        Path(os.__file__),
        *(path for folder in site_folders() for path in entries(folder)),
    ]


def can_enter_namespaces() -> bool:
    """Whether this process may make namespaces and mount in them; tried by a child."""
    return _in_child(lambda: _enter({"closed": [], "shown": [], "links": []}))


def reads_by_view(uid: int) -> bool:
    """Whether a user reads the interpreter and its packages by `make_view`; tried by a child."""
    view, paths = make_view(), _to_read()

    def read() -> None:
        _enter(view)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        for path in paths:
            if path.exists() and not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
                raise OSError(f"{path} cannot be read")

    return _in_child(read)


def _enter(view: dict[str, Any]) -> None:
    from grader.kernel.inside.confine import enter_namespaces  # noqa: PLC0415

    enter_namespaces(view)


def _in_child(step: Any) -> bool:
    from grader.kernel.inside import confine  # noqa: F401, PLC0415 - nothing is imported in the child

    with warnings.catch_warnings():
        # Little but system calls follows in the child.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            step()
            status = 0
        except BaseException:
            pass
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0
