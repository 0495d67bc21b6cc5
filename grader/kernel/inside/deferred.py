"""Modules that take long to import and that hardly any judged code uses: each runs when something of it is used."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence
from typing import Any


class Deferred(types.ModuleType):
    """A module whose code has not run yet. That of a package does not run either when a deferred module in it is imported."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # import itself asks, and gives one to a package
            raise AttributeError(name)
        submodule = f"{self.__name__}.{name}"
        if any(submodule in finder.modules for finder in sys.meta_path if isinstance(finder, Finder)):
            return importlib.import_module(submodule)
        run(self)
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("__") and not isinstance(value, types.ModuleType):  # as import itself sets
            run(self)
        types.ModuleType.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        run(self)
        return dir(self)


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Defers these modules, among which is the package that holds them."""

    def __init__(self, modules: Sequence[str]) -> None:
        self.modules = frozenset(modules)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """A spec that defers, for one of the modules. What else their package holds needs the package's code."""
        if fullname not in self.modules:
            if (package := fullname.partition(".")[0]) in self.modules:
                run(sys.modules[package])
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path)
        if found is None:
            return None
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=found.origin, loader_state=found)
        spec.submodule_search_locations = found.submodule_search_locations
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Make a module without running its code."""
        return Deferred(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Do nothing yet."""


def run(module: types.ModuleType) -> None:
    """Run the code of a deferred module."""
    if type(module) is not Deferred or module.__spec__ is None:
        return
    deferred, spec = module.__spec__, module.__spec__.loader_state
    module.__spec__, module.__loader__, module.__file__ = spec, spec.loader, spec.origin
    module.__class__ = types.ModuleType  # type: ignore[assignment]
    try:
        spec.loader.exec_module(module)
    except BaseException:
        module.__spec__ = deferred
        module.__class__ = Deferred
        raise


def defer(modules: Sequence[str]) -> None:
    """Defer these modules from now on."""
    sys.meta_path.insert(0, Finder(modules))
