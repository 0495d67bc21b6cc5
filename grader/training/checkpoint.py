"""Finds and reads the weights that a student saved beside the notebook: safetensors only, of bounded size."""

from __future__ import annotations

import hashlib
import math
import stat
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from grader.errors import GraderError
from grader.kernel.wire import Array

SUFFIX = ".safetensors"
MAX_BYTES = 64 << 20
MAX_TENSORS = 5000
_DTYPES = (np.float16, np.float32, np.float64)


class BadCheckpoint(GraderError):
    """A file that is there cannot be used; names it and says why."""


def find(submission: Path, name: str) -> Path | None:
    """The checkpoint of that name that belongs to a notebook or lies with it in a folder; None where there is none.

    Beside a notebook of several it must bear the notebook's own name (``ada.safetensors``), as else it could be anybody's.
    """
    if submission.is_dir():
        found = sorted(path for path in submission.rglob(name) if is_file(path))
        return found[0] if len(found) == 1 else None
    named = submission.with_suffix(SUFFIX)
    if is_file(named):
        return named
    beside = submission.with_name(name)
    if not is_file(beside):
        return None
    alone = sum(path.suffix == submission.suffix for path in submission.parent.iterdir()) == 1
    return beside if alone else None


def why_none(submission: Path, name: str) -> str:
    """Why `find` finds nothing, in words."""
    if submission.is_dir():
        count = sum(is_file(path) for path in submission.rglob(name))
        return f"{count} files are called {name}, expected one" if count > 1 else f"there is no {name} in the folder"
    if is_file(submission.with_name(name)):
        own = submission.with_suffix(SUFFIX).name
        return f"{name} lies beside more than one notebook; if it belongs to this one, rename it {own}"
    return f"there is no {name} beside the notebook"


def digest_of(path: Path) -> str:
    """What tells one checkpoint from another: 16 hex digits of the SHA-256 of what is read of it at most."""
    try:
        with path.open("rb") as file:
            return hashlib.sha256(file.read(MAX_BYTES + 1)).hexdigest()[:16]
    except OSError:
        return "unreadable"


def is_file(path: Path) -> bool:
    """Whether it is a file, and no link to one: links may lead anywhere."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def read(path: Path, most: int = MAX_BYTES) -> Mapping[str, Array]:
    """The tensors of a checkpoint of at most so many bytes, as float32 arrays by name; raises `BadCheckpoint`."""
    try:
        if path.stat().st_size > most:
            raise BadCheckpoint(f"{path.name}: is larger than {most >> 20} MiB")
        tensors = load_tensors(path.read_bytes())
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise BadCheckpoint(f"{path.name}: is not a readable safetensors file ({reason[0][:100]})") from None
    if len(tensors) > MAX_TENSORS:
        raise BadCheckpoint(f"{path.name}: holds more than {MAX_TENSORS} tensors")
    made: dict[str, Array] = {}
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES or math.prod(tensor.shape) * 4 > most:
            raise BadCheckpoint(f"{path.name}: {name[:80]} is {tensor.dtype}, not a floating-point number")
        if not np.isfinite(tensor).all():
            raise BadCheckpoint(f"{path.name}: {name[:80]} holds NaN or infinity")
        made[name] = tensor.astype(np.float32)
    return made
