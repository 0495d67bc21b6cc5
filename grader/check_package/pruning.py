"""Cuts a homework's modules down to what its public properties need.

A module of properties may hold public and hidden ones, and helpers of either. From each public property we follow the names
that it uses, through modules of the homework, and keep the top-level statements that define them. All else is left out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from grader.check_package.sources import Binding, Source, is_for_types_only, required, source_of
from grader.errors import GraderError


@dataclass
class PrunedModule:
    """A module of which some top-level statements are kept."""

    source: Source
    kept: set[int] = field(default_factory=set)
    """Indices of kept statements."""
    imported: set[str] = field(default_factory=set)
    """The names whose imports are kept."""

    @cached_property
    def definitions(self) -> dict[str, int]:
        """The statement that defines each name of the module."""
        found: dict[str, int] = {}
        for index, statement in enumerate(self.source.tree.body):
            for name in _names_bound(statement):
                found[name] = index
        return found

    @cached_property
    def imports(self) -> dict[str, Binding]:
        """What the module's imports bind."""
        return {
            name: binding
            for statement in self.source.tree.body
            if isinstance(statement, ast.Import | ast.ImportFrom)
            for name, binding in self.source.bindings(statement)
        }

    def text(self) -> str:
        """The source of what is kept, with the module's docstring."""
        body = self.source.tree.body
        lines = self.source.text.splitlines()
        pieces: list[str] = []
        for index, statement in enumerate(body):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                if piece := self._import_text(statement):
                    pieces.append(piece)
            elif index in self.kept or (index == 0 and _is_text(statement)):
                first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", []))])
                pieces.append("\n".join(lines[first - 1 : statement.end_lineno]))
        return "\n\n\n".join(pieces) + "\n"

    def _import_text(self, node: ast.Import | ast.ImportFrom) -> str:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            return ast.unparse(node)
        names = [alias for alias in node.names if (alias.asname or alias.name.partition(".")[0]) in self.imported]
        if not names:
            return ""
        if isinstance(node, ast.Import):
            return ast.unparse(ast.Import(names))
        return ast.unparse(ast.ImportFrom(node.module, names, node.level))


class Pruning:
    """Follows names from public properties. ``home`` is the package of the homework's own modules."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.modules: dict[str, PrunedModule] = {}
        self.engine: set[str] = set()
        """Modules of the grader that are used as they are."""
        self.libraries: set[str] = set()
        """Top-level names of other modules that are imported."""

    def is_homework(self, module: str) -> bool:
        """Whether a module is one of the homework's."""
        return module == self.home or module.startswith(self.home + ".")

    def keep(self, module: str, name: str) -> None:
        """Keep what defines a name of a module, and all that it needs; raises `GraderError` if nothing defines it."""
        pruned = self._module(module)
        if name in pruned.definitions:
            self._keep_statement(pruned, pruned.definitions[name])
        elif name in pruned.imports:
            self._keep_import(pruned, name)
        else:
            raise GraderError(f"cannot build the check package: {module} does not define {name}")

    def _module(self, name: str) -> PrunedModule:
        if name not in self.modules:
            made = self.modules[name] = PrunedModule(required(name))
            for index, statement in enumerate(made.source.tree.body):
                if isinstance(statement, ast.Expr) and not _is_text(statement):
                    self._keep_statement(made, index)  # it is there for what it does
        return self.modules[name]

    def _keep_import(self, pruned: PrunedModule, name: str, attributes: Iterable[str] = ()) -> None:
        pruned.imported.add(name)
        binding = pruned.imports[name]
        if self.is_homework(binding.module):
            if binding.member:
                self.keep(binding.module, binding.member)
                return
            for attribute in attributes:
                self.keep(binding.module, attribute)
            if not attributes:
                raise GraderError(
                    f"cannot build the check package: {pruned.source.name} uses the module {name} as a whole"
                )
        elif source_of(binding.module) is not None and binding.module.partition(".")[0] == "grader":
            self.engine.add(binding.module)
        else:
            self.libraries.add(binding.module.partition(".")[0])

    def _keep_statement(self, pruned: PrunedModule, index: int) -> None:
        if index in pruned.kept:
            return
        pruned.kept.add(index)
        body = pruned.source.tree.body
        if index + 1 < len(body) and _is_text(body[index + 1]) and not hasattr(body[index], "body"):
            pruned.kept.add(index + 1)  # what is said of a constant
        statement = body[index]
        for inner in ast.walk(statement):
            if isinstance(inner, ast.Import | ast.ImportFrom):
                for _, binding in pruned.source.bindings(inner):
                    self._note_inner_import(pruned, binding)
        used = _names_used(statement)
        for name, attributes in used.items():
            if name in pruned.definitions:
                self._keep_statement(pruned, pruned.definitions[name])
            elif name in pruned.imports:
                self._keep_import(pruned, name, attributes)

    def _note_inner_import(self, pruned: PrunedModule, binding: Binding) -> None:
        if self.is_homework(binding.module):
            if not binding.member:
                raise GraderError(
                    f"cannot build the check package: a function of {pruned.source.name} imports the module {binding.module}; "
                    "import it at the top"
                )
            self.keep(binding.module, binding.member)
        elif binding.module.partition(".")[0] == "grader":
            self.engine.add(binding.module)
        else:
            self.libraries.add(binding.module.partition(".")[0])


def _names_used(statement: ast.stmt) -> dict[str, set[str]]:
    """The names that a statement reads, each with the attributes that are read of it."""
    used: dict[str, set[str]] = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            used.setdefault(node.id, set())
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used.setdefault(node.value.id, set()).add(node.attr)
    return used


def _names_bound(statement: ast.stmt) -> set[str]:
    """The names that a top-level statement defines, imports aside."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom) or is_for_types_only(statement):
        return set()
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _is_text(statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
