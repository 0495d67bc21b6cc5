"""The engine knows no homework, and its rooms import one another in one direction only."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader import assets
from grader.homework3 import HOMEWORK
from grader.scoring.rubric import load_rubric

if sys.version_info >= (3, 11):
    import tomllib
else:  # mypy and pytest bring it along
    tomllib = pytest.importorskip("tomli")

ROOT = assets.PACKAGE.parent
SETTINGS = ROOT / "pyproject.toml"
DATA = ("CIFAR-10", "Shakespeare")
RUBRIC = load_rubric(HOMEWORK.rubric)
CLASSES = {prop.part.name for prop in HOMEWORK.properties.values()} | set(HOMEWORK.provided_classes)
ITEMS = {item.id for item in RUBRIC.items}
CRITERIA = {criterion.id for item in RUBRIC.automatic for criterion in item.criteria}


def engine() -> list[Path]:
    """The modules that serve any homework."""
    return [
        path
        for path in sorted(assets.PACKAGE.rglob("*.py"))
        if path.relative_to(assets.PACKAGE).parts[0] not in ("homework3", "_shipped")
        and "skeleton_files" not in path.parts
    ]


def names_of_homework(source: str) -> Iterator[tuple[int, str]]:
    """Classes, items, criteria and data of Homework 3 in a module's code and strings, with their lines."""
    # "Transformer" is an English word, too; as a name in code it would be the class.
    words = "|".join(map(re.escape, sorted({*(CLASSES - {"Transformer"}), *DATA, *CRITERIA}, key=len, reverse=True)))
    wanted = re.compile(rf"(?<!\w)(?:{words})(?!\w)|\bitems? ({'|'.join(sorted(ITEMS))})\b")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value in ITEMS or node.value in CLASSES:
                yield node.lineno, node.value
            elif found := wanted.search(node.value):
                yield node.lineno, found[0]
        name = getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", None)
        if name in CLASSES:
            yield getattr(node, "lineno", 0), str(name)


@pytest.mark.parametrize(
    "source",
    [
        'student.AttentionHead(1, 2)', 'part = "3c"', 'say("item 3c waits")', 'text = f"see {x} in CIFAR-10"',
        '"""Judges 2a.softmax."""', 'class Transformer: pass', 'build("MyTokenizer")',
    ],
)  # fmt: skip
def test_the_scan_finds_names(source: str) -> None:
    assert list(names_of_homework(source))


def test_the_scan_knows_what_to_look_for() -> None:
    assert {"AttentionHead", "DialogueLoss", "VisionTransformer"} <= CLASSES
    assert {"2a", "3c", "4f"} <= ITEMS and "2a.softmax" in CRITERIA


def test_the_engine_names_nothing_of_a_homework() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in engine()
        for line, name in names_of_homework(path.read_text(encoding="utf-8"))
    ]
    assert found == []


MOST_LINES = 400
REASON = re.compile(r"long (file )?on purpose")


def python_files() -> list[Path]:
    """All files of the checkout that people read: the package, the reference, tests, benchmarks and tools."""
    folders = (assets.PACKAGE, *(ROOT / name for name in ("reference", "tests", "benchmarks", "tools")))
    return [path for folder in folders for path in sorted(folder.rglob("*.py")) if "_shipped" not in path.parts]


def is_too_long(text: str) -> bool:
    """Whether a module has more lines than one reads in one sitting, and its docstring does not say why."""
    docstring = " ".join((ast.get_docstring(ast.parse(text)) or "").split())
    return len(text.splitlines()) > MOST_LINES and not REASON.search(docstring)


def test_a_long_file_says_why() -> None:
    """By the words "long on purpose" in the module's docstring, before the reason."""
    assert [str(path.relative_to(ROOT)) for path in python_files() if is_too_long(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("docstring", "lines", "expected"),
    [("What it is.", 399, False), ("What it is.", 400, True), ("It is one long file on purpose: it ...", 400, False)],
)
def test_what_counts_as_too_long(docstring: str, lines: int, expected: bool) -> None:
    assert is_too_long(f'"""{docstring}"""\n' + "x = 1\n" * lines) is expected


@pytest.fixture(scope="module")
def contracts() -> dict[str, dict[str, object]]:
    if not SETTINGS.is_file():
        pytest.skip("contracts are checked in a checkout")
    settings = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    return {contract["id"]: contract for contract in settings["tool"]["importlinter"]["contracts"]}


def test_every_room_is_under_the_contracts(contracts: dict[str, dict[str, object]]) -> None:
    rooms = {
        f"grader.{path.stem}"
        for path in assets.PACKAGE.iterdir()
        if (path.suffix == ".py" and path.stem not in ("__init__", "__main__")) or (path / "__init__.py").is_file()
    } - {"grader.homework3"}
    assert set(contracts["no-homework"]["source_modules"]) == rooms
    assert set(contracts["kernel-alone"]["forbidden_modules"]) == (rooms | {"grader.homework3"}) - {"grader.kernel"}


def test_imports_keep_the_contracts(contracts: dict[str, dict[str, object]]) -> None:
    pytest.importorskip("importlinter")
    script = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None, no_cache=True))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
