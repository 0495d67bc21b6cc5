"""The operators of mutation. Each takes one expression or one statement and yields what could replace it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

_ARITHMETIC: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Div),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Mult, ast.Div),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
}
_IN_PLACE: dict[type[ast.operator], str] = {ast.Add: "add_", ast.Sub: "sub_", ast.Mult: "mul_", ast.Div: "div_"}
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
    ast.NotEq: (ast.Eq, ast.Lt, ast.Gt),
    ast.Lt: (ast.LtE, ast.Gt, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "tril": ("triu",),
    "triu": ("tril",),
    "mean": ("sum", "max"),
    "sum": ("mean",),
    "ones": ("zeros",),
    "zeros": ("ones",),
    "arange": ("zeros", "ones"),
    "softmax": ("log_softmax", "softmin"),
    "cat": ("stack",),
    "stack": ("cat",),
    "masked_fill": ("masked_fill_",),
    "transpose": ("transpose_",),
    "ModuleList": ("Sequential",),
    "int64": ("int32", "float32"),
    "sqrt": ("exp", "log"),
    "inf": ("nan", "pi"),
    "argmax": ("argmin",),
    "sorted": ("list",),
    "min": ("max",),
    "max": ("min",),
}
_GUARDS: dict[str, str] = {
    "only in training": "if self.training: pass",
    "only in evaluation": "if not self.training: pass",
    "without gradient": "with torch.no_grad(): pass",
}


@dataclass
class Scope:
    """The names that a function of the class can use."""

    parameters: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    """The parameters that are annotated as whole numbers."""
    variables: tuple[str, ...] = ()
    made_in: dict[str, int] = field(default_factory=dict)
    """The line in which a variable first gets a value."""
    read_once: frozenset[str] = field(default_factory=frozenset)
    attributes: tuple[str, ...] = ()
    """Of ``self``, in the whole class."""
    constructs: bool = False
    """Whether it is the constructor."""
    iterated: frozenset[str] = field(default_factory=frozenset)
    """Targets of loops and comprehensions."""


def _arithmetic(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp):
        for other in _ARITHMETIC.get(type(node.op), ()):
            yield ast.BinOp(node.left, other(), node.right)


def _term_dropped(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp):
        yield node.left
        yield node.right
    if isinstance(node, ast.UnaryOp):
        yield node.operand
    if isinstance(node, ast.BoolOp):
        yield from node.values


def _operands_swapped(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Add | ast.Mult):
        yield ast.BinOp(node.right, node.op, node.left)


def _in_place(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and (name := _IN_PLACE.get(type(node.op))) and not scope.constructs:
        yield ast.Call(ast.Attribute(node.left, name, ast.Load()), [node.right], [])


def _comparison(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in _COMPARISONS.get(type(operator), ()):
                yield ast.Compare(node.left, [*node.ops[:place], other(), *node.ops[place + 1 :]], node.comparators)


def _constant(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    value = node.value if isinstance(node, ast.Constant) else None
    negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
    if negative and isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        value = -node.operand.value if isinstance(node.operand.value, int | float) else None
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        for other in sorted({value + 1, value - 1, 0, 1, 2, -1, -2, -value} - {value}):
            yield _number(other)
    elif isinstance(value, float):
        for number in (0.0, 1.0, value * 2, value / 2, -value):
            yield _number(number)
    elif isinstance(value, str):
        yield ast.Constant("")
        yield ast.Constant(value + value if value.isspace() else value + " ")
    elif isinstance(node, ast.Constant) and value is None:
        yield ast.Constant(False)
        yield ast.Constant(0)


def _number(value: float) -> ast.expr:
    return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if value < 0 else ast.Constant(value)


def _infinity(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.Attribute) and node.attr == "inf":
        for number in (0.0, 1.0, 10.0, 100.0, 1e4, 1e6, 1e9, 1e30):
            yield ast.Constant(number)


def _call_dropped(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and not isinstance(node.func.value, ast.Name):
            yield node.func.value
        yield from (argument for argument in node.args if not isinstance(argument, ast.Starred))


def _calls_exchanged(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    """``x.f().g()`` as ``x.g().f()``, and ``f(g(x))`` as ``g(f(x))``; further arguments stay with their call."""
    if not isinstance(node, ast.Call):
        return
    if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call):
        inner = node.func.value
        values = (*scope.parameters, *scope.variables)
        if isinstance(inner.func, ast.Attribute) and _begins_with(inner.func.value, values):
            first = ast.Call(ast.Attribute(inner.func.value, node.func.attr, ast.Load()), node.args, node.keywords)
            yield ast.Call(ast.Attribute(first, inner.func.attr, ast.Load()), inner.args, inner.keywords)
    if node.args and isinstance(node.args[0], ast.Call) and node.args[0].args:
        inner = node.args[0]
        if not any(isinstance(argument, ast.Starred) for argument in (*node.args, *inner.args)):
            first = ast.Call(node.func, [inner.args[0], *node.args[1:]], node.keywords)
            yield ast.Call(inner.func, [first, *inner.args[1:]], inner.keywords)


def _begins_with(node: ast.expr, values: Sequence[str]) -> bool:
    """Whether an expression is a variable or something of one, and no name in a module such as ``torch``."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return isinstance(node, ast.Name) and node.id in values


