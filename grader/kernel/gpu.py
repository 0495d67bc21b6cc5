"""NVIDIA GPUs, found without starting CUDA or importing torch: where the driver lies, and whether it finds one."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import Any

_DRIVER = "libcuda.so.1"
# Where container runtimes and WSL put the driver, which ld.so does not always know.
_KNOWN = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib/wsl/lib", "/run/opengl-driver/lib")


@functools.cache
def driver_folders() -> tuple[str, ...]:
    """Folders with the driver's libraries that a program finds by LD_LIBRARY_PATH only."""
    named = [name for name in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if name]
    return tuple(name for name in dict.fromkeys([*named, *_KNOWN]) if Path(name, _DRIVER).exists())


@functools.cache
def is_present() -> bool:
    """Whether the driver finds a GPU and torch is built for one."""
    return _torch_knows_cuda() and _count() > 0


def _torch_knows_cuda() -> bool:
    """Importing torch to ask takes seconds; its version file, a few lines, says it too."""
    found = importlib.util.find_spec("torch")
    folders = (found.submodule_search_locations if found else None) or ()
    for folder in folders:
        version = Path(folder, "version.py")
        if version.is_file():
            return re.search(r"^cuda\b[^=]*=\s*['\"]", version.read_text("utf-8"), re.MULTILINE) is not None
    return False


def _count() -> int:
    """How many GPUs there are, unless CUDA_VISIBLE_DEVICES hides them all."""
    if sys.platform != "linux" or os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return 0
    library = management_library()
    count = ctypes.c_uint(0)
    if library is None or library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return 0
    library.nvmlShutdown()
    return count.value


def management_library() -> Any | None:
    """The driver's management library (NVML), initialised; None where there is no driver that works."""
    for folder in ("", *driver_folders()):
        try:
            library = ctypes.CDLL(str(Path(folder, "libnvidia-ml.so.1")))
        except OSError:
            continue
        if library.nvmlInit_v2() == 0:
            return library
    return None
