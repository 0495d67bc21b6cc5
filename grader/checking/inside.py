"""Loads the files that answer a judge in a kernel, for use in a process of the student's own."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from grader.kernel import inside

NAMES = ("standins", "absent", "hardware", "values", "interpreter", "stage", "rounds")
"""In an order in which each finds what it imports."""


@functools.cache
def kernel_modules() -> dict[str, ModuleType]:
    """The kernel's modules by name. They import one another by these names, which are given back to the notebook at once."""
    folder = Path(inside.__file__).parent
    before = {name: sys.modules.get(name) for name in NAMES}
    loaded: dict[str, ModuleType] = {}
    try:
        for name in NAMES:
            specification = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
            assert specification is not None
            assert specification.loader is not None
            loaded[name] = sys.modules[name] = importlib.util.module_from_spec(specification)
            specification.loader.exec_module(loaded[name])
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
    return loaded