def _arguments(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if not isinstance(node, ast.Call):
        return
    for place in range(len(node.args)):
        yield ast.Call(node.func, node.args[:place] + node.args[place + 1 :], node.keywords)
    for place in range(len(node.keywords)):
        yield ast.Call(node.func, node.args, node.keywords[:place] + node.keywords[place + 1 :])
    for first in range(len(node.args)):
        for second in range(first + 1, len(node.args)):
            yield ast.Call(node.func, _swapped(node.args, first, second), node.keywords)
    values = [keyword.value for keyword in node.keywords]
    for first in range(len(values)):
        for second in range(first + 1, len(values)):
            swapped = _swapped(values, first, second)
            keywords = [ast.keyword(old.arg, new) for old, new in zip(node.keywords, swapped, strict=True)]
            yield ast.Call(node.func, node.args, keywords)


def _swapped(values: Sequence[ast.expr], first: int, second: int) -> list[ast.expr]:
    changed = list(values)
    changed[first], changed[second] = changed[second], changed[first]
    return changed


def _bias(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        named = node.func.attr
        if named.startswith(("Linear", "Conv")) and all(keyword.arg != "bias" for keyword in node.keywords):
            yield ast.Call(node.func, node.args, [*node.keywords, ast.keyword("bias", ast.Constant(False))])


def _another_name(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.Attribute):
        for other in _OTHER_NAMES.get(node.attr, ()):
            yield ast.Attribute(node.value, other, node.ctx)
        if node.attr == "ModuleList":
            yield ast.Name("list", ast.Load())
        if node.attr == "get":
            yield ast.Attribute(node.value, "__getitem__", node.ctx)
    if isinstance(node, ast.Name):
        for other in _OTHER_NAMES.get(node.id, ()):
            yield ast.Name(other, node.ctx)


def _another_variable(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        for family in (scope.numbers, (*scope.parameters, *scope.variables)):
            if node.id in family:
                for other in family:
                    exists = scope.made_in.get(other, 0) < node.lineno or other in scope.parameters
                    alike = (other in scope.numbers) == (node.id in scope.numbers)
                    if other != node.id and exists and alike:
                        yield ast.Name(other, ast.Load())


def _another_attribute(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        for other in scope.attributes:
            if other != node.attr and node.attr in scope.attributes:
                yield ast.Attribute(node.value, other, node.ctx)


def _off_by_one(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        small = len(node.id) == 1 and node.id.isupper()
        if node.id in scope.numbers or (small and node.id in scope.variables):
            yield ast.BinOp(node, ast.Add(), ast.Constant(1))
            yield ast.BinOp(node, ast.Sub(), ast.Constant(1))
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "range" and len(node.args) == 1:
        yield ast.Call(node.func, [ast.Constant(1), *node.args], [])


def _slice(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.Slice):
        one, last = ast.Constant(1), _number(-1)
        if node.lower is not None:
            yield ast.Slice(None, node.upper, node.step)
        if node.upper is not None:
            yield ast.Slice(node.lower, None, node.step)
        if node.lower is None:
            yield ast.Slice(one, node.upper, node.step)
        if node.upper is None:
            yield ast.Slice(node.lower, last, node.step)
        if node.lower is not None and node.upper is None:
            yield ast.Slice(None, last, node.step)
        if node.upper is not None and node.lower is None:
            yield ast.Slice(one, None, node.step)
        if node.step is None:
            yield ast.Slice(node.lower, node.upper, ast.Constant(2))
    if isinstance(node, ast.Subscript):
        yield node.value


def _tuple(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.Tuple | ast.List):
        made = type(node)
        for first in range(len(node.elts)):
            for second in range(first + 1, len(node.elts)):
                yield made(_swapped(node.elts, first, second), node.ctx)
        if isinstance(node.ctx, ast.Load):
            for place, kept in enumerate(node.elts):
                yield made(node.elts[:place] + node.elts[place + 1 :], node.ctx)
                for other in node.elts:
                    if other is not kept:
                        yield made([*node.elts[:place], other, *node.elts[place + 1 :]], node.ctx)
            if len(node.elts) == 2:
                yield from node.elts


def _branch(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
        yield ast.IfExp(node.test, node.orelse, node.body)
    if isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)


def _iterated(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    if isinstance(node, ast.GeneratorExp | ast.ListComp) and len(node.generators) == 1:
        over = node.generators[0]
        for changed in _other_iterables(over.iter):
            generator = ast.comprehension(over.target, changed, over.ifs, over.is_async)
            yield type(node)(node.elt, [generator])
        if isinstance(over.target, ast.Name) and over.target.id == "_":
            count = ast.parse(f"len(list({ast.unparse(over.iter)}))", mode="eval").body
            yield ast.BinOp(ast.List([node.elt], ast.Load()), ast.Mult(), count)


def _other_iterables(iterable: ast.expr) -> Iterator[ast.expr]:
    for pattern in ("list({})[::-1]", "list({})[1:]", "list({})[:-1]", "list({})[:1]", "list({}) * 2", "list({})[:3]"):
        yield ast.parse(pattern.format(ast.unparse(iterable)), mode="eval").body


EXPRESSIONS: dict[str, Callable[[ast.expr, Scope], Iterator[ast.expr]]] = {
    "arithmetic": _arithmetic,
    "term dropped": _term_dropped,
    "operands swapped": _operands_swapped,
    "in place": _in_place,
    "comparison": _comparison,
    "constant": _constant,
    "infinity": _infinity,
    "call dropped": _call_dropped,
    "order of calls": _calls_exchanged,
    "arguments": _arguments,
    "no bias": _bias,
    "another name": _another_name,
    "another variable": _another_variable,
    "another attribute": _another_attribute,
    "off by one": _off_by_one,
    "slice": _slice,
    "tuple": _tuple,
    "branch": _branch,
    "iteration": _iterated,
}


def _statement_dropped(node: ast.stmt, scope: Scope) -> Iterator[list[ast.stmt]]:
    yield []
    if isinstance(node, ast.Return) and node.value is not None:
        yield [ast.Return(ast.Constant(None))]


def _statement_twice(node: ast.stmt, scope: Scope) -> Iterator[list[ast.stmt]]:
    if not isinstance(node, ast.Return):
        yield [node, node]


def _condition(node: ast.stmt, scope: Scope) -> Iterator[list[ast.stmt]]:
    if isinstance(node, ast.If):
        yield [ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)]
        yield node.body
        yield node.orelse


def _loop(node: ast.stmt, scope: Scope) -> Iterator[list[ast.stmt]]:
    if isinstance(node, ast.For):
        for changed in _other_iterables(node.iter):
            yield [ast.For(node.target, changed, node.body, node.orelse)]
        yield [ast.For(node.target, node.iter, [*node.body, ast.Break()], node.orelse)]


def _guarded(node: ast.stmt, scope: Scope) -> Iterator[list[ast.stmt]]:
    if scope.constructs or isinstance(node, ast.Return):
        return
    for pattern in _GUARDS.values():
        guard = ast.parse(pattern).body[0]
        assert isinstance(guard, ast.If | ast.With)
        guard.body = [node]
        yield [guard]


STATEMENTS: dict[str, Callable[[ast.stmt, Scope], Iterator[list[ast.stmt]]]] = {
    "statement dropped": _statement_dropped,
    "statement twice": _statement_twice,
    "condition": _condition,
    "loop": _loop,
    "guard": _guarded,
}
