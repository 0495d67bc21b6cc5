"""Makes wrong answers out of a right one: small changes of a class's syntax tree within given lines.

An operator looks at one expression or one statement and yields what could stand in its place. `mutations` applies every
operator everywhere, keeps what compiles, and drops what another change has made already. Nothing here knows the homework.
"""

from __future__ import annotations

import ast
import copy
import difflib
import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

Path = tuple[tuple[str, int | None], ...]
"""The way from the class to a node: names of fields, with the place where the field is a list."""

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
_WRAPS: dict[str, str] = {
    "detached": "({}).detach()",
    "negated": "-({})",
    "doubled": "({}) * 2",
    "zeroed": "({}) * 0",
    "rectified": "({}).relu()",
    "reversed": "({}).flip(1)",
    "shifted": "({}).roll(1, 1)",
    "shared in the batch": "({0}) + 0.1 * ({0}).mean(0, keepdim=True)",
    "dropped at random": "torch.nn.functional.dropout({}, 0.1)",
    "rounded": "({}).round()",
}
_GUARDS: dict[str, str] = {
    "only in training": "if self.training: pass",
    "only in evaluation": "if not self.training: pass",
    "without gradient": "with torch.no_grad(): pass",
}


@dataclass(frozen=True)
class Mutation:
    """A changed class. Its `id` hangs on what the changed code says, so it outlives other operators and comments."""

    id: str
    operator: str
    line: int
    """The line of the change within the class, from 1."""
    before: str
    after: str
    """The code that stood there and the code that stands there now; empty for nothing."""
    change: str
    """The lines that differ, before and after, in one line."""
    source: str


def mutations(source: str, regions: Sequence[range]) -> list[Mutation]:
    """All mutations of a class's source within lines (from 1) that ``regions`` hold, in the order of the source."""
    tree = ast.parse(source)
    original = ast.unparse(tree)
    seen = {_fingerprint(tree)}
    found = []
    for path, node, scope in _nodes(tree, regions):
        for operator, replacement, width in [
            *((name, new, 1) for name, new in _replacements(node, path, tree, scope)),
            *((name, new, 2) for name, new in _exchanged(node, path, tree, regions)),
        ]:
            changed = _put(tree, path, replacement, width)
            text = _compiled(changed)
            if text is None or (mark := _fingerprint(changed)) in seen:
                continue
            seen.add(mark)
            after = "\n".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(part))) for part in replacement)
            change = _difference(original, text)
            found.append(Mutation(mark, operator, getattr(node, "lineno", 1), ast.unparse(node), after, change, text))
    return found


def _difference(before: str, after: str) -> str:
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    old, new = (" / ".join(line[2:].strip() for line in lines if line[0] == mark) for mark in "-+")
    return f"{old or '(nothing)'} -> {new or '(nothing)'}"


def _compiled(tree: ast.Module) -> str | None:
    try:
        text = ast.unparse(ast.fix_missing_locations(tree))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "mutant", "exec")
    except (SyntaxError, ValueError):
        return None
    return text


def _fingerprint(tree: ast.Module) -> str:
    """The id of code: a digest of its syntax, without docstrings, which every Python writes alike."""
    return "m" + hashlib.sha256(repr(_syntax(tree)).encode()).hexdigest()[:8]


def _syntax(node: object) -> object:
    if isinstance(node, list):
        return [_syntax(child) for child in node if not isinstance(child, ast.Pass)]
    if not isinstance(node, ast.AST):
        return node
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
        fields["body"] = node.body[1:]
    told = [(name, _syntax(value)) for name, value in fields.items()]
    return type(node).__name__, [(name, value) for name, value in told if value not in (None, [])]


# Where to look.


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


def _scope(function: ast.FunctionDef, attributes: tuple[str, ...]) -> Scope:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    parameters = tuple(a.arg for a in arguments if a.arg != "self")
    numbers = tuple(a.arg for a in arguments if isinstance(a.annotation, ast.Name) and a.annotation.id == "int")
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    reads = Counter(node.id for node in names if isinstance(node.ctx, ast.Load))
    made: dict[str, int] = {}
    for node in names:
        if isinstance(node.ctx, ast.Store):
            made[node.id] = min(node.lineno, made.get(node.id, node.lineno))
    loops = [node for node in ast.walk(function) if isinstance(node, ast.comprehension | ast.For)]
    iterated = frozenset(
        node.id for loop in loops for node in ast.walk(loop.target) if isinstance(node, ast.Name)
    )
    variables = tuple(name for name in made if name not in iterated and name not in parameters)
    once = frozenset(name for name in variables if reads[name] == 1)
    return Scope(parameters, numbers, variables, made, once, attributes, function.name == "__init__", iterated)


