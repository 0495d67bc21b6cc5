"""Reads what students wrote as data flow (`data_flow`): classes and functions, each with the helpers that it calls.

The reader runs a program without its values. Helper functions and methods are read where they are called, a loop that
appends to a list becomes a comprehension, and both branches of a condition become one choice.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from grader.insight.data_flow import Node, live
from grader.insight.expressions import Environment, Function
from grader.insight.statements import Reader

Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Known:
    """What the homework gives: classes and functions by name with their methods, and the item of each that students write."""

    parts: Mapping[str, str]
    methods: Mapping[str, Collection[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: Mapping[str, str], given: Sequence[ast.Module]) -> Known:
        """What the cells that students got define."""
        methods: dict[str, set[str]] = {}
        for node in (node for tree in given for node in tree.body):
            if isinstance(node, ast.ClassDef):
                names = {item.name for item in node.body if isinstance(item, Definition)}
                methods.setdefault(node.name, set()).update(names)
            elif isinstance(node, Definition):
                methods.setdefault(node.name, set())
        return cls(parts, methods)


@dataclass(frozen=True)
class _Defined:
    """A class with the index of its cell and the names that occur in it."""

    node: ast.ClassDef
    cell: int
    mentions: _Mentions


@dataclass
class _Mentions:
    """What a piece of code names: variables, attributes, and imports by the name that they are given."""

    names: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, node: ast.AST) -> _Mentions:
        """All that a node holds, in one pass, as passing over a tree is what takes long."""
        found = cls()
        stack: list[ast.AST] = [node]
        while stack:
            one = stack.pop()
            if isinstance(one, ast.Name):
                found.names.add(one.id)
                continue
            if isinstance(one, ast.Attribute):
                found.attributes.add(one.attr)
            elif isinstance(one, ast.alias):
                if one.asname:
                    found.aliases[one.asname] = one.name.rpartition(".")[2]
                continue
            for name in one._fields:
                value = getattr(one, name, None)
                if isinstance(value, ast.AST):
                    stack.append(value)
                elif isinstance(value, list):
                    stack.extend(child for child in value if isinstance(child, ast.AST))
        return found


def nodes_of(trees: Sequence[ast.Module], known: Known) -> list[Node]:
    """The operations of a program that its results depend on. Each has a statement, which says in which part it stands.

    Code that cannot be read, as it is nested too deeply, is left out.
    """
    classes: dict[str, _Defined] = {}
    functions: dict[str, Function] = {}
    names: dict[str, set[str]] = {}
    aliases: dict[str, str] = {}
    for cell, tree in enumerate(trees):
        for node in tree.body:
            mentions = _Mentions.of(node)
            aliases |= mentions.aliases
            if isinstance(node, ast.ClassDef):
                classes[node.name] = _Defined(node, cell, mentions)
            elif isinstance(node, Definition):
                functions[node.name] = Function(node, {}, cell)
            else:
                continue
            names[node.name] = mentions.names
    own = frozenset(name for name in classes if name not in known.parts and name not in known.methods)
    reader = Reader(functions, own, aliases)
    environment = _constants(reader, trees)
    found: list[Node] = []
    parts = _parts(names, known)
    for name, part in parts.items():
        try:
            if name in classes:
                found += _class(reader, classes[name], part, known, environment)
            elif name in known.parts:
                found += _function(reader, functions[name], part, environment)
        except RecursionError:
            continue
    return found


def _constants(reader: Reader, trees: Sequence[ast.Module]) -> Environment:
    """The variables of the top level. What else runs there tests and trains, and is no answer."""
    environment: Environment = {}
    for cell, tree in enumerate(trees):
        reader.enter("", cell)
        for node in tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign):
                try:
                    reader.run([node], environment)
                except RecursionError:
                    continue
    return environment


def _parts(names: Mapping[str, Collection[str]], known: Known) -> dict[str, str]:
    """The part of each class and function: a helper is part of what names it, and is left out if nothing does."""
    found = {name: part for name, part in known.parts.items() if name in names}
    waiting = list(found)
    while waiting:
        user = waiting.pop(0)
        for name in sorted(set(names[user]) & names.keys() - found.keys()):
            found[name] = found[user]
            waiting.append(name)
    return found


def _class(
    reader: Reader, defined: _Defined, part: str, known: Known, environment: Environment
) -> list[Node]:
    methods = {item.name: item for item in defined.node.body if isinstance(item, Definition)}
    reader.enter(
        part,
        defined.cell,
        {name: Function(item, {}, defined.cell, is_method=True) for name, item in methods.items()},
    )
    inside = dict(environment)
    for item in defined.node.body:
        if isinstance(item, ast.Assign | ast.AnnAssign):
            reader.run([item], inside)
    attributes: Environment = {
        f"self.{name}": value for name, value in inside.items() if name not in environment
    }
    given = known.methods.get(defined.node.name)
    roots: list[Node] = []
    for name in sorted(methods, key=lambda name: (name != "__init__", list(methods).index(name))):
        is_entry = name.startswith("__") or name in (given or ("forward",))
        if is_entry or (given is None and name not in defined.mentions.attributes):
            ends = reader.call(
                Function(methods[name], {**environment, **attributes}, defined.cell, is_method=True)
            )
            roots += ends.roots
            attributes |= {key: value for key, value in ends.environment.items() if key.startswith("self.")}
    return list(_with_statements(live(roots)))


def _function(reader: Reader, function: Function, part: str, environment: Environment) -> list[Node]:
    reader.enter(part, function.cell)
    ends = reader.call(Function(function.node, dict(environment), function.cell))
    return list(_with_statements(live(ends.roots)))


def _with_statements(nodes: Sequence[Node]) -> Iterator[Node]:
    return (node for node in nodes if node.statement is not None and node.statement.part)
