"""A file is written wholly or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from grader.errors import GraderError
from grader.text.safe_text import one_line


def write_atomically(path: Path, text: str) -> None:
    """Puts UTF-8 text in place of `path`, which never holds half of it; raises GraderError."""
    write_bytes_atomically(path, text.encode("utf-8", "backslashreplace"))


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """`write_atomically` for a file that is not UTF-8 text."""
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:40]}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A temporary file is its owner's alone; a result is read by others.
        temporary.chmod(path.stat().st_mode & 0o777 if path.is_file() else 0o644)
        os.replace(temporary, path)  # noqa: PTH105 - the tests make exactly this call fail
        temporary = None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise GraderError(f"cannot write {one_line(str(path))}: {reason}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
