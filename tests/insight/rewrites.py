"""Ten ways to disguise a copy. Each takes the source of a class and gives one that does the same."""

from __future__ import annotations

import ast
import builtins
import copy
import io
import keyword
import random
import re
import tokenize
from collections.abc import Callable, Iterator

Rewrite = Callable[[str, random.Random], str]

_NEW = ("alpha_", "tmp", "val", "res", "buf", "cur", "item", "data", "vec", "mat", "acc", "zz", "foo", "arr", "it", "obj", "node", "part")
_REMARKS = ("TODO check this", "compute it", "see the lecture", "shape stays the same", "this works now", "from the slides", "important!")
Function = ast.FunctionDef


def rename(source: str, rng: random.Random) -> str:
    """Other names for variables, own attributes and helpers."""
    tree = ast.parse(source)
    taken = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | set(dir(builtins)) | set(keyword.kwlist)
    new: dict[str, str] = {}

    def name_for(old: str) -> str:
        if old not in new:
            base = rng.choice(_NEW)
            new[old] = next(name for name in (f"{base}{n or ''}" for n in range(999)) if name not in taken)
            taken.add(new[old])
        return new[old]

    attributes = _own_attributes(tree)
    helpers = {node.name for node in tree.body if isinstance(node, Function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in attributes:
            node.attr = name_for("." + node.attr)
        elif isinstance(node, Function) and node.name in helpers:
            node.name = name_for(node.name)
    top = {node.targets[0].id for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)}
    for function in (node for node in ast.walk(tree) if isinstance(node, Function)):
        given = {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
        bound = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and node.id in bound - given - top - set(new.values()) and not node.id.startswith("__"):
                node.id = name_for(node.id)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in helpers:
            node.id = name_for(node.id)
    return ast.unparse(tree)


def _own_attributes(tree: ast.AST) -> set[str]:
    """Attributes that the class itself makes, save what the homework names and what outsiders could ask for."""
    fixed = {"W_K", "W_Q", "W_V", "n_hidden", "num_patches", "img_size", "vocab", "tok_to_id", "vocab_size", "start", "pad", "unk"}
    fixed |= {"max_N", "transformer", "head", "criterion", "training", "weight", "bias", "mask", "shape"}
    stored = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    found = {node.attr for node in stored if isinstance(node.value, ast.Name) and node.value.id == "self"} - fixed
    elsewhere = {
        node.attr for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }  # fmt: skip
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return found - elsewhere - texts


def reorder(source: str, rng: random.Random) -> str:
    """Independent statements and methods in another order."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, Function | ast.For | ast.If):
            node.body = _shuffled(node.body, rng)
        elif isinstance(node, ast.ClassDef):
            methods = [item for item in node.body if isinstance(item, Function)]
            others = [item for item in node.body if not isinstance(item, Function)]
            rng.shuffle(methods)
            node.body = [*others, *methods]
    return ast.unparse(tree)


def _shuffled(body: list[ast.stmt], rng: random.Random) -> list[ast.stmt]:
    left, placed = list(body), []
    while left:
        free = [one for n, one in enumerate(left) if not any(_depends(one, earlier) for earlier in left[:n])]
        placed.append(left.pop(left.index(rng.choice(free))))
    return placed


def _depends(later: ast.stmt, earlier: ast.stmt) -> bool:
    """Whether a statement must stay behind another."""
    if any(isinstance(one, ast.Return | ast.Raise | ast.Assert | ast.If | ast.FunctionDef) for one in (later, earlier)):
        return True
    if isinstance(earlier, ast.Expr) and ("super" in ast.unparse(earlier) or isinstance(earlier.value, ast.Constant)):
        return True
    reads, writes = _touched(later)
    reads_before, writes_before = _touched(earlier)
    makes_weights = "nn." in ast.unparse(later) and "nn." in ast.unparse(earlier)
    return bool(writes_before & (reads | writes) or writes & reads_before) or makes_weights


def _touched(node: ast.stmt) -> tuple[set[str], set[str]]:
    reads, writes = set(), set()
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            (writes if isinstance(one.ctx, ast.Store) else reads).add(one.id)
        elif isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id == "self":
            (writes if isinstance(one.ctx, ast.Store) else reads).add(f"self.{one.attr}")
        elif isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute):
            if one.func.attr in ("append", "extend", "insert", "copy_") or one.func.attr.endswith("_"):
                writes.add(ast.unparse(one.func.value))
        if isinstance(one, ast.Subscript | ast.Attribute) and isinstance(one.ctx, ast.Store):
            writes.add(ast.unparse(one.value))
    for one in ast.walk(node):
        if isinstance(one, ast.AugAssign):
            reads.add(ast.unparse(one.target))
    return reads, writes


def comments(source: str, rng: random.Random) -> str:
    """Other comments."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    lines = source.splitlines()
    for token in tokens[::-1]:
        if token.type == tokenize.COMMENT:
            line, column = token.start
            lines[line - 1] = lines[line - 1][:column].rstrip()
    ends = {token.start[0] for token in tokens if token.type == tokenize.NEWLINE}
    starts = _statement_lines(source)
    found = []
    for number, line in enumerate(lines, start=1):
        if number in starts and rng.random() < 0.4:
            found.append(" " * (len(line) - len(line.lstrip())) + "# " + rng.choice(_REMARKS))
        found.append(line + ("  # " + rng.choice(_REMARKS) if number in ends and line.strip() and rng.random() < 0.4 else ""))
    return "\n".join(found)


def _statement_lines(source: str) -> set[int]:
    return {node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)}


def layout(source: str, rng: random.Random) -> str:
    """Two spaces of indentation, broken lines, other blank lines, semicolons and quotes."""
    lines = ast.unparse(ast.parse(source)).splitlines()
    found: list[str] = []
    for line in lines:
        depth = len(line) - len(line.lstrip())
        text = " " * (depth // 2) + line.lstrip()
        opens = text.find("(")
        is_plain = '"""' not in text and "'" not in text
        if is_plain and opens > 0 and text.count("(") == text.count(")") and not text.strip().startswith(("def", "class", "for", "if", "elif", "with")):
            text = text[: opens + 1] + "\n" + " " * 12 + text[opens + 1 :]
        if is_plain and rng.random() < 0.3:
            text = text.replace(", ", " , ").replace(" = ", "=")
        found.append(text)
        if rng.random() < 0.15 and '"""' not in text and not _inside_text(found):
            found.append("")
    return "\n".join(found)


def _inside_text(lines: list[str]) -> bool:
    return "\n".join(lines).count('"""') % 2 == 1


def loops(source: str, rng: random.Random) -> str:
    """Loops that append as comprehensions, and comprehensions as loops."""
    tree = ast.parse(source)
    for node in [*ast.walk(tree)]:
        if isinstance(node, Function):
            node.body = list(_looped(node.body, rng))
    return ast.unparse(ast.fix_missing_locations(tree))


def _looped(body: list[ast.stmt], rng: random.Random) -> Iterator[ast.stmt]:
    place = 0
    while place < len(body):
        made = _as_comprehension(body, place)
        if made is not None:
            yield made[0]
            place = made[1]
            continue
        statement = body[place]
        place += 1
        value = getattr(statement, "value", None)
        compound = next(
            (node for node in ast.walk(value) if isinstance(node, ast.ListComp) and len(node.generators) == 1), None
        ) if value is not None and isinstance(statement, ast.Assign | ast.Return) else None  # fmt: skip
        nested = compound is not None and any(isinstance(node, ast.Lambda | ast.ListComp | ast.GeneratorExp) and node is not compound for node in ast.walk(value))
        if compound is None or nested:
            yield statement
            continue
        name = f"gathered_{rng.randrange(1000)}"
        generator = compound.generators[0]
        append = ast.parse(f"{name}.append(0)").body[0]
        append.value.args = [compound.elt]
        inner: list[ast.stmt] = [append]
        for test in generator.ifs[::-1]:
            inner = [ast.If(test, inner, [])]
        yield ast.parse(f"{name} = []").body[0]
        yield ast.For(generator.target, generator.iter, inner, [])
        yield _Replace(compound, ast.Name(name, ast.Load())).visit(statement)


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def _as_comprehension(body: list[ast.stmt], place: int) -> tuple[ast.stmt, int] | None:
    """``name = []`` and the loop after it that only appends to it."""
    if place + 1 >= len(body):
        return None
    first, loop = body[place], body[place + 1]
    if not (isinstance(first, ast.Assign) and isinstance(first.targets[0], ast.Name) and isinstance(first.value, ast.List | ast.Call)):
        return None
    text = ast.unparse(first.value)
    if text not in ("[]", "list()") or not isinstance(loop, ast.For) or len(loop.body) != 1 or loop.orelse:
        return None
    inner, tests = loop.body[0], []
    if isinstance(inner, ast.If) and len(inner.body) == 1 and not inner.orelse:
        tests, inner = [inner.test], inner.body[0]
    if not (isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Call)) or ast.unparse(inner.value.func) != f"{first.targets[0].id}.append":
        return None
    made = ast.ListComp(inner.value.args[0], [ast.comprehension(loop.target, loop.iter, tests, 0)])
    return ast.Assign(first.targets, made), place + 2


def helper(source: str, rng: random.Random) -> str:
    """Some statements of a method in a function of their own."""
    tree = ast.parse(source)
    for node in [item for item in tree.body if isinstance(item, ast.ClassDef)]:
        for method in [item for item in node.body if isinstance(item, Function) and item.name != "__init__"]:
            made = _extracted(method, rng)
            if made is not None:
                tree.body.insert(tree.body.index(node), made)
    return ast.unparse(ast.fix_missing_locations(tree))


def _extracted(method: Function, rng: random.Random) -> Function | None:
    body = method.body
    runs = [
        (start, stop) for start in range(len(body)) for stop in range(start + 1, len(body) + 1)
        if all(isinstance(one, ast.Assign | ast.AugAssign | ast.For | ast.If) for one in body[start:stop])
        and not any(isinstance(node, ast.Return | ast.FunctionDef | ast.Lambda) for one in body[start:stop] for node in ast.walk(one))
        and not any(isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) for one in body[start:stop] for node in ast.walk(one))
    ]  # fmt: skip
    rng.shuffle(runs)
    for start, stop in runs:
        moved, rest = body[start:stop], body[stop:]
        written = _names(moved, ast.Store)
        results = sorted(written & _names(rest, ast.Load))
        before = _names(body[:start], ast.Store) | {one.arg for one in method.args.args}
        needed = sorted(before & _names(moved, ast.Load) | (before & set(results)))
        if not results or len(results) > 3:
            continue
        name = f"helper_{method.name.strip('_')}_{rng.randrange(1000)}"
        made = ast.parse(f"def {name}({', '.join(needed)}):\n    return {', '.join(results)}").body[0]
        assert isinstance(made, Function)
        made.body = [*copy.deepcopy(moved), made.body[0]]
        call = ast.parse(f"{', '.join(results)} = {name}({', '.join(needed)})").body
        method.body = [*body[:start], *call, *rest]
        return made
    return None


