"""Wherever a property of 2c or 3a leaves a case to others, one of these fails: for each place an answer that gets there."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from grader import homework3
from grader.assignment import Assignment, load_assignment
from grader.audit import corpus
from grader.audit.fast import FastKernel
from grader.homework3 import HOMEWORK, patch_embed, transformer
from grader.judging import expect
from grader.judging.engine import Engine
from grader.judging.property import Program, Property
from grader.kernel.remote import Student
from grader.scoring.rubric import load_rubric

pytestmark = pytest.mark.long

CRITERIA = [criterion.id for item in load_rubric().automatic for criterion in item.criteria]
MODULES = [
    importlib.import_module(f"{package.__name__}.{found.name}")
    for package in (transformer, patch_embed)
    for found in pkgutil.iter_modules(package.__path__)
]
OWN_BLOCKS = """
class Transformer(nn.Module):
    def __init__(self, dim, attn_dim, mlp_dim, num_heads, num_layers):
        super().__init__()
        self.attns = nn.ModuleList([MultiHeadedAttention(dim, attn_dim, num_heads) for _ in range(num_layers)])
        self.ffns = {ffns}

    def forward(self, x, attn_mask, return_attn=False):
        seen = []
        for attn, ffn in zip(self.attns, self.ffns):
            out, alphas = attn(x, attn_mask)
            x = x + out
            x = x + ffn(x)
            seen.append(alphas)
        return x, {alphas} if return_attn else None
"""
NETWORKS = "nn.ModuleList([FFN(dim, mlp_dim) for _ in range(num_layers)])"
OWN = {
    "whole-shared-networks": ("nn.ModuleList([FFN(dim, mlp_dim)] * num_layers)", "torch.stack(seen, 1)"),
    "whole-unregistered-networks": ("[FFN(dim, mlp_dim) for _ in range(num_layers)]", "torch.stack(seen, 1)"),
    "whole-mean-of-alphas": (NETWORKS, "torch.stack(seen, 1).mean(2)"),
}
LEFT = [
    ("2c", "first-batch-size-kept", "there is no output of shape (B, T, dim)"),
    ("2c", "dropout-always-on", "equal inputs do not get equal outputs"),
    ("2c", "batch-index-added", "equal inputs do not get equal outputs"),
    ("2c", "mask-of-one-sequence-ignored", "the mask is not used in each call"),
    ("2c", "mask-in-evaluation-only", "the mask is not used in one of the modes"),
    ("2c", "mean-of-tokens-added", "a token changes other rows of the output than those that may attend to it"),
    ("2c", "no-mask-with-alphas", "the mask is not used with return_attn=True as it is without"),
    ("2c", "output-lost-with-alphas", "return_attn=True gives another output"),
    ("2c", "swapped-when-masked", "the output is not the first of the values returned"),
    ("2c", "whole-mean-of-alphas", "no attention weights of all layers are returned"),
    ("2c", "whole-shared-networks", "each layer needs weights of its own"),
    ("2c", "whole-unregistered-networks", "the layers do not follow each other as they do alone"),
    ("3a", "column-major", "an image is not embedded as it should be at the homework's sizes either"),
    ("3a", "column-major", "an embedding is not what the pixels of its patch give alone"),
]


def cells_of(part: str, name: str) -> tuple[str, ...]:
    cases = {case.entry.id: case for case in corpus.load(HOMEWORK.corpus / f"{part}.yaml", CRITERIA)}
    if name in OWN:
        ffns, alphas = OWN[name]
        cells = list(cases["own-layers"].cells)
        place = next(n for n, cell in enumerate(cells) if "class Transformer" in cell)
        cells[place] = OWN_BLOCKS.format(ffns=ffns, alphas=alphas)
        return tuple(cells)
    return cases[name].cells


class Watched:
    """The properties of a part, with what they leave to others while they are judged."""

    def __init__(self, assignment: Assignment, part: str) -> None:
        self.left: list[expect.StoodBack] = []
        self.properties = [
            replace(prop, program=self._watched(prop)) for prop in assignment.properties if prop.part.item == part
        ]

    def _watched(self, prop: Property) -> Callable[[Student, Any], Program]:
        def program(student: Student, case: Any) -> Program:
            try:
                yield from prop.program(student, case)
            except expect.StoodBack as left:
                self.left.append(left)
                raise

        return program


@functools.cache
def watched_properties(part: str) -> Watched:
    """Always the same, so that their cases are drawn once."""
    return Watched(load_assignment(), part)


@pytest.mark.parametrize(("part", "name", "reason"), LEFT)
def test_what_is_left_to_others_is_found_by_them(part, name, reason):
    assignment, watched = load_assignment(), watched_properties(part)
    watched.left.clear()
    with FastKernel(cells_of(part, name)) as kernel, Engine(kernel, assignment.seed, {}, 1) as engine:
        assert kernel.errors == []
        verdicts = engine.judge(watched.properties)
    given = [left.to for left in watched.left if reason in left.reason]
    assert given, "nothing was left to others for this reason"
    for to in given:
        assert "failed" in {verdicts[target].status for target in to if target in verdicts}


def reasons_of(module: ModuleType) -> list[str]:
    """The reasons that a module gives where it leaves a case to others; a violation's own text is one of them."""
    found = []
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "expect.stand_back":
            texts = [part.value for part in ast.walk(node.args[1]) if isinstance(part, ast.Constant)]
            found.append(str(texts[0]).partition(" = ")[0] if texts else "each layer needs weights of its own")
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.partition("homework3.")[2])
def test_each_place_has_an_answer_that_gets_there(module):
    tried = [reason for _, _, reason in LEFT]
    assert [reason for reason in reasons_of(module) if reason not in tried] == []


def test_named_properties_exist():
    every = [importlib.import_module(found.name) for found in pkgutil.walk_packages(homework3.__path__, "grader.homework3.")]
    constants = [value for module in every for name, value in vars(module).items() if name.isupper()]
    flat = [one for value in constants for one in (value if isinstance(value, tuple) else (value,))]
    named = {one for one in flat if isinstance(one, str) and ".test_" in one}
    assert len(named) > 40
    assert named <= set(HOMEWORK.properties)
