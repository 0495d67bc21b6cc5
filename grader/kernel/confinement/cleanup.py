"""Deletes what a submission leaves behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import stat
import tempfile
from pathlib import Path


def remove_tree(folder: Path) -> None:
    """Delete a folder whatever is in it: closed folders, any names, any depth. Links are not followed."""
    if shutil.rmtree.avoids_symlink_attacks and _flat_remove(folder):
        return
    shutil.rmtree(folder, ignore_errors=True)


def _flat_remove(folder: Path) -> bool:
    """Move every subfolder to the top before looking into it, so that depth costs neither stack nor
    descriptors."""
    try:
        folder.chmod(0o700)
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        moved = 0
        while names := os.listdir(top):  # noqa: PTH208 - of a descriptor
            failed = 0
            for name in names:
                try:
                    moved = _empty_one(top, name, moved)
                except OSError:
                    failed += 1
            if failed == len(names):
                return False
    finally:
        os.close(top)
    folder.rmdir()
    return True


def _empty_one(top: int, name: str, moved: int) -> int:
    if not stat.S_ISDIR(os.stat(name, dir_fd=top, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=top)
        return moved
    # The submission's processes are gone by now, so nothing exchanges the folder for a link in between.
    os.chmod(name, 0o700, dir_fd=top)
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        with os.scandir(inner) as entries:
            listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for child, is_folder in listed:
            if not is_folder:
                os.unlink(child, dir_fd=inner)
                continue
            os.chmod(child, 0o700, dir_fd=inner)
            while True:
                moved += 1
                target = f".{moved}"
                try:
                    os.stat(target, dir_fd=top, follow_symlinks=False)
                except FileNotFoundError:
                    break
            os.rename(child, target, src_dir_fd=inner, dst_dir_fd=top)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)
    return moved


def remove_shared_memory(uid: int) -> None:
    """Delete what a user left in shared memory."""
    _remove_from("/dev/shm", uid)


def remove_traces(uid: int) -> None:
    """Delete what a user left in folders where everyone may write, and its System V objects; needs root."""
    for folder in {"/tmp", "/var/tmp", "/run/lock", "/dev/mqueue", tempfile.gettempdir()}:
        _remove_from(folder, uid)
    libc = ctypes.CDLL(None)
    for name, column in (("shm", "shmid"), ("msg", "msqid"), ("sem", "semid")):
        with contextlib.suppress(OSError, ValueError):
            head, *rows = Path(f"/proc/sysvipc/{name}").read_text(encoding="ascii").splitlines()
            place, owner = head.split().index(column), head.split().index("uid")
            for row in (row.split() for row in rows):
                if int(row[owner]) == uid:
                    # IPC_RMID is 0; semctl has the number of a semaphore before it.
                    getattr(libc, f"{name}ctl")(int(row[place]), 0, *([0] if name == "sem" else [None]))


def _remove_from(folder: str, uid: int) -> None:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid != uid:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(Path(entry.path))
                else:
                    Path(entry.path).unlink()
