"""Finds the one notebook in a folder or archive that was handed in instead of it. Nothing is written to disk."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

from grader.errors import NothingToGrade

MAX_MEMBERS = 2_000
MAX_UNPACKED_BYTES = 512 * 2**20
MAX_RATIO = 200
_SMALL = 16 * 2**20  # outputs of zeros compress well: what stays small needs no ratio
_JUNK = frozenset({"__MACOSX", ".ipynb_checkpoints"})
_CHUNK = 1 << 20

_ARCHIVES: tuple[tuple[bytes, int], ...] = (
    (b"PK\x03\x04", 0),
    (b"PK\x05\x06", 0),
    (b"\x1f\x8b", 0),
    (b"\xfd7zXZ\x00", 0),
    (b"BZh", 0),
    (b"ustar", 257),
)


def is_archive(head: bytes) -> bool:
    """Whether a file that begins so is an archive that is opened here."""
    return any(head[at : at + len(magic)] == magic for magic, at in _ARCHIVES)


def notebook_in_folder(folder: Path, most: int) -> Path:
    """The one notebook in a folder; raises NothingToGrade. Links are not followed, hidden folders are left out."""
    found: list[Path] = []
    seen = 0
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _JUNK and not name.startswith("."))
        seen += len(folders) + len(files)
        if seen > most:
            raise NothingToGrade(f"is a folder with over {most} files; name the .ipynb file in it")
        paths = (Path(where, name) for name in files if _is_notebook(name))
        found += [path for path in paths if stat.S_ISREG(path.lstat().st_mode)]
    return Path(_only([str(path) for path in found], "folder"))


def notebook_in_archive(data: bytes, most: int) -> tuple[str, bytes]:
    """Name and bytes of the one notebook in an archive of at most ``most`` unpacked bytes; raises NothingToGrade."""
    try:
        return _of_zip(data, most) if data.startswith(b"PK") else _of_tar(data, most)
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


def _of_zip(data: bytes, most: int) -> tuple[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise NothingToGrade(f"is an archive of over {MAX_MEMBERS} files; hand in the notebook itself")
        usable = [
            info for info in members if not info.is_dir() and not _is_link(info) and _is_ours(info.filename)
        ]
        name = _only([info.filename for info in usable], "archive")
        chosen = next(info for info in usable if info.filename == name)
        with archive.open(chosen) as file:
            return name, _read(file, most, chosen.compress_size)


def _is_link(info: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(info.external_attr >> 16)
    return kind not in (0, stat.S_IFREG)


def _of_tar(data: bytes, most: int) -> tuple[str, bytes]:
    # Read as a stream whose length is watched: a tar's index lies within what is compressed.
    stream = _Watched(_unpacked(data), len(data))
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for number, member in enumerate(archive):
            if number >= MAX_MEMBERS:
                raise NothingToGrade(
                    f"is an archive of over {MAX_MEMBERS} files; hand in the notebook itself"
                )
            if member.isreg() and not member.issparse() and _is_ours(member.name) and len(found) < 2:
                file = archive.extractfile(member)
                found[member.name] = _read(file, most, None) if file else b""
    name = _only(list(found), "archive")
    return name, found[name]


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
    """A stream that ends in NothingToGrade once more was unpacked than is sound for its size."""

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


def _read(file: IO[bytes], most: int, packed: int | None) -> bytes:
    sound = most if packed is None else min(most, max(_SMALL, packed * MAX_RATIO))
    chunks: list[bytes] = []
    size = 0
    while chunk := file.read(_CHUNK):
        size += len(chunk)
        if size > sound:
            raise NothingToGrade(_bomb())
        chunks.append(chunk)
    return b"".join(chunks)


def _bomb() -> str:
    return "is an archive that unpacks to far more than a notebook; hand in the notebook itself"


def _is_ours(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    hidden = any(part in _JUNK or (part.startswith(".") and part != ".") for part in parts[:-1])
    return bool(parts) and not hidden and _is_notebook(parts[-1])


def _is_notebook(name: str) -> bool:
    return name.lower().endswith(".ipynb") and not name.startswith(".")


def _only(names: Sequence[str], what: str) -> str:
    if not names:
        raise NothingToGrade(
            f"is a{'n' * (what == 'archive')} {what} without a notebook (.ipynb); hand in the notebook itself"
        )
    if len(names) > 1:
        shown = ", ".join(sorted(_last(name) for name in names)[:3])
        raise NothingToGrade(
            f"is a{'n' * (what == 'archive')} {what} with {len(names)} notebooks ({shown}); hand in the one to grade"
        )
    return names[0]


def _last(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name
