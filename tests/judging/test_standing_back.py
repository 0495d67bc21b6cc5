"""No property leaves a case without a comparison in silence: it stands back to properties that exist."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

from grader import homework3
from grader.homework3 import HOMEWORK

MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(homework3.__path__, "grader.homework3.")
    if not found.name.startswith(("grader.homework3.training", "grader.homework3.stand_ins"))
]


def generators(module: ModuleType) -> Iterator[ast.FunctionDef]:
    """The programs of a module's properties, and the helpers that they go through."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.FunctionDef) and any(
            isinstance(part, ast.Yield | ast.YieldFrom) for part in ast.walk(node)
        ):
            yield node


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.removeprefix("grader.homework3."))
def test_no_program_returns_early_without_a_word(module):
    silent = [
        f"{function.name}, line {node.lineno}"
        for function in generators(module)
        for node in ast.walk(function)
        if isinstance(node, ast.Return) and node.value is None
    ]
    assert silent == [], "use expect.stand_back, which names the property that finds the fault"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.removeprefix("grader.homework3."))
def test_cases_are_left_to_properties_that_exist(module):
    named = [
        constant.value
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("stand_back")
        for constant in ast.walk(node.args[0])
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    ]
    assert [name for name in named if name not in HOMEWORK.properties] == []
