"""Reads the files in an archive that a student handed in. Nothing is written to disk, and only a bounded amount is unpacked."""

from __future__ import annotations

import bz2
import calendar
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

from grader.errors import NothingToGrade

MAX_MEMBERS = 2_000
MAX_UNPACKED_BYTES = 512 * 2**20
MAX_RATIO = 200
_SMALL = 16 * 2**20  # outputs of zeros compress well: what stays small needs no ratio
_JUNK = frozenset({"__MACOSX", ".ipynb_checkpoints"})
_CHUNK = 1 << 20
HEAD_BYTES = 512
"""Of each file in an archive, by which is decided whether it is read."""

_ARCHIVES: tuple[tuple[bytes, int], ...] = (
    (b"PK\x03\x04", 0),
    (b"PK\x05\x06", 0),
    (b"\x1f\x8b", 0),
    (b"\xfd7zXZ\x00", 0),
    (b"BZh", 0),
    (b"ustar", 257),
)


@dataclass
class Budget:
    """What all archives of one hand-in may hold together, those within others too."""

    files: int = MAX_MEMBERS
    bytes: int = MAX_UNPACKED_BYTES

    def count_file(self) -> None:
        """Count one file; raises NothingToGrade when there are too many."""
        self.files -= 1
        if self.files < 0:
            raise NothingToGrade(f"is an archive of over {MAX_MEMBERS} files; hand in the notebook itself")

    def count_bytes(self, size: int) -> None:
        """Count bytes that were unpacked; raises NothingToGrade when there are too many."""
        self.bytes -= size
        if self.bytes < 0:
            raise NothingToGrade(_bomb())


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    ``data`` is None where only the name was wanted; ``modified`` is in seconds, 0 where the archive does not say.
    """

    name: str
    modified: float
    data: bytes | None


def is_archive(head: bytes) -> bool:
    """Whether a file that begins so is an archive that is opened here."""
    return any(head[at : at + len(magic)] == magic for magic, at in _ARCHIVES)


def members(data: bytes, most: int, wanted: Callable[[str, bytes], bool], budget: Budget) -> Iterator[Member]:
    """The ordinary files in an archive, with their data where ``wanted(name, head)``; raises NothingToGrade.

    Links, devices, hidden folders and what systems leave behind are left out. No file may be larger than ``most``.
    """
    try:
        yield from (_of_zip if data.startswith(b"PK") else _of_tar)(data, most, wanted, budget)
    except NothingToGrade:
        raise
    except RuntimeError as error:  # what zipfile raises for a password
        what = "is encrypted" if "password" in str(error) else "cannot be unpacked"
        raise NothingToGrade(f"is an archive that {what}; hand in the notebook itself") from None
    except NotImplementedError:
        raise NothingToGrade("is an archive of an unknown kind; hand in the notebook itself") from None
    except (
        zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError,
        KeyError, IndexError, OverflowError, MemoryError, RecursionError,
    ):  # fmt: skip
        raise NothingToGrade("is a damaged archive; hand in the notebook itself") from None


def _of_zip(data: bytes, most: int, wanted: Callable[[str, bytes], bool], budget: Budget) -> Iterator[Member]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS:
            raise NothingToGrade(f"is an archive of over {MAX_MEMBERS} files; hand in the notebook itself")
        for info in infos:
            budget.count_file()
            name = _shown(info.filename)
            if info.is_dir() or _is_link(info) or name is None:
                continue
            with archive.open(info) as file:
                found = _read(file, name, most, info.compress_size, wanted, budget)
            yield Member(name, _seconds(info.date_time), found)


def _is_link(info: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(info.external_attr >> 16)
    return kind not in (0, stat.S_IFREG)


def _seconds(date: tuple[int, ...]) -> float:
    try:
        return float(calendar.timegm((*date[:6], 0, 0, 0)))
    except (ValueError, OverflowError):
        return 0.0


def _of_tar(data: bytes, most: int, wanted: Callable[[str, bytes], bool], budget: Budget) -> Iterator[Member]:
    # Read as a stream whose length is watched: a tar's index lies within what is compressed.
    stream = _Watched(_unpacked(data), len(data))
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            budget.count_file()
            name = _shown(member.name)
            if not member.isreg() or member.issparse() or name is None:
                continue
            file = archive.extractfile(member)
            if file is not None:
                modified = float(member.mtime) if member.mtime > 0 else 0.0
                yield Member(name, modified, _read(file, name, most, None, wanted, budget))


def _unpacked(data: bytes) -> Any:
    for magic, opened in _PACKERS:
        if data.startswith(magic):
            return opened(io.BytesIO(data))
    return io.BytesIO(data)


_PACKERS: tuple[tuple[bytes, Callable[[io.BytesIO], Any]], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"\xfd7z", lzma.LZMAFile),
    (b"BZh", bz2.BZ2File),
)


class _Watched(io.RawIOBase):
    """A stream that raises NothingToGrade if it unpacks to far more than its size."""

    def __init__(self, file: Any, packed: int) -> None:
        self._file, self._room = file, min(MAX_UNPACKED_BYTES, max(_SMALL, packed * MAX_RATIO))

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most a megabyte."""
        data: bytes = self._file.read(_CHUNK if size < 0 else min(size, _CHUNK))
        self._room -= len(data)
        if self._room < 0:
            raise NothingToGrade(_bomb())
        return data


def _read(
    file: IO[bytes],
    name: str,
    most: int,
    packed: int | None,
    wanted: Callable[[str, bytes], bool],
    budget: Budget,
) -> bytes | None:
    head = file.read(HEAD_BYTES)
    if not wanted(name, head):
        return None
    allowed = most if packed is None else min(most, max(_SMALL, packed * MAX_RATIO))
    chunks, size = [head], len(head)
    budget.count_bytes(size)
    while chunk := file.read(_CHUNK):
        size += len(chunk)
        budget.count_bytes(len(chunk))
        if size > allowed:
            raise NothingToGrade(_bomb())
        chunks.append(chunk)
    return b"".join(chunks)


def _bomb() -> str:
    return "is an archive that unpacks to far more than a notebook; hand in the notebook itself"


def _shown(name: str) -> str | None:
    """A file's path in an archive with ``/`` between its parts; None for what systems and editors leave behind."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[-1].startswith("."):
        return None
    if any(part in _JUNK or (part.startswith(".") and part not in (".", "..")) for part in parts[:-1]):
        return None
    # Nothing is ever written by this name; it is only shown.
    return "/".join(part for part in parts if part not in (".", "..", "/"))
