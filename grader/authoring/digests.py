"""What stands for code, so that what was found out about it is found out again only when it changes.

Comments, docstrings and formatting do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.homework import Homework

_LENGTH = 16


@dataclass(frozen=True)
class _Import:
    """An import: how many packages up, of what, and the names that are taken from it."""

    level: int
    base: str
    names: tuple[str, ...] = ()

    def modules(self, package: str) -> set[str]:
        """The modules it refers to in a module of ``package``; without a package of which only submodules are imported."""
        base = importlib.util.resolve_name("." * self.level + self.base, package) if self.level else self.base
        inner = {f"{base}.{name}" for name in self.names} & sys.modules.keys()
        return inner if self.names and len(inner) == len(self.names) else {base, *inner}


def syntax_digest(tree: ast.AST) -> str:
    """A digest of code's syntax, without docstrings, which every Python writes alike."""
    return hashlib.sha256(repr(_syntax(tree)).encode()).hexdigest()


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


def code_digest(sources: Iterable[str]) -> str:
    """A digest of the code in several texts; of one that does not parse, its characters count."""
    return hashlib.sha256(" ".join(_read(source)[0] for source in sources).encode()).hexdigest()[:_LENGTH]


@functools.lru_cache(maxsize=512)  # parts share files, and reading the syntax takes longest
def _read(source: str) -> tuple[str, tuple[_Import, ...]]:
    """A digest of code, and what it imports."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest(), ()
    return syntax_digest(tree), tuple(_imported(tree))


def properties_digest(homework: Homework, part: str) -> str:
    """A digest of the code that judges a part: its properties and all of the homework that they import, and the stand-ins."""
    modules = {prop.program.__module__ for prop in homework.properties.values() if prop.part.item == part}
    files = sorted(_reached(modules, (homework.package or homework.folder).resolve()))
    return code_digest([*(path.read_text(encoding="utf-8") for path in files), homework.stand_in_source])


def part_digest(homework: Homework, part: str) -> str:
    """A digest of all that the fingerprints of a part follow from: its corpus and its properties."""
    corpus = homework.corpus / f"{part}.yaml"
    text = corpus.read_bytes() if corpus.is_file() else b""
    return hashlib.sha256(properties_digest(homework, part).encode() + text).hexdigest()[:_LENGTH]


def stale_parts(sources: Mapping[str, str], homework: Homework) -> list[str]:
    """The parts of which ``sources`` has another `part_digest`: what was found out about them is out of date."""
    return [part for part, digest in sources.items() if digest != part_digest(homework, part)]


def _reached(modules: Iterable[str], folder: Path) -> set[Path]:
    """The files of a folder that modules consist of, and that they import."""
    files: set[Path] = set()
    waiting, seen = list(modules), set(modules)
    while waiting:
        module = sys.modules.get(waiting.pop())
        path = Path(getattr(module, "__file__", None) or "/").resolve()
        if module is None or not path.is_relative_to(folder) or path.suffix != ".py":
            continue
        files.add(path)
        for imported in _read(path.read_text(encoding="utf-8"))[1]:
            new = imported.modules(module.__package__ or "") - seen
            seen |= new
            waiting += sorted(new)
    return files


def _imported(tree: ast.AST) -> Iterator[_Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (_Import(0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield _Import(node.level, node.module or "", tuple(alias.name for alias in node.names))
