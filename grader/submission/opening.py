"""Opens a file and parses the JSON of a notebook. Every error says what to hand in instead."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

from grader.errors import NothingToGrade

MAX_FILE_BYTES = 256 * 2**20
MAX_JSON_VALUES = 10_000_000  # each takes tens of bytes once parsed
_OPEN_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)
HAND_IN = "hand in the notebook itself (in Colab: File > Download > Download .ipynb)"


def read_regular_file(path: Path, name: str) -> bytes:
    """The bytes of an ordinary file, of bounded size; raises NothingToGrade."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise NothingToGrade(f"{name}: is a folder; name the .ipynb file in it")
    if not stat.S_ISREG(mode):
        raise NothingToGrade(f"{name}: is a pipe, socket or device; name the .ipynb file")
    descriptor = os.open(path, _OPEN_FLAGS)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise NothingToGrade(f"{name}: is not a regular file; name the .ipynb file")
        # Python sets aside as much memory as it is told to read.
        data = file.read(min(found.st_size, MAX_FILE_BYTES) + 1)
    if len(data) > MAX_FILE_BYTES:
        raise NothingToGrade(f"{name}: {too_big()}")
    return data


def too_big() -> str:
    """Why a file is refused for its size, and what to do."""
    return f"is larger than {MAX_FILE_BYTES // 2**20} MB; clear its outputs, save it and hand it in again"


def why_unreadable(error: Exception) -> str:
    """Why a file cannot be read, and what to do, for a person."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file; check the path"
    if isinstance(error, PermissionError):
        return "cannot be read; check the file's permissions"
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return "is a broken symbolic link; pass the .ipynb file itself"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return one_line(f"cannot be read ({reason}); check the path")


def refuse_other_formats(data: bytes, name: str) -> None:
    """Raise NothingToGrade if the data is of another known format, empty, or holds a merge conflict."""
    head = data[:4096].replace(b"\x00", b"")
    for mark in (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"):
        head = head.removeprefix(mark)
    head = head.lstrip()
    low = head.lower()
    if not data.strip(b"\x00 \t\r\n"):
        raise NothingToGrade("is an empty file; the upload may have failed, so hand it in again")
    kinds = (
        (b"%PDF", "is a PDF"),
        (b"PK\x03\x04", "is a zip archive (or an Office document)"),
        (b"\x1f\x8b", "is a gzip archive"),
        (b"7z\xbc\xaf", "is a 7z archive"),
        (b"Rar!", "is a RAR archive"),
        (b"\x89PNG", "is an image"),
        (b"\xff\xd8\xff", "is an image"),
        (b"version https://git-lfs", "is a git-lfs pointer, not the file it points to"),
    )
    for magic, what in kinds:
        if head.startswith(magic):
            raise NothingToGrade(f"{what}; {HAND_IN}")
    if low.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise NothingToGrade(f"is a web page or XML; {HAND_IN}")
    if not head.startswith((b"{", b"[")) and name.lower().endswith((".py", ".txt", ".md", ".r", ".jl")):
        raise NothingToGrade(f"is a {Path(name).suffix} file, not a notebook; {HAND_IN}")
    if b"\n<<<<<<< " in data and b"\n>>>>>>> " in data and not _is_json(data):
        raise NothingToGrade("holds an unresolved merge conflict (<<<<<<<); resolve it and hand it in again")


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def decode(data: bytes, warnings: list[str]) -> str:
    """The text of a JSON file; adds a warning if bytes had to be replaced. Raises NothingToGrade for a binary file."""
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding, "strict").removeprefix("\ufeff")
    except UnicodeDecodeError:
        text = data.decode(encoding, "replace").removeprefix("\ufeff")
    if not text.lstrip().startswith("{"):
        raise NothingToGrade(f"is a binary file, not a notebook; {HAND_IN}")
    warnings.append("some bytes are not valid UTF-8 and were replaced by question marks")
    return text


def load_json(text: str) -> Any:
    """The parsed text; raises NothingToGrade if it is no JSON, is cut off or holds too much."""
    if sum(map(text.count, "{[,")) > MAX_JSON_VALUES:
        raise NothingToGrade("holds over ten million values; clear its outputs, save it and hand it in again")
    if not text.lstrip().startswith(("{", "[")):
        raise NothingToGrade(f"is not a notebook: it is not JSON; {HAND_IN}")
    try:
        return json.loads(text, strict=False)
    except json.JSONDecodeError as error:
        if not text[error.pos :].strip() or "Unterminated" in error.msg:
            raise NothingToGrade(
                "is cut off before its end; the upload failed, so submit it again"
            ) from None
        where = f"line {error.lineno}, column {error.colno}"
        raise NothingToGrade(f"is not a notebook: no JSON at {where} ({error.msg}); {HAND_IN}") from None
    except ValueError as error:
        raise NothingToGrade(f"is not a notebook: {one_line(str(error))}; {HAND_IN}") from None


def one_line(text: str) -> str:
    """``text`` as one printable line of at most 200 characters."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain if len(plain) <= 200 else plain[:197] + "..."
