"""Who is signed in, kept in the class folder so that a restart of the server signs nobody out.

``CLASS/signed-in/PORT.json`` holds digests of cookies with names and times, and no cookie: whoever reads it cannot sign in.
Each port has a file of its own, as cookies have, so servers on one class do not write to the same one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

from grader.errors import GraderError
from grader.files.atomic import write_atomically
from grader.text.safe_text import one_line

FOLDER = "signed-in"
HOURS = 24.0
"""For so long after its last request, a sign-in survives a restart."""
_WRITE_EVERY = 600.0
"""Seconds between two times of last use that are written."""
_MOST = 500
_MOST_BYTES = 1 << 20


class SignedIn:
    """The sign-ins of a class at one port. ``problem`` says why those of earlier runs do not count."""

    def __init__(self, folder: Path, port: int, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / FOLDER / f"{port}.json"
        self._clock = clock
        self._known: dict[str, tuple[str, float]] = {}
        """Name and time of last use, by the digest of the cookie."""
        self.problem = ""
        try:
            _make_folder(self._path.parent)
            self._known = self._read()
            self._write()
        except GraderError as error:
            self.problem = str(error)

    def known(self, cookie: str) -> str | None:
        """The name behind a cookie, empty before its grader gave one; None for a cookie that is not known."""
        found = self._known.get(_digest(cookie))
        return None if found is None else found[0]

    def remember(self, cookie: str, who: str) -> None:
        """Keep a sign-in with its grader's name; it is on disk then, if the disk takes it."""
        self._known[_digest(cookie)] = (who, self._clock())
        while len(self._known) > _MOST:
            del self._known[min(self._known, key=lambda name: self._known[name][1])]
        with contextlib.suppress(GraderError):
            self._write()

    def used(self, cookie: str) -> None:
        """Note that a sign-in was used now."""
        digest, now = _digest(cookie), self._clock()
        who, last = self._known.get(digest, ("", 0.0))
        if now - last > _WRITE_EVERY:
            self._known[digest] = (who, now)
            with contextlib.suppress(GraderError):
                self._write()

    def _write(self) -> None:
        if self.problem:
            return
        listed = [{"cookie": digest, "who": who, "used": used} for digest, (who, used) in self._known.items()]
        write_atomically(self._path, json.dumps(listed, ensure_ascii=False, indent=1) + "\n")
        with contextlib.suppress(OSError):
            self._path.chmod(0o600)

    def _read(self) -> dict[str, tuple[str, float]]:
        """What earlier runs wrote, without what is too old; raises `GraderError` for a file that others could have written."""
        if not os.path.lexists(self._path):
            return {}
        _refuse_foreign(self._path)
        since = self._clock() - HOURS * 3600
        found = {}
        try:
            listed = json.loads(self._path.read_bytes()[: _MOST_BYTES + 1])
            for each in listed:
                digest, who, used = str(each["cookie"]), one_line(str(each["who"]), 80), float(each["used"])
                if len(digest) == 64 and since < used <= self._clock() + 60:
                    found[digest] = (who, used)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            # Cut off or edited; everybody signs in again.
            return {}
        return found


def ports(folder: Path) -> list[int]:
    """The ports that servers of a class had, the last one first."""
    found = []
    with contextlib.suppress(OSError):
        for path in (folder / FOLDER).glob("*.json"):
            if path.stem.isdecimal() and 0 < int(path.stem) < 65536:
                found.append((path.stat().st_mtime, int(path.stem)))
    return [port for _, port in sorted(found, reverse=True)][:5]


def forget_all(folder: Path) -> None:
    """End all sign-ins of a class; raises `GraderError` where they cannot be deleted."""
    place = folder / FOLDER
    try:
        if place.is_symlink():
            place.unlink()
        elif place.exists():
            shutil.rmtree(place)
    except OSError as error:
        raise GraderError(f"cannot delete {one_line(str(place))}: {error.strerror or error}") from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise GraderError(f"cannot write {one_line(str(folder))}: {error.strerror or error}") from None
    _refuse_foreign(folder)


def _refuse_foreign(path: Path) -> None:
    """Raise `GraderError` for a link, and for what somebody else could have written."""
    try:
        found = path.lstat()
    except OSError as error:
        raise GraderError(f"cannot read {one_line(str(path))}: {error.strerror or error}") from None
    if stat.S_ISLNK(found.st_mode):
        raise GraderError(f"{one_line(str(path))}: is a link; delete it")
    if not hasattr(os, "getuid"):
        return
    if found.st_uid != os.getuid():
        raise GraderError(f"{one_line(str(path))}: belongs to somebody else; delete it")
    if found.st_mode & 0o022:
        raise GraderError(f"{one_line(str(path))}: others may write to it; delete it, or run chmod -R go-w on it")


def _digest(cookie: str) -> str:
    """What is kept of a cookie, from which nobody finds it, as it is 256 random bits."""
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()
