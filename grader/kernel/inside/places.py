"""Folders of other machines, such as Colab's ``/content``: what a notebook writes there is kept in its working folder.

A path is one of another machine if neither it nor the folder it lies in exists here. Whatever is not in the working folder
either is reported missing under the name that the notebook uses.
"""

from __future__ import annotations

import builtins
import functools
import importlib.machinery
import io
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import torch

WORKING = ("/content/drive/MyDrive", "/content/drive/My Drive", "/content", "/kaggle/working", "/kaggle", "/notebooks")
"""Working folders of machines for notebooks, whose files lie in the working folder itself."""
_ONE_PATH = ("listdir", "scandir", "chdir", "stat", "lstat", "access", "remove", "unlink", "rmdir", "utime")
_TWO_PATHS = ("rename", "replace")
_stat, _makedirs = os.stat, os.makedirs


def keep_other_places(folder: str) -> None:
    """Keep files of other machines' folders in ``folder``, for the rest of the process."""
    place = _Places(folder)
    shell: Any = sys.modules["IPython.core.interactiveshell"]
    opened = place.opening(io.open, lambda mode: isinstance(mode, str) and not set(mode).isdisjoint("wax"))
    made = {"mkdir": place.making(os.mkdir), "open": place.opening(os.open, lambda flags: bool(flags & os.O_CREAT))}
    made |= {name: place.reading(getattr(os, name), 1) for name in _ONE_PATH}
    made |= {name: place.reading(getattr(os, name), 2) for name in _TWO_PATHS}
    for name, function in made.items():
        setattr(os, name, function)
    for owner, name in ((builtins, "open"), (io, "open"), (shell, "io_open")):
        setattr(owner, name, opened)
    torch.save = torch.serialization.save = place.saving(torch.save)
    sys.path_hooks.insert(0, place.importing)
    accessor: Any = getattr(pathlib, "_NormalAccessor", None)
    if accessor is not None:  # up to Python 3.10 it keeps functions of its own
        for name, function in {**made, "open": opened}.items():
            if name in vars(accessor):
                setattr(accessor, name, staticmethod(function))


class _Places:
    """Where paths of other machines lead, beneath a folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def here(self, path: Any) -> str | None:
        """The place of another machine's path; None for a path of this one."""
        if not isinstance(path, str | os.PathLike):
            return None
        text = os.fspath(path)
        if not isinstance(text, str) or _exists(text):
            return None
        text = os.path.normpath(text)
        place = self.beneath(text)
        is_kept = text in WORKING or (place is not None and _exists(place))
        return place if is_kept or not _exists(os.path.dirname(text)) else None  # noqa: PTH120

    def beneath(self, path: Any) -> str | None:
        """Where an absolute path would be kept."""
        text = os.path.normpath(os.fspath(path))
        if not isinstance(text, str) or not text.startswith("/"):
            return None
        rest = next((text[len(start) :] for start in WORKING if f"{text}/".startswith(f"{start}/")), text)
        return self.folder + rest

    def reading(self, function: Callable[..., Any], count: int) -> Callable[..., Any]:
        """The function on what exists, whose first ``count`` arguments are paths; the last of two need not exist."""

        @functools.wraps(function)
        def on_what_exists(*args: Any, **kwargs: Any) -> Any:
            paths = list(args[:count])
            for index, path in enumerate(paths):
                place = self.here(path)
                if place is not None and (index or _exists(place)):
                    paths[index] = place
            return function(*paths, *args[count:], **kwargs)

        return on_what_exists

    def making(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``os.mkdir``, which makes the folders above as well in another machine's place."""

        @functools.wraps(function)
        def make(path: Any, *args: Any, **kwargs: Any) -> Any:
            place = self.here(path)
            if place is None:
                try:
                    return function(path, *args, **kwargs)
                except PermissionError:  # another's home, as it were
                    place = self.beneath(path)
                    if place is None or _exists(os.fspath(path)):
                        raise
            if place == self.folder:
                return None
            _make_above(place)
            return function(place, *args, **kwargs)

        return make

    def opening(self, function: Callable[..., Any], writes: Callable[[Any], bool]) -> Callable[..., Any]:
        """A function that opens a path for what its second argument says."""

        @functools.wraps(function)
        def open_here(file: Any, *args: Any, **kwargs: Any) -> Any:
            place = self.here(file)
            if place is not None:
                if writes(args[0] if args else kwargs.get("mode", kwargs.get("flags", "r"))):
                    _make_above(place)
                    file = place
                elif _exists(place):
                    file = place
            return function(file, *args, **kwargs)

        return open_here

    def importing(self, path: str) -> Any:
        """The finder for an entry of ``sys.path`` that is kept here."""
        place = self.here(path)
        if place is None or not _exists(place):
            raise ImportError(path)
        return importlib.machinery.FileFinder(place, (importlib.machinery.SourceFileLoader, [".py"]))

    def saving(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``torch.save``, which opens a file without Python."""

        @functools.wraps(function)
        def save(obj: Any, f: Any, *args: Any, **kwargs: Any) -> Any:
            place = self.here(f)
            if place is not None:
                _make_above(place)
            return function(obj, f if place is None else place, *args, **kwargs)

        return save


def _exists(path: str) -> bool:
    try:
        _stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        pass
    return True


def _make_above(place: str) -> None:
    _makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH120
