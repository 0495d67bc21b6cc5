"""Reads expressions as nodes of a data flow, in a form that does not depend on how they are spelled."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from grader.insight.data_flow import Node, Statement

MOST_NODES = 20_000
"""Of one program; helpers that call helpers may be read very often."""
SELF = "self"
"""The label of the object whose method is read."""

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.MatMult: "@", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Is: "is", ast.IsNot: "is not",
    ast.In: "in", ast.NotIn: "not in", ast.And: "and", ast.Or: "or", ast.Not: "not", ast.USub: "neg",
    ast.UAdd: "pos", ast.Invert: "~",
}  # fmt: skip
_TURNED: dict[type[ast.AST], str] = {ast.Gt: "<", ast.GtE: "<="}
_OPPOSITE = {"is not": "is", "!=": "==", "not in": "in"}
_TRANSPARENT = frozenset({"list", "tuple", "iter"})
_CONTAINERS = {ast.List: "list", ast.Tuple: "tuple", ast.Set: "set"}


@dataclass(frozen=True, eq=False)
class Function:
    """A function or method, with the variables of where it stands."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    environment: Environment
    cell: int
    is_method: bool = False


Value: TypeAlias = Node | Function
Environment: TypeAlias = dict[str, Value]
"""Variables by name, and attributes of the object by ``self.name``."""


@dataclass
class Frame:
    """A function that is read: what it returned so far, and the conditions and loops around the current statement."""

    returned: list[Node] = field(default_factory=list)
    tests: list[Node] = field(default_factory=list)
    loops: list[Node] = field(default_factory=list)
    parameters: frozenset[str] = frozenset()