def _attributes(tree: ast.Module) -> tuple[str, ...]:
    found = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    ]
    return tuple(dict.fromkeys(found))


def _nodes(tree: ast.Module, regions: Sequence[range]) -> Iterator[tuple[Path, ast.AST, Scope]]:
    attributes = _attributes(tree)

    def walk(node: ast.AST, path: Path, scope: Scope) -> Iterator[tuple[Path, ast.AST, Scope]]:
        if isinstance(node, ast.FunctionDef):
            scope = _scope(node, attributes)
        line = getattr(node, "lineno", None)
        inside = line is not None and any(line in lines for lines in regions)
        if inside and isinstance(node, ast.expr | ast.stmt):
            yield path, node, scope
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "args") and not isinstance(node, ast.Call):
                continue  # types change nothing, and signatures are given
            if isinstance(value, ast.AST):
                yield from walk(value, (*path, (name, None)), scope)
            elif isinstance(value, list):
                for place, child in enumerate(value):
                    if isinstance(child, ast.AST):
                        yield from walk(child, (*path, (name, place)), scope)

    yield from walk(tree, (), Scope())


def _at(tree: ast.AST, path: Path) -> ast.AST:
    node = tree
    for name, place in path:
        value = getattr(node, name)
        node = value if place is None else value[place]
    return node


def _put(tree: ast.Module, path: Path, replacement: Sequence[ast.AST], width: int = 1) -> ast.Module:
    """A copy in which ``replacement`` stands at ``path``: one expression, or statements in place of ``width``."""
    changed = copy.deepcopy(tree)
    parent, (name, place) = _at(changed, path[:-1]), path[-1]
    new = [copy.deepcopy(part) for part in replacement]
    if place is None:
        setattr(parent, name, new[0])
    else:
        body = getattr(parent, name)
        body[place : place + width] = new
        if name == "body" and not body:
            body.append(ast.Pass())
    return changed


def _replacements(
    node: ast.AST, path: Path, tree: ast.Module, scope: Scope
) -> Iterator[tuple[str, list[ast.AST]]]:
    if isinstance(node, ast.stmt):
        for name, statements in STATEMENTS.items():
            for changed in statements(node, scope):
                yield name, list(changed)
        return
    assert isinstance(node, ast.expr)
    if isinstance(getattr(node, "ctx", None), ast.Store) and not isinstance(node, ast.Tuple):
        return
    parent = _at(tree, path[:-1])
    if isinstance(parent, ast.Call) and path[-1][0] == "func":
        operators: Collection[str] = ("another name", "another attribute")
    else:
        operators = EXPRESSIONS
    for name in operators:
        for expression in EXPRESSIONS[name](node, scope):
            yield name, [expression]
    if _is_value(node, parent, path, scope):
        for name, pattern in _WRAPS.items():
            yield name, [ast.parse(pattern.format(ast.unparse(node)), mode="eval").body]


def _exchanged(
    node: ast.AST, path: Path, tree: ast.Module, regions: Sequence[range]
) -> Iterator[tuple[str, list[ast.AST]]]:
    """The statement and the one after it, the other way round."""
    if not isinstance(node, ast.stmt) or isinstance(node, ast.Return):
        return
    name, place = path[-1]
    body = getattr(_at(tree, path[:-1]), name)
    if place is not None and place + 1 < len(body):
        following = body[place + 1]
        if any(following.lineno in lines for lines in regions):
            yield "order of statements", [following, node]


def _is_value(node: ast.expr, parent: ast.AST, path: Path, scope: Scope) -> bool:
    """Whether a node may be a tensor: assigned, returned or given to a call, and no size, text or constant."""
    if scope.constructs or not isinstance(node, ast.Name | ast.BinOp | ast.Call | ast.Subscript | ast.Attribute):
        return False
    if isinstance(node, ast.Name) and node.id in scope.read_once:
        return False  # as good as changing what is assigned to it
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    if names <= {"math", "torch", "nn", "F", *scope.numbers} or names & {"zip", "range", "len"}:
        return False
    if isinstance(parent, ast.Call):
        return path[-1][0] == "args" and not isinstance(parent.func, ast.Attribute)
    return isinstance(parent, ast.Assign | ast.AnnAssign | ast.Return | ast.Tuple | ast.BinOp)


# Operators on an expression.


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


# Operators on a statement.


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
