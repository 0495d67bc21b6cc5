"""Starts the confined process that reads a PDF, and bounds what it costs: time, memory and the size of its reply."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from grader.errors import GraderError, host_error
from grader.kernel.confinement import make_sealed_policy
from grader.kernel.inside import confine
from grader.pdfs import child
from grader.text.safe_text import one_line

MAX_FILE_BYTES = 200 << 20
MAX_PAGES = 400
MAX_REPLY_BYTES = 256 << 20
MEMORY = 1 << 30
SECONDS = 60


class UnreadablePdf(GraderError):
    """A PDF that cannot be read; the message names the file and says why in one line."""


@dataclass(frozen=True)
class Limits:
    """What reading one PDF may cost: sizes in bytes, and seconds of CPU time.

    On a busy machine it may wait for four times as long.
    """

    file: int = MAX_FILE_BYTES
    pages: int = MAX_PAGES
    seconds: int = SECONDS
    memory: int = MEMORY


def ask(path: Path, request: dict[str, Any], limits: Limits | None = None) -> tuple[dict[str, Any], bytes]:
    """The confined process's reply to a request about a PDF; raises `UnreadablePdf`.

    Neither the values in the reply nor the bytes after it are to be trusted.
    """
    limits = limits or Limits()
    with open_pdf(path, limits) as source, tempfile.TemporaryFile() as reply:
        status = _run(path, request, limits, source, reply)
        reply.seek(0)
        head, _, more = reply.read(MAX_REPLY_BYTES).partition(b"\n")
    try:
        answer = json.loads(head) if status == 0 else None
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise unreadable(path, _why(status, limits))
    if "problem" in answer:
        raise unreadable(path, one_line(str(answer["problem"]), 100))
    return answer, more


def open_pdf(path: Path, limits: Limits | None = None) -> IO[bytes]:
    """A PDF opened for reading; raises `UnreadablePdf` where it is no regular file, or too large."""
    most = (limits or Limits()).file
    try:
        # A pipe by that name would wait for somebody to write.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        raise unreadable(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    state = os.fstat(descriptor)
    if stat.S_ISREG(state.st_mode) and state.st_size <= most:
        return os.fdopen(descriptor, "rb", buffering=0)
    os.close(descriptor)
    is_file = stat.S_ISREG(state.st_mode)
    raise unreadable(path, f"is larger than {most >> 20} MB" if is_file else "is not a regular file")


def unreadable(path: Path, reason: str) -> UnreadablePdf:
    """The error for a PDF."""
    return UnreadablePdf(f"{one_line(path.name)}: {reason}")


def require_pdfium() -> Path:
    """The folder that pypdfium2 is installed in; raises `GraderError` where it is missing."""
    found = importlib.util.find_spec("pypdfium2")
    if found is None or found.origin is None:
        raise GraderError('PDFs need pypdfium2; install it with: pip install "hw3-grader[review]"')
    return Path(found.origin).parent.parent


def _run(path: Path, request: dict[str, Any], limits: Limits, source: IO[bytes], reply: IO[bytes]) -> int:
    """The exit status; negative for a signal."""
    whole = {
        **request,
        "most_pages": limits.pages,
        "site": str(require_pdfium()),
        "confine": confine.__file__,
        "policy": make_sealed_policy(limits.memory, limits.seconds, MAX_REPLY_BYTES),
    }
    command = [sys.executable, "-I", "-B", child.__file__, json.dumps(whole)]
    try:
        with subprocess.Popen(
            command, stdin=source, stdout=reply, stderr=subprocess.DEVNULL, cwd="/", env={"PATH": os.defpath}
        ) as process:
            try:
                return process.wait(4 * limits.seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                return -int(signal.SIGXCPU)
            except BaseException:
                process.kill()
                raise
    except OSError as error:
        raise host_error(error) or unreadable(path, f"cannot be read ({error.strerror or error})") from error


def _why(status: int, limits: Limits) -> str:
    if status == -int(signal.SIGXCPU):
        return f"takes more than {limits.seconds} s to read"
    if status == -int(signal.SIGKILL):
        return "needs too much memory or time"
    if status < 0:
        return f"crashes the PDF reader (signal {-status})"
    return f"cannot be read (the PDF reader ended with status {status})"
