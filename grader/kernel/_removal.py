"""Deletes what a submission leaves behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
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
    with contextlib.suppress(OSError), os.scandir("/dev/shm") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid == uid:
                    Path(entry.path).unlink()
