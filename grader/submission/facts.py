"""What else there is to know of the code: CUDA, packages, attention that PyTorch brings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass

from grader.submission.analysis import Notebook
from grader.submission.rescue import DEFINITIONS
from grader.submission.syntax import dotted

_SCRATCH = re.compile(
    r"MultiheadAttention|Transformer\w*|_?scaled_dot_product_\w*attention\w*|multi_head_attention_forward"
)
_ACCELERATORS = frozenset({"cuda", "hip", "mps", "xla", "xpu"})
_ON_ACCELERATORS = frozenset({"pin_memory", "get_device", "accelerator"})
_ACCELERATOR = re.compile(r"\b(?:cuda|hip|mps|xla|xpu|pin_memory|get_device|accelerator)\b")


@dataclass(frozen=True)
class ScratchUse:
    """A use of PyTorch's own attention; ``scope`` is the top-level class or function around it, if any."""

    name: str
    number: int
    line: int
    scope: str


def add_imports(tree: ast.Module, number: int, found: dict[str, tuple[int, int]]) -> None:
    """Collect top-level modules, except where the code copes with their absence, and Colab's own.

    Each gets the code cell, given as ``number``, and the line of its first import.
    """
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module] if node.module and not node.level else []
        elif isinstance(node, ast.Try) and node.handlers:
            waiting.extend([*node.orelse, *node.finalbody])
            continue
        elif isinstance(node, ast.With) and any(_suppresses(item.context_expr) for item in node.items):
            continue
        else:
            waiting.extend(list(ast.iter_child_nodes(node))[::-1])
            continue
        for module in modules:
            if not module.startswith("google.colab"):
                found.setdefault(module.partition(".")[0], (number, node.lineno))


def _suppresses(context: ast.expr) -> bool:
    return isinstance(context, ast.Call) and dotted(context.func).rpartition(".")[2] == "suppress"


def names_accelerator(text: str) -> bool:
    """Whether a text names an accelerator at all."""
    return _ACCELERATOR.search(text) is not None


def asks_for_accelerator(tree: ast.AST) -> bool:
    """Whether code asks for a GPU, or another accelerator, without first asking whether there is any."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.IfExp) and _asks_whether(node.test):
            waiting.append(node.orelse)
            continue
        if isinstance(node, ast.Attribute) and node.attr == "is_available":
            continue
        if isinstance(node, ast.Attribute) and (node.attr in _ACCELERATORS or node.attr in _ON_ACCELERATORS):
            return True
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value.partition(":")[0] in _ACCELERATORS
        ):
            return True
        waiting.extend(ast.iter_child_nodes(node))
    return False


def _asks_whether(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == "is_available" for node in ast.walk(test))


def scratch_uses(trees: Iterable[tuple[int, ast.Module]], notebook: Notebook) -> tuple[ScratchUse, ...]:
    """All uses of PyTorch's attention and Transformers in the cells, given with their numbers."""
    found: dict[tuple[int, int, str], ScratchUse] = {}
    for number, tree in trees:
        for statement in tree.body:
            scope = statement.name if isinstance(statement, DEFINITIONS) else ""
            for node in ast.walk(statement):
                for name in _scratch_names(node, notebook):
                    line = getattr(node, "lineno", statement.lineno)
                    found.setdefault((number, line, name), ScratchUse(name, number, line, scope))
    return tuple(sorted(found.values(), key=lambda use: (use.number, use.line, use.name)))


def _scratch_names(node: ast.AST, notebook: Notebook) -> list[str]:
    """What a node uses or imports of PyTorch's attention, under whatever alias."""
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        names = [alias.name for alias in node.names if _SCRATCH.fullmatch(alias.name)]
        return [f"{module}.{name}" for name in names] if module.partition(".")[0] == "torch" else []
    if isinstance(node, ast.Call) and dotted(node.func) == "getattr" and len(node.args) > 1:
        wanted = node.args[1]
        text = wanted.value if isinstance(wanted, ast.Constant) else None
        return [text] if isinstance(text, str) and _SCRATCH.fullmatch(text) else []
    name = notebook.resolve(node) if isinstance(node, ast.Attribute | ast.Name) else ""
    last = name.rpartition(".")[2]
    if not _SCRATCH.fullmatch(last):
        return []
    own = last in notebook.bases or last in notebook.functions or last in notebook.aliases
    if isinstance(node, ast.Name) and not own and not name.startswith("torch."):
        return [f"{module}.{last}" for module in sorted(notebook.stars) if module.startswith("torch")][:1]
    return [name] if name.startswith("torch.") else []
