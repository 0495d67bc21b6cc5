"""Cleans up after a run that was killed: its working folder, and processes that it left."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import IO

from grader.batch.store import Store
from grader.kernel import confinement
from grader.kernel.confinement import Mark, Uids

CLAIM = "claimed"


def clear_after_a_kill(store: Store) -> None:
    """Delete the working folder of a run that was killed, and end what may be left of its kernels."""
    note = store.folder / ".work"
    if note.is_file():
        folder = Path(note.read_text(encoding="utf-8", errors="replace"))
        if folder.name.startswith("hw3b-"):
            end_orphans()
            shutil.rmtree(folder, ignore_errors=True)
        note.unlink()


def claim(folder: Path) -> IO[bytes]:
    """Mark a working folder as this process's: it is until the file that is returned is closed, or the process ends."""
    import fcntl  # noqa: PLC0415 - absent on Windows

    file = (folder / CLAIM).open("wb")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def clear_unclaimed(beside: Path) -> None:
    """Delete working folders that were claimed by processes which were killed, and end what may be left of their kernels."""
    import fcntl  # noqa: PLC0415 - absent on Windows

    for path in beside.parent.glob(f"hw3b-*/{CLAIM}"):
        try:
            with path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        end_orphans()
        shutil.rmtree(path.parent, ignore_errors=True)


def end_orphans() -> None:
    """Kill the processes of kernel users that no running grader on this machine has reserved."""
    if os.name != "posix" or os.geteuid() != 0 or confinement.probe().identity == "shared":
        return
    import fcntl  # noqa: PLC0415 - absent on Windows

    folder = Uids().folder
    for path in folder.glob("*") if folder.is_dir() else ():
        if not path.name.isdigit():
            continue
        with path.open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            confinement.sweep(Mark(int(path.name), 0))