class Expressions(ABC):
    """Reads expressions. ``own_classes`` are those that a student named; ``aliases`` are imported names by the name given."""

    def __init__(
        self, functions: Mapping[str, Function], own_classes: Collection[str], aliases: Mapping[str, str]
    ) -> None:
        self.functions, self.own_classes, self.aliases = functions, own_classes, aliases
        self.methods: Mapping[str, Function] = {}
        self.frame = Frame()
        self.statement: Statement | None = None
        self.made = 0

    @abstractmethod
    def inline(self, function: Function, arguments: Sequence[Node], named: Mapping[str, Node]) -> Node:
        """What a function returns for arguments."""

    def node(self, label: str, children: Sequence[Node] = ()) -> Node:
        """A new node of the current statement; a placeholder once there are too many."""
        self.made += 1
        return Node(label, children, self.statement) if self.made <= MOST_NODES else Node("...")

    def leaf(self, label: str) -> Node:
        """A constant, an argument or a name."""
        return Node(label)

    def value(self, expression: ast.expr | None, environment: Environment) -> Node:
        """The node of an expression."""
        found = self.read(expression, environment)
        return self._as_node(found) if isinstance(found, Function) else found

    def _as_node(self, function: Function) -> Node:
        """A function that is given away instead of called."""
        return self.node("function", [self.inline(function, (), {})])

    def read(self, expression: ast.expr | None, environment: Environment) -> Value:
        """The node of an expression, or the function that it names."""
        if expression is None:
            return self.leaf("None")
        reader = getattr(self, f"_{type(expression).__name__}", None)
        if reader is not None:
            found: Value = reader(expression, environment)
            return found
        children = [child for child in ast.iter_child_nodes(expression) if isinstance(child, ast.expr)]
        return self.node(type(expression).__name__, [self.value(child, environment) for child in children])

    # -- names and constants -------------------------------------------------------------------------------------

    def _Constant(self, node: ast.Constant, environment: Environment) -> Node:
        if isinstance(node.value, str):
            return self.leaf(f"text {_renamed_axes(node.value)}")
        number = node.value
        if isinstance(number, int | float) and not isinstance(number, bool):
            # Python refuses to spell very long integers.
            return self.leaf(f"{number:g}" if abs(number) < 1e300 else "large")
        return self.leaf(repr(number)[:80])

    def _Name(self, node: ast.Name, environment: Environment) -> Value:
        name = node.id
        if name in environment:
            return environment[name]
        if name in self.functions:
            return self.functions[name]
        return self.leaf("class" if name in self.own_classes else f"name {self.aliases.get(name, name)}")

    def _Attribute(self, node: ast.Attribute, environment: Environment) -> Value:
        if is_self(node.value, environment):
            key = f"self.{node.attr}"
            if key in environment:
                return environment[key]
            return self.methods.get(node.attr) or self.leaf(key)
        if self._is_module(node.value, environment):
            return self.leaf(f"name {node.attr}")
        return self.node(f".{node.attr}", [self.value(node.value, environment)])

    def _is_module(self, node: ast.expr, environment: Environment) -> bool:
        """Whether an expression is a name such as ``torch.nn``, which is no variable."""
        while isinstance(node, ast.Attribute):
            node = node.value
        if not isinstance(node, ast.Name):
            return False
        return (
            node.id not in environment and node.id not in self.functions and node.id not in self.own_classes
        )

    # -- operators -----------------------------------------------------------------------------------------------

    def _BinOp(self, node: ast.BinOp, environment: Environment) -> Node:
        if isinstance(node.op, ast.Mod) and _is_text(node.left):
            return self.node("text", [self._shown(one, environment) for one in _items(node.right)])
        if isinstance(node.op, ast.Add) and (_is_text(node.left) or _is_text(node.right)):
            return self.node(
                "text", [self._shown(one, environment) for one in _summands(node) if not _is_text(one)]
            )
        return self.operation(
            node.op, self.value(node.left, environment), self.value(node.right, environment)
        )

    def operation(self, operator: ast.operator, left: Node, right: Node) -> Node:
        """``left`` and ``right`` under an operator."""
        return self.node(_OPERATORS.get(type(operator), "?"), [left, right])

    def _BoolOp(self, node: ast.BoolOp, environment: Environment) -> Node:
        return self.node(_OPERATORS[type(node.op)], [self.value(one, environment) for one in node.values])

    def _UnaryOp(self, node: ast.UnaryOp, environment: Environment) -> Node:
        operand = self.value(node.operand, environment)
        if isinstance(node.op, ast.USub) and not operand.children:
            return self.leaf(f"-{operand.label}")
        return self.node(_OPERATORS[type(node.op)], [operand])

    def _Compare(self, node: ast.Compare, environment: Environment) -> Node:
        values = [self.value(one, environment) for one in (node.left, *node.comparators)]
        found = []
        for place, operator in enumerate(node.ops):
            left, right = values[place : place + 2]
            if type(operator) in _TURNED:
                found.append(self.node(_TURNED[type(operator)], [right, left]))
            else:
                found.append(self.node(_OPERATORS[type(operator)], [left, right]))
        return found[0] if len(found) == 1 else self.node("and", found)

    def choice(self, test: Node, then: Node, otherwise: Node) -> Node:
        """One of two values; the same for a condition and its opposite with the values exchanged."""
        while True:
            if test.label == "not":
                test, then, otherwise = test.children[0], otherwise, then
            elif test.label in _OPPOSITE:
                test = self.node(_OPPOSITE[test.label], test.children)
                then, otherwise = otherwise, then
            else:
                return self.node("choice", [test, then, otherwise])

    def _IfExp(self, node: ast.IfExp, environment: Environment) -> Node:
        test = self.value(node.test, environment)
        return self.choice(test, self.value(node.body, environment), self.value(node.orelse, environment))

    def _Lambda(self, node: ast.Lambda, environment: Environment) -> Function:
        return Function(node, environment, self.statement.cell if self.statement else 0)

    def _NamedExpr(self, node: ast.NamedExpr, environment: Environment) -> Node:
        environment[node.target.id] = found = self.value(node.value, environment)
        return found

    def _Starred(self, node: ast.Starred, environment: Environment) -> Node:
        return self.node("*", [self.value(node.value, environment)])

    # -- texts ---------------------------------------------------------------------------------------------------

    def _JoinedStr(self, node: ast.JoinedStr, environment: Environment) -> Node:
        shown = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        if not shown:
            return self.leaf(
                "text " + "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
            )
        return self.node("text", [self._shown(one, environment) for one in shown])

    def _shown(self, node: ast.expr, environment: Environment) -> Node:
        """A value within a text; ``str(x)`` is ``x``."""
        is_call = (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("str", "repr", "format")
        )
        if is_call and isinstance(node, ast.Call) and node.args:
            return self.value(node.args[0], environment)
        return self.value(node, environment)

    # -- containers ----------------------------------------------------------------------------------------------

    def _container(self, node: ast.List | ast.Tuple | ast.Set, environment: Environment) -> Node:
        found = self.node(_CONTAINERS[type(node)], [self.value(one, environment) for one in node.elts])
        found.loops, found.tests = len(self.frame.loops), len(self.frame.tests)
        return found

    _List = _Tuple = _Set = _container

    def _Dict(self, node: ast.Dict, environment: Environment) -> Node:
        pairs = [
            self.node("pair", [self.value(key, environment), self.value(value, environment)])
            for key, value in zip(node.keys, node.values, strict=True)
        ]
        found = self.node("dict", pairs)
        found.loops, found.tests = len(self.frame.loops), len(self.frame.tests)
        return found

    def _Subscript(self, node: ast.Subscript, environment: Environment) -> Node:
        return self.node("[]", [self.value(node.value, environment), self.value(node.slice, environment)])

    def _Slice(self, node: ast.Slice, environment: Environment) -> Node:
        return self.node(
            "slice", [self.value(one, environment) for one in (node.lower, node.upper, node.step)]
        )

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, environment: Environment
    ) -> Node:
        inside = dict(environment)
        loops, tests = [], []
        for generator in node.generators:
            loops.append(self.value(generator.iter, inside))
            self.bind(generator.target, self.node("each", [loops[-1]]), inside)
            tests += [self.value(test, inside) for test in generator.ifs]
        if isinstance(node, ast.DictComp):
            element = self.node("pair", [self.value(node.key, inside), self.value(node.value, inside)])
        else:
            element = self.value(node.elt, inside)
        return self.node("collect", [element, *tests, *loops])

    _ListComp = _SetComp = _GeneratorExp = _DictComp = _comprehension

    def bind(self, target: ast.expr, value: Value, environment: Environment) -> None:
        """Give a value to a target, which may be several names."""
        if isinstance(target, ast.Name):
            environment[target.id] = value
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            if is_self(target.value, environment):
                environment[f"self.{target.attr}"] = value
        elif isinstance(target, ast.Starred):
            self.bind(target.value, value, environment)
        elif isinstance(target, ast.Tuple | ast.List) and isinstance(value, Node):
            is_apart = value.label in ("tuple", "list") and len(value.children) == len(target.elts)
            for place, one in enumerate(target.elts):
                self.bind(
                    one,
                    value.children[place] if is_apart else self.node(f"item {place}", [value]),
                    environment,
                )

    # -- calls ---------------------------------------------------------------------------------------------------

    def _Call(self, node: ast.Call, environment: Environment) -> Node:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format" and _is_text(node.func.value):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            return self.node("text", [self._shown(one, environment) for one in given])
        arguments = [self.value(one, environment) for one in node.args]
        named = {keyword.arg or "**": self.value(keyword.value, environment) for keyword in node.keywords}
        label, first = self._called(node.func, environment)
        if isinstance(first, Function):
            return self.inline(first, arguments, named)
        if (
            label in _TRANSPARENT
            and len(arguments) == 1
            and not named
            and arguments[0].label in ("collect", "each", "list")
        ):
            return arguments[0]
        keywords = [self.node(f"{name}=", [value]) for name, value in sorted(named.items())]
        found = self.node(label, [*([first] if first else []), *arguments, *keywords])
        found.loops, found.tests = len(self.frame.loops), len(self.frame.tests)
        return found

    def _called(self, function: ast.expr, environment: Environment) -> tuple[str, Value | None]:
        """What is called: a label, and the object or function itself, if there is one."""
        if isinstance(function, ast.Attribute):
            value = self.read(function, environment)
            if isinstance(value, Function):
                return "", value
            if self._is_module(function.value, environment):
                return function.attr, None
            if not is_self(function.value, environment):
                return function.attr, value.children[0] if value.children else None
            return "call", value
        value = self.read(function, environment)
        if isinstance(value, Function):
            return "", value
        if not value.children and value.label.startswith("name "):
            return value.label.removeprefix("name "), None
        return "call", value


def is_self(node: ast.expr, environment: Environment) -> bool:
    """Whether an expression is the object whose method is read."""
    if not isinstance(node, ast.Name):
        return False
    value = environment.get(node.id)
    return isinstance(value, Node) and value.label == SELF


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _items(node: ast.expr) -> Sequence[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _summands(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _summands(node.left)
        yield from _summands(node.right)
    else:
        yield node


def _renamed_axes(text: str) -> str:
    """An einsum pattern with its letters in the order in which they come; any other text as it is."""
    if "->" not in text or len(text) > 100:
        return text[:200]
    names: dict[str, str] = {}
    letters = [
        names.setdefault(letter, chr(97 + len(names))) if letter.isalpha() else letter for letter in text
    ]
    return "".join(letters)