def _names(nodes: list[ast.stmt], context: type[ast.expr_context]) -> set[str]:
    found = {one.id for node in nodes for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, context)}
    if context is ast.Load:
        found |= {ast.unparse(one.target) for node in nodes for one in ast.walk(node) if isinstance(one, ast.AugAssign)}
    return found


def hints(source: str, rng: random.Random) -> str:
    """Type hints where there were none, and none where there were some."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, Function):
            had = node.returns is not None
            node.returns = None if had else ast.parse("'object'", mode="eval").body
            for one in [*node.args.args, *node.args.kwonlyargs]:
                if one.arg != "self":
                    one.annotation = None if had else ast.parse(rng.choice(("'int'", "'Tensor'", "object")), mode="eval").body
        for field in ("body", "orelse"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                setattr(node, field, [_hinted(one, rng) for one in statements])
    return ast.unparse(ast.fix_missing_locations(tree))


def _hinted(node: ast.AST, rng: random.Random) -> ast.AST:
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return ast.Assign([node.target], node.value)
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name) and rng.random() < 0.7:
        hint = ast.parse(rng.choice(("'Tensor'", "object", "'list'")), mode="eval").body
        return ast.AnnAssign(node.targets[0], hint, node.value, 1)
    return node


class _Texts(ast.NodeTransformer):
    """f-strings as ``format``, and ``format``, ``%`` and ``+`` as f-strings."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        if any(isinstance(part, ast.FormattedValue) and (part.format_spec or part.conversion != -1) for part in node.values):
            return node
        text = "".join(part.value.replace("{", "{{").replace("}", "}}") if isinstance(part, ast.Constant) else "{}" for part in node.values)
        values = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        return ast.Call(ast.Attribute(ast.Constant(text), "format", ast.Load()), values, [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
            pieces = re.split(r"%[sd]", node.left.value)
            values = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
            if len(pieces) == len(values) + 1:
                return _joined(pieces, values)
        return node


def _joined(pieces: list[str], values: list[ast.expr]) -> ast.JoinedStr:
    parts: list[ast.expr] = [ast.Constant(pieces[0])]
    for value, piece in zip(values, pieces[1:], strict=True):
        parts += [ast.FormattedValue(value, -1), ast.Constant(piece)]
    return ast.JoinedStr(parts)


def texts(source: str, rng: random.Random) -> str:
    """Formatted texts in another form, and a message with an f-string in each method."""
    tree = _Texts().visit(ast.parse(source))
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.args.args and node.name != "__init__":
            argument = node.args.args[-1].arg
            place = 1 if ast.get_docstring(node) else 0
            node.body.insert(place, ast.parse(f"print(f'{rng.choice(_REMARKS)}: {{type({argument})}}')").body[0])
    return ast.unparse(ast.fix_missing_locations(tree))


def dead_code(source: str, rng: random.Random) -> str:
    """Code that changes nothing: unused variables and functions, conditions that never hold, lines after a return."""
    tree = ast.parse(source)
    for node in [*ast.walk(tree)]:
        if not isinstance(node, Function) or not node.args.args:
            continue
        name = rng.choice(_NEW) + "_unused"
        argument = node.args.args[-1].arg
        junk = ast.parse(
            rng.choice(
                (
                    f"{name} = [{argument}, {argument}]",
                    f"if False:\n    {name} = torch.zeros(3)\n    print({name}.mean())",
                    f"{name} = torch.zeros(2, 3)\n{name} = {name}.sum(dim=0)",
                    f"{name} = []\nfor i_unused in range(3):\n    {name}.append(i_unused * 2)",
                    f"while False:\n    {name} = {argument}",
                )
            )
        ).body
        place = rng.randrange(1, len(node.body)) if len(node.body) > 1 else 0
        node.body[place:place] = junk
        if isinstance(node.body[-1], ast.Return):
            node.body += ast.parse(f"{name} = 3\nreturn {name}").body
    tree.body[0:0] = ast.parse("def never_called(values):\n    total = 0\n    for value in values:\n        total += value * 2\n    return total").body
    return ast.unparse(ast.fix_missing_locations(tree))


def docstrings(source: str, rng: random.Random) -> str:
    """Other docstrings, some gone and some new."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | Function):
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
            if rng.random() < 0.6:
                node.body.insert(0, ast.Expr(ast.Constant(" ".join(rng.sample(_REMARKS, 3)))))
    return ast.unparse(ast.fix_missing_locations(tree))


REWRITES: dict[str, Rewrite] = {
    "rename": rename,
    "reorder": reorder,
    "comments": comments,
    "formatting": layout,
    "loop to comprehension": loops,
    "extracted helper": helper,
    "type hints": hints,
    "f-strings": texts,
    "dead code": dead_code,
    "docstrings": docstrings,
}
