"""The source files of modules, and what they import of ours."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from grader.errors import GraderError


@dataclass(frozen=True)
class Binding:
    """What an import gives a name: a module, or with ``member`` something of it."""

    module: str
    member: str = ""


@dataclass(frozen=True)
class Source:
    """A module's source."""

    name: str
    path: Path

    @property
    def is_package(self) -> bool:
        """Whether other modules lie in it."""
        return self.path.name == "__init__.py"

    @cached_property
    def text(self) -> str:
        """The text of its file."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text)

    def bindings(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Binding]]:
        """The names that an import binds, with what they stand for."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], Binding(
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
            return
        module = self.module_of(node)
        for alias in node.names:
            bound = alias.asname or alias.name
            inner = f"{module}.{alias.name}"
            yield bound, Binding(inner) if source_of(inner) is not None else Binding(module, alias.name)

    def module_of(self, node: ast.ImportFrom) -> str:
        """The full name of the module that something is imported from."""
        if not node.level:
            return node.module or ""
        package = self.name if self.is_package else self.name.rpartition(".")[0]
        for _ in range(node.level - 1):
            package = package.rpartition(".")[0]
        return f"{package}.{node.module}" if node.module else package


@functools.cache
def source_of(name: str) -> Source | None:
    """The source of a module by its full name; None if there is no such module, or it is not written in Python."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        return None
    return Source(name, Path(found.origin))


def required(name: str) -> Source:
    """`source_of`; raises `GraderError` if there is none."""
    found = source_of(name)
    if found is None:
        raise GraderError(f"cannot build the check package: {name} has no source")
    return found


def is_for_types_only(node: ast.stmt) -> bool:
    """Whether a statement is ``if TYPE_CHECKING: ...``."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_of(source: Source, *, within_functions: bool = True) -> Iterator[Binding]:
    """Everything that a module imports, but for what only type checkers read."""
    waiting: list[ast.AST] = [source.tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (Binding(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (binding for _, binding in source.bindings(node))
        elif isinstance(node, ast.FunctionDef) and not within_functions:
            continue
        elif not (isinstance(node, ast.stmt) and is_for_types_only(node)):
            waiting.extend(ast.iter_child_nodes(node))


def parents_of(name: str) -> list[str]:
    """The packages around a module, outermost first."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]
