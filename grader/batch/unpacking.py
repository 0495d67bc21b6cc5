"""Unpacks the archive of a class once, beneath the batch's folder. No name in it leads out, and no hand-in takes all room.

Of files that hold no work the beginning is kept, so that whoever handed in nothing else still has a row.
"""

from __future__ import annotations

import calendar
import contextlib
import errno
import hashlib
import json
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from grader.errors import UsageError
from grader.submission.archives import HEAD_BYTES, MAX_RATIO
from grader.submission.file_kinds import is_junk, is_wanted
from grader.submission.opening import MAX_FILE_BYTES
from grader.text.safe_text import one_line

METADATA = "submission_metadata.yml"
MAX_METADATA_BYTES = 64 << 20
MAX_MEMBERS = 500_000
MAX_ARCHIVE_BYTES = 20 << 30
MAX_HANDIN_BYTES = 1 << 30
MAX_HANDIN_FILES = 5_000
MAX_RECEIPT_BYTES = 1 << 16
PROBLEMS = ".problems.json"
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_SMALL = 16 << 20
_FORMAT = "2"
_BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, tarfile.TarError, EOFError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class _Member:
    name: str
    modified: float
    most_bytes: int
    """Bytes that it may unpack to."""
    open: Callable[[], IO[bytes] | None] | None
    """None for a folder."""


def unpack(archive: Path, extracted: Path, also: tuple[str, ...] = ()) -> Path:
    """Unpack a class's archive, unless it was before; gives the folder. Raises `UsageError`.

    Notebooks, archives and checkpoints are kept whole, and files whose names have one of the endings ``also``.
    """
    try:
        with archive.open("rb") as file:
            digest = hashlib.sha256("".join([_FORMAT, *also]).encode())
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        folder = extracted / digest.hexdigest()[:20]
        if folder.is_dir():
            return folder
        partial = extracted / f".{folder.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with contextlib.ExitStack() as stack:
            members = _of_zip(archive, stack) if zipfile.is_zipfile(archive) else _of_tar(archive, stack)
            problems = _Unpacking(partial, (".safetensors", *also)).all(members)
        (partial / PROBLEMS).write_text(json.dumps(problems), encoding="utf-8")
        # Only a whole folder gets its name, so an interrupted run unpacks again.
        partial.rename(folder)
    except (OSError, *_BROKEN) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise UsageError(f"{one_line(str(archive))}: cannot be unpacked: {one_line(str(reason))}") from None
    return folder


