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
    return torch_knows_cuda() and bool(names())


def torch_knows_cuda() -> bool:
    """Importing torch to ask takes seconds; its version file, a few lines, says it too."""
    found = importlib.util.find_spec("torch")
    folders = (found.submodule_search_locations if found else None) or ()
    for folder in folders:
        version = Path(folder, "version.py")
        if version.is_file():
            return re.search(r"^cuda\b[^=]*=\s*['\"]", version.read_text("utf-8"), re.MULTILINE) is not None
    return False


def names() -> tuple[str, ...]:
    """What the GPUs are called that the driver finds; none where CUDA_VISIBLE_DEVICES hides them all."""
    if sys.platform != "linux" or os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return ()
    library = management_library()
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
