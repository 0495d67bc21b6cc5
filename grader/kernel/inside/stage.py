"""Replaces what a notebook defines by stand-ins and provided code, and puts it back."""

from __future__ import annotations

import linecache
import os
import pathlib
import sys
import types
from typing import Any

import standins

PROVIDED = "<provided "


class Stage:
    """The notebook's names. A stage replaces some of them."""

    def __init__(self, namespace: dict[str, Any], modules: list[dict[str, Any]] | None = None) -> None:
        self.namespace, self.names = namespace, dict(namespace)
        self.methods: list[tuple[type, str, Any]] = []
        # Classes of modules that the notebook wrote look their names up there.
        modules = own_modules() if modules is None else modules
        self.modules = {id(module): (module, dict(module)) for module in modules}

    def set(self, asked: dict[str, Any]) -> None:
        """Replace what the notebook defines by stand-ins and provided code, under all its names."""
        self.clear()
        for name in asked["stand_ins"]:
            self._stand_in(name, standins.stand_ins_of(asked["source"])[name], lenient=asked["lenient"])
        for owner, method, source in asked["methods"]:
            cls = self.namespace.get(owner)
            if isinstance(cls, type):
                scope = dict(self.namespace)
                filename = f"{PROVIDED}{owner}.{method}>"
                linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
                exec(compile(source, filename, "exec"), scope)
                self.methods.append((cls, method, cls.__dict__.get(method)))
                setattr(cls, method, scope[method])

    def clear(self) -> None:
        """Put everything back as the notebook left it."""
        for cls, method, before in reversed(self.methods):
            if before is None:
                delattr(cls, method)
            else:
                setattr(cls, method, before)
        self.methods.clear()
        for namespace, names in [(self.namespace, self.names), *self.modules.values()]:
            for name in [name for name in namespace if name not in names]:
                del namespace[name]
            namespace.update(names)

    def _stand_in(self, name: str, cls: type[standins.StandIn], *, lenient: bool) -> None:
        original = self.namespace.get(name)
        lenient = lenient and isinstance(original, type)
        replacement = type(name, (cls,), {"original": original if lenient else None, "__module__": "__main__"})
        same = [key for key, value in self.namespace.items() if original is not None and value is original]
        self.namespace.update(dict.fromkeys([*same, name], replacement))
        self._take_place(name)

    def _take_place(self, name: str) -> None:
        """Make the same replacement in the modules that the notebook wrote."""
        original = self.names.get(name)
        for module, names in self.modules.values():
            same = [key for key, value in names.items() if original is not None and value is original]
            module.update(dict.fromkeys(same, self.namespace[name]))


_loaded: dict[int, Any] = {}
"""Modules that no notebook wrote, by id. They are kept, so that no other object gets the id of one."""


def leave_out_loaded() -> None:
    """Exclude the modules imported so far from `own_modules`, which is slow with thousands. Call it before a notebook runs."""
    _loaded.update((id(module), module) for module in list(sys.modules.values()))


def own_modules() -> list[dict[str, Any]]:
    """The namespaces of the modules whose files the notebook wrote."""
    home = str(pathlib.Path.cwd()) + os.sep
    new = [module for module in list(sys.modules.values()) if id(module) not in _loaded]
    spaces = [vars(module) for module in new if type(module) is types.ModuleType]
    return [space for space in spaces if str(space.get("__file__") or "").startswith(home)]
