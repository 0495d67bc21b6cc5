"""Reads statements, one after the other, as the data flow that they make."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from grader.insight.data_flow import Node, Statement
from grader.insight.expressions import MOST_NODES, SELF, Environment, Expressions, Frame, Function, Value

_DEEPEST = 5
"""Helpers that call helpers, up to this depth."""
_MOST_CALLS = 300
"""Helpers that are read in one program."""
_GROWS = frozenset({"append", "add", "extend", "insert"})
_EMPTY = frozenset({"list", "set", "dict"})


@dataclass(frozen=True)
class Ends:
    """What a function leaves behind: values that its results depend on, and its variables at the end."""

    roots: list[Node]
    environment: Environment


class Reader(Expressions):
    """Reads the statements of functions. Values that nothing depends on are left out by whoever follows the roots."""

    def __init__(
        self, functions: Mapping[str, Function], own_classes: Collection[str], aliases: Mapping[str, str]
    ) -> None:
        super().__init__(functions, own_classes, aliases)
        self.part, self.cell = "", 0
        self.depth = self.calls = 0
        self.effects: list[Node] = []
        self.spans: dict[int, Statement] = {}
        self.current: Environment = {}

    def enter(self, part: str, cell: int, methods: Mapping[str, Function] | None = None) -> None:
        """Go on with a class or function of a part."""
        self.part, self.cell, self.methods = part, cell, methods or {}
        self.frame, self.effects, self.spans = Frame(), [], {}

    def call(self, function: Function) -> Ends:
        """Read a function that the homework calls."""
        self.effects = []
        environment = dict(function.environment)
        before = dict(environment)
        frame = self._frame(function, environment, (), {})
        self._body(function, frame, environment)
        stored = [
            value for key, value in environment.items()
            if key.startswith("self.") and value is not before.get(key) and isinstance(value, Node)
        ]  # fmt: skip
        return Ends([*frame.returned, *stored, *self.effects], environment)

    def inline(self, function: Function, arguments: Sequence[Node], named: Mapping[str, Node]) -> Node:
        """What a helper returns for arguments, as if its body stood where it is called."""
        if self.depth >= _DEEPEST or self.calls >= _MOST_CALLS:
            return self.node("call", arguments)
        self.calls += 1
        environment = dict(function.environment)
        attributes = {key: value for key, value in self.current.items() if key.startswith("self.")}
        environment |= attributes
        outside, statement, cell = self.frame, self.statement, self.cell
        self.depth, self.cell = self.depth + 1, function.cell
        frame = self._frame(function, environment, arguments, named)
        frame.tests, frame.loops = list(outside.tests), list(outside.loops)
        self._body(function, frame, environment)
        self.frame, self.statement, self.cell = outside, statement, cell
        self.depth -= 1
        self.current.update((key, value) for key, value in environment.items() if key.startswith("self."))
        if not frame.returned:
            return self.leaf("None")
        found = frame.returned[-1]
        for other in frame.returned[-2::-1]:
            found = self.node("choice", [other, found])
        return found

    def _frame(
        self,
        function: Function,
        environment: Environment,
        arguments: Sequence[Node],
        named: Mapping[str, Node],
    ) -> Frame:
        """The frame of a call, with the parameters in the environment."""
        spelled = function.node.args
        parameters = [*spelled.posonlyargs, *spelled.args]
        is_bound = function.is_method and bool(parameters) and not _is_static(function.node)
        frame = Frame()
        if is_bound:
            environment[parameters[0].arg] = self.leaf(SELF)
        names = [one.arg for one in parameters[is_bound:]]
        defaults = dict(zip(reversed(names), reversed(spelled.defaults), strict=False))
        defaults |= {
            one.arg: value
            for one, value in zip(spelled.kwonlyargs, spelled.kw_defaults, strict=True)
            if value
        }
        is_called = self.depth > 0
        for place, name in enumerate([*names, *(one.arg for one in spelled.kwonlyargs)]):
            if place < len(arguments) and place < len(names):
                environment[name] = arguments[place]
            elif name in named:
                environment[name] = named[name]
            elif is_called and name in defaults:
                environment[name] = self.value(defaults[name], environment)
            else:
                environment[name] = self.leaf(f"argument {place}")
        for extra in (spelled.vararg, spelled.kwarg):
            if extra is not None:
                environment[extra.arg] = self.node("tuple", arguments[len(names) :])
        frame.parameters = frozenset(names)
        return frame

    def _body(self, function: Function, frame: Frame, environment: Environment) -> None:
        outside, self.frame = self.frame, frame
        before, self.current = self.current, environment
        if isinstance(function.node, ast.Lambda):
            frame.returned.append(self.value(function.node.body, environment))
        else:
            self.run(function.node.body, environment)
        self.frame, self.current = outside, before

    # -- statements ----------------------------------------------------------------------------------------------

    def run(self, statements: Sequence[ast.stmt], environment: Environment) -> bool:
        """Read statements in order; says whether they end in a return, raise, break or continue."""
        for statement in statements:
            if self.made > MOST_NODES:
                return True
            self.current = environment
            self.statement = self._span(statement)
            reader = getattr(self, f"_run_{type(statement).__name__}", None)
            if reader is not None and reader(statement, environment):
                return True
        return False

    def _span(self, node: ast.stmt) -> Statement:
        key = id(node)
        if key not in self.spans:
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno
            self.spans[key] = Statement(
                self.part, self.cell, node.lineno, max(node.lineno, last or node.lineno)
            )
        return self.spans[key]

    def _run_Assign(self, node: ast.Assign, environment: Environment) -> None:
        value = self.read(node.value, environment)
        for target in node.targets:
            self._assign(target, value, environment)

    def _run_AnnAssign(self, node: ast.AnnAssign, environment: Environment) -> None:
        if node.value is not None:
            self._assign(node.target, self.read(node.value, environment), environment)

    def _assign(self, target: ast.expr, value: Value, environment: Environment) -> None:
        if isinstance(target, ast.Subscript):
            self._store(target, self._as_node(value) if isinstance(value, Function) else value, environment)
        else:
            self.bind(target, value, environment)

    def _store(self, target: ast.Subscript, value: Node, environment: Environment) -> None:
        """``base[key] = value``: a comprehension where a loop fills an empty dictionary, else a changed base."""
        base, key = self.value(target.value, environment), self.value(target.slice, environment)
        if base.label in _EMPTY and not base.children and self.frame.loops[base.loops :]:
            changed = self._collected(base, self.node("pair", [key, value]))
        else:
            changed = self.node("store", [base, key, value])
        if isinstance(target.value, ast.Name) and target.value.id not in self.frame.parameters:
            self.bind(target.value, changed, environment)
        else:
            self.effects.append(changed)
            self.bind(target.value, changed, environment)

    def _run_AugAssign(self, node: ast.AugAssign, environment: Environment) -> None:
        if isinstance(node.op, ast.Add) and isinstance(node.value, ast.List):
            old = self.value(node.target, environment)
            if old.label in ("list", "collect", "append"):
                for one in node.value.elts:
                    old = self._grown(old, self.value(one, environment))
                self.bind(node.target, old, environment)
                return
        old, value = self.value(node.target, environment), self.value(node.value, environment)
        if isinstance(node.op, ast.Add) and old.label == "0" and self.frame.loops:
            changed = self.node("sum", [self.node("collect", [value, self.frame.loops[-1]])])
        else:
            changed = self.operation(node.op, old, value)
        self._assign(node.target, changed, environment)

    def _run_Expr(self, node: ast.Expr, environment: Environment) -> None:
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Yield | ast.YieldFrom):
            if call.value is not None:
                self.frame.returned.append(
                    self._collected(self.leaf("None"), self.value(call.value, environment))
                )
            return
        if not isinstance(call, ast.Call):
            return
        function = call.func
        if isinstance(function, ast.Name) and function.id in ("print", "display"):
            return
        if isinstance(function, ast.Attribute):
            if function.attr == "__init__":
                return
            if function.attr in _GROWS and call.args and not self._is_module(function.value, environment):
                old = self.value(function.value, environment)
                self.bind(
                    function.value, self._grown(old, self.value(call.args[-1], environment)), environment
                )
                return
            if function.attr.endswith("_") and not self._is_module(function.value, environment):
                self.bind(function.value, self.value(call, environment), environment)
                return
        found = self.value(call, environment)
        if found.children:
            self.effects.append(found)

    def _grown(self, old: Node, value: Node) -> Node:
        """A list with one more element. In a loop, a list that was empty before it is a comprehension."""
        is_looped = len(self.frame.loops) > old.loops
        if old.label in _EMPTY and not old.children:
            return self._collected(old, value) if is_looped else self._copied(old, [value])
        if old.label == "list" and not is_looped:
            return self._copied(old, [*old.children, value])
        if not old.children and old.statement is not None and old.label.endswith("List"):
            inner = self._collected(old, value) if is_looped else self.node("list", [value])
            return self.node(old.label, [inner])
        return self.node("append", [old, value])

    def _copied(self, old: Node, children: Sequence[Node]) -> Node:
        found = self.node(old.label, children)
        found.loops, found.tests = old.loops, old.tests
        return found

    def _collected(self, empty: Node, value: Node) -> Node:
        return self.node(
            "collect", [value, *self.frame.tests[empty.tests :], *self.frame.loops[empty.loops :]]
        )

    def _run_Return(self, node: ast.Return, environment: Environment) -> bool:
        if node.value is not None:
            self.frame.returned.append(self.value(node.value, environment))
        return True

    def _stops(self, node: ast.stmt, environment: Environment) -> bool:
        return True

    _run_Raise = _run_Break = _run_Continue = _stops

    def _run_If(self, node: ast.If, environment: Environment) -> bool:
        if isinstance(node.test, ast.Constant):
            return self.run(node.body if node.test.value else node.orelse, environment)
        test, span = self.value(node.test, environment), self.statement
        then, otherwise = self._copy(environment), self._copy(environment)
        self.frame.tests.append(test)
        stops = self.run(node.body, then)
        self.frame.tests[-1] = self.node("not", [test])
        stops_otherwise = self.run(node.orelse, otherwise)
        self.frame.tests.pop()
        self.statement = span
        if stops and stops_otherwise:
            return bool(node.orelse)
        for name in {**then, **otherwise}:
            one, other = then.get(name), otherwise.get(name)
            if stops or one is None:
                one = other
            if stops_otherwise or other is None:
                other = one
            if one is other or not isinstance(one, Node) or not isinstance(other, Node):
                chosen = one
            else:
                chosen = self.choice(test, one, other)
            if chosen is not None:
                environment[name] = chosen
        return False

    def _copy(self, environment: Environment) -> Environment:
        """A copy for a branch, which counts as work: thousands of branches with thousands of variables are no answer."""
        self.made += len(environment) // 20
        return dict(environment)

    def _run_For(self, node: ast.For | ast.AsyncFor, environment: Environment) -> None:
        loop = self.value(node.iter, environment)
        self.bind(node.target, self.node("each", [loop]), environment)
        self._loop(loop, node.body, environment)
        self.run(node.orelse, environment)

    _run_AsyncFor = _run_For

    def _run_While(self, node: ast.While, environment: Environment) -> None:
        if not isinstance(node.test, ast.Constant) or node.test.value:
            self._loop(self.node("while", [self.value(node.test, environment)]), node.body, environment)

    def _loop(self, loop: Node, body: Sequence[ast.stmt], environment: Environment) -> None:
        before, span = self._copy(environment), self.statement
        self.frame.loops.append(loop)
        self.run(body, environment)
        self.frame.loops.pop()
        self.statement = span
        for name, value in list(environment.items()):
            old = before.get(name)
            if (
                isinstance(old, Node)
                and isinstance(value, Node)
                and value is not old
                and not _is_gathered(value)
            ):
                environment[name] = self.node("loop", [value, loop])

    def _run_With(self, node: ast.With | ast.AsyncWith, environment: Environment) -> bool:
        for item in node.items:
            value = self.value(item.context_expr, environment)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, value, environment)
            self.effects.append(self.node("with", [value]))
        return self.run(node.body, environment)

    _run_AsyncWith = _run_With

    def _run_Try(self, node: ast.Try, environment: Environment) -> bool:
        stops = self.run([*node.body, *node.orelse], environment)
        for handler in node.handlers:
            self.run(handler.body, environment)
        return self.run(node.finalbody, environment) or (stops and not node.handlers)

    def _run_Match(self, node: ast.Match, environment: Environment) -> None:
        test = self.value(node.subject, environment)
        for case in node.cases:
            self.frame.tests.append(test)
            self.run(case.body, environment)
            self.frame.tests.pop()

    def _run_FunctionDef(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, environment: Environment
    ) -> None:
        environment[node.name] = Function(node, environment, self.cell)

    _run_AsyncFunctionDef = _run_FunctionDef


def _is_gathered(node: Node) -> bool:
    """Whether a value says itself that a loop made it."""
    return node.label in ("collect", "sum") or (bool(node.children) and node.children[0].label == "collect")


def _is_static(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> bool:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in decorators)