def problems_in(folder: Path) -> dict[str, str]:
    """Why files of an unpacked archive cannot be read, by their path in it."""
    try:
        read: dict[str, str] = json.loads((folder / PROBLEMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read


def _of_zip(archive: Path, stack: contextlib.ExitStack) -> Iterator[_Member]:
    zipped = stack.enter_context(zipfile.ZipFile(archive))
    for info in zipped.infolist():
        kind = (info.external_attr >> 16) & 0o170000
        if kind not in (0, 0o100000, 0o040000):
            continue
        try:
            modified = float(calendar.timegm((*info.date_time, 0, 0, 0)))
        except (ValueError, OverflowError):
            modified = 0.0
        most_bytes = max(_SMALL, MAX_RATIO * info.compress_size)
        opener = None if info.is_dir() else _opener(zipped.open, info)
        yield _Member(info.filename, modified, most_bytes, opener)


def _of_tar(archive: Path, stack: contextlib.ExitStack) -> Iterator[_Member]:
    packed = archive.stat().st_size
    tar = stack.enter_context(tarfile.open(archive))  # noqa: SIM115
    for member in tar:
        if member.isfile() or member.isdir():
            opener = None if member.isdir() else _opener(tar.extractfile, member)
            most_bytes = max(_SMALL, MAX_RATIO * packed)
            yield _Member(member.name, max(float(member.mtime), 0.0), most_bytes, opener)


def _opener(function: Callable[[Any], IO[bytes] | None], member: Any) -> Callable[[], IO[bytes] | None]:
    return lambda: function(member)


class _Unpacking:
    """Writes members beneath a folder, and keeps the books on what each hand-in takes."""

    def __init__(self, folder: Path, whole: tuple[str, ...]) -> None:
        self.folder, self.whole = folder, whole
        self.problems: dict[str, str] = {}
        self.total = 0
        self.bytes: Counter[tuple[str, ...]] = Counter()
        self.files: Counter[tuple[str, ...]] = Counter()

    def all(self, members: Iterable[_Member]) -> dict[str, str]:
        """Write all; gives what is wrong with single files, by their names. Raises where all of it is damaged."""
        for number, member in enumerate(members):
            if number > MAX_MEMBERS:
                raise RuntimeError("it holds too many files")
            place = PurePosixPath(member.name.replace("\\", "/"))
            if not place.parts or any(is_junk(part) for part in place.parts if part != ".."):
                continue
            if place.is_absolute() or ".." in place.parts:
                self.problems[str(place)] = "its path points outside the archive"
                continue
            handin = place.parts[:2]
            self.files[handin] += 1
            if self.files[handin] > MAX_HANDIN_FILES:
                self.problems["/".join(handin)] = f"holds over {MAX_HANDIN_FILES} files"
                continue
            try:
                self.one(member, place, handin)
            except _BROKEN as error:
                self.problems[str(place)] = f"cannot be unpacked ({one_line(str(error), 100)})"
            except OSError as error:
                if not _is_of_its_name(error):
                    raise
                self.problems[str(place)] = f"cannot be unpacked ({error.strerror})"
        return self.problems

    def one(self, member: _Member, place: PurePosixPath, handin: tuple[str, ...]) -> None:
        """Write one file, or the beginning of one that holds no work."""
        path = self.folder.joinpath(*place.parts)
        if member.open is None:
            path.mkdir(parents=True, exist_ok=True)
            return
        source = member.open()
        if source is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with source, path.open("wb") as target:
            head = source.read(HEAD_BYTES)
            target.write(head)
            most = self._limit(place, head, member.most_bytes, handin)
            written = len(head)
            while written < most and (chunk := source.read(min(1 << 20, most - written))):
                target.write(chunk)
                written += len(chunk)
            cut = place.suffix.lower() == ".txt" and most == MAX_RECEIPT_BYTES
            if most > HEAD_BYTES and not cut and written >= most and source.read(1):
                target.truncate(HEAD_BYTES)
                self.problems[str(place)] = _too_large(place)
                written = HEAD_BYTES
        self.bytes[handin] += written
        self.total += written
        os.utime(path, (member.modified, member.modified))

    def _limit(self, place: PurePosixPath, head: bytes, most_bytes: int, handin: tuple[str, ...]) -> int:
        """How much of a file is written."""
        if place.name == METADATA:
            return MAX_METADATA_BYTES
        if place.suffix.lower() == ".txt" and not is_wanted(place.name, head):
            return MAX_RECEIPT_BYTES
        if not is_wanted(place.name, head) and place.suffix.lower() not in self.whole:
            return HEAD_BYTES
        left = min(MAX_HANDIN_BYTES - self.bytes[handin], MAX_ARCHIVE_BYTES - self.total)
        return max(min(MAX_FILE_BYTES + 1, most_bytes, left), HEAD_BYTES + 1)


def _too_large(place: PurePosixPath) -> str:
    if place.suffix.lower() == ".pdf":
        return "is larger than a PDF may be"
    return "is larger than a notebook can be; hand in the notebook itself"


def _is_of_its_name(error: OSError) -> bool:
    """Whether an error comes from a name that cannot be made here, and not from the disk."""
    return error.errno in (
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EINVAL,
        errno.EEXIST,
        errno.EILSEQ,
    )
