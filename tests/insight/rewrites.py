"""Ten ways to disguise a copy. Each takes the source of a class and gives one that does the same."""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import random
import re
import tokenize
from collections.abc import Callable

from tests.insight.restructuring import helper, loops, names_in

Rewrite = Callable[[str, random.Random], str]

_NEW = [
    "alpha_",
    "tmp",
    "val",
    "res",
    "buf",
    "cur",
    "item",
    "data",
    "vec",
    "mat",
    "acc",
    "zz",
    "foo",
    "arr",
    "it",
    "obj",
    "node",
    "part",
]
_REMARKS = [
    "TODO check this",
    "compute it",
    "see the lecture",
    "shape stays the same",
    "this works now",
    "important!",
]
Function = ast.FunctionDef


def rename(source: str, rng: random.Random) -> str:
    """Other names for variables, own attributes and helpers."""
    tree = ast.parse(source)
    taken = (
        {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        | set(dir(builtins))
        | set(keyword.kwlist)
    )
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
    top = {
        node.targets[0].id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for function in (node for node in ast.walk(tree) if isinstance(node, Function)):
        given = {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
        bound = names_in([function], ast.Store) - given - top - set(new.values())
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and node.id in bound:
                node.id = name_for(node.id)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in helpers:
            node.id = name_for(node.id)
    return ast.unparse(tree)


def _own_attributes(tree: ast.AST) -> set[str]:
    """Attributes that the class itself makes, save what the homework names and what outsiders could ask for."""
    given = "W_K W_Q W_V n_hidden num_patches img_size vocab tok_to_id vocab_size start pad unk max_N transformer head"
    fixed = {*given.split(), "criterion", "training", "weight", "bias", "mask", "shape"}
    stored = (
        node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    )
    found = {
        node.attr for node in stored if isinstance(node.value, ast.Name) and node.value.id == "self"
    } - fixed
    elsewhere = {
        node.attr for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }  # fmt: skip
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
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
    if any(
        isinstance(one, ast.Return | ast.Raise | ast.Assert | ast.If | ast.FunctionDef)
        for one in (later, earlier)
    ):
        return True
    if isinstance(earlier, ast.Expr) and (
        "super" in ast.unparse(earlier) or isinstance(earlier.value, ast.Constant)
    ):
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
        elif isinstance(one, ast.Call) and re.search(
            r"\.(append|extend|insert|\w*[a-z]_)$", ast.unparse(one.func)
        ):
            writes.add(ast.unparse(one.func).rpartition(".")[0])
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
        found.append(
            line
            + (
                "  # " + rng.choice(_REMARKS)
                if number in ends and line.strip() and rng.random() < 0.4
                else ""
            )
        )
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
        is_simple = not text.strip().startswith(("def", "class", "for", "if", "elif", "with"))
        if is_plain and is_simple and opens > 0 and text.count("(") == text.count(")"):
            text = text[: opens + 1] + "\n" + " " * 12 + text[opens + 1 :]
        if is_plain and rng.random() < 0.3:
            text = text.replace(", ", " , ").replace(" = ", "=")
        found.append(text)
        if rng.random() < 0.15 and '"""' not in text and not _inside_text(found):
            found.append("")
    return "\n".join(found)


def _inside_text(lines: list[str]) -> bool:
    return "\n".join(lines).count('"""') % 2 == 1


def hints(source: str, rng: random.Random) -> str:
    """Type hints where there were none, and none where there were some."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, Function):
            had = node.returns is not None
            node.returns = None if had else ast.Constant("object")
            for one in [*node.args.args, *node.args.kwonlyargs]:
                if one.arg != "self":
                    one.annotation = None if had else ast.Constant(rng.choice(("int", "Tensor", "object")))
        for field in ("body", "orelse"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                setattr(node, field, [_hinted(one, rng) for one in statements])
    return ast.unparse(ast.fix_missing_locations(tree))


def _hinted(node: ast.AST, rng: random.Random) -> ast.AST:
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return ast.Assign([node.target], node.value)
    if (
        isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name)
        and rng.random() < 0.7
    ):
        hint = ast.Constant(rng.choice(("Tensor", "object", "list")))
        return ast.AnnAssign(node.targets[0], hint, node.value, 1)
    return node


class _Texts(ast.NodeTransformer):
    """f-strings as ``format``, and ``format``, ``%`` and ``+`` as f-strings."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        shown = [part for part in node.values if isinstance(part, ast.FormattedValue)]
        if any(part.format_spec or part.conversion != -1 for part in shown):
            return node
        pieces = [
            "{}" if part in shown else part.value.replace("{", "{{").replace("}", "}}")
            for part in node.values
        ]
        text, values = "".join(pieces), [part.value for part in shown]
        return ast.Call(ast.Attribute(ast.Constant(text), "format", ast.Load()), values, [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if (
            isinstance(node.op, ast.Mod)
            and isinstance(node.left, ast.Constant)
            and isinstance(node.left.value, str)
        ):
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
            node.body.insert(
                place, ast.parse(f"print(f'{rng.choice(_REMARKS)}: {{type({argument})}}')").body[0]
            )
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
    unused = "def never_called(values):\n    total = 0\n    for value in values:\n        total += value * 2\n    return total"
    tree.body[0:0] = ast.parse(unused).body
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
