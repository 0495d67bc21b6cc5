"""Finds NVIDIA GPUs and the driver's folders without starting CUDA or importing torch."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_DRIVER = "libcuda.so.1"
Load = Callable[[str], Any]
"""Opens a shared library by its name or path; raises OSError if there is none."""
# Container runtimes and WSL put the driver here, where ld.so does not always look.
_KNOWN = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib/wsl/lib", "/run/opengl-driver/lib")


@functools.cache
def driver_folders() -> tuple[str, ...]:
    """Folders with the driver's libraries that a program finds only through LD_LIBRARY_PATH."""
    named = [name for name in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if name]
    return tuple(name for name in dict.fromkeys([*named, *_KNOWN]) if Path(name, _DRIVER).exists())


@functools.cache
def is_present() -> bool:
    """Whether the driver finds a GPU and torch is built for one."""
    return torch_knows_cuda() and bool(names())


def torch_knows_cuda(folders: Sequence[str] | None = None) -> bool:
    """Whether torch is built for CUDA, by its version file, as importing torch takes seconds.

    ``folders`` are those of the package torch, by default of the one that is installed.
    """
    if folders is None:
        found = importlib.util.find_spec("torch")
        folders = (found.submodule_search_locations if found else None) or ()
    for folder in folders:
        version = Path(folder, "version.py")
        if version.is_file():
            return re.search(r"^cuda\b[^=]*=\s*['\"]", version.read_text("utf-8"), re.MULTILINE) is not None
    return False


def names(load: Load = ctypes.CDLL) -> tuple[str, ...]:
    """The names of the GPUs that the driver finds; none if CUDA_VISIBLE_DEVICES hides them all."""
    if sys.platform != "linux" or os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return ()
    library = management_library(load)
    if library is None:
        return ()
    count, device, name = ctypes.c_uint(0), ctypes.c_void_p(), ctypes.create_string_buffer(96)
    library.nvmlDeviceGetCount_v2(ctypes.byref(count))
    found = []
    for number in range(count.value):
        if library.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(device)) == 0:
            library.nvmlDeviceGetName(device, name, len(name))
            found.append(name.value.decode("ascii", "replace"))
    library.nvmlShutdown()
    return tuple(found)


def management_library(load: Load = ctypes.CDLL) -> Any | None:
    """The driver's management library (NVML), initialized; None if there is no driver that works."""
    for folder in ("", *driver_folders()):
        try:
            library = load(str(Path(folder, "libnvidia-ml.so.1")))
        except OSError:
            continue
        if library.nvmlInit_v2() == 0:
            return library
    return None
