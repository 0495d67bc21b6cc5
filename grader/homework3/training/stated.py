"""What the homework says about training: sizes of its models and scale of its images, read from the students' notebook.

The checkpoints that students hand in have the sizes of that notebook, so they are written down nowhere else.
"""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.errors import GraderError
from grader.homework import load_homework
from grader.submission.syntax import tree_of

VIT, GPT = "VisionTransformer", "DialogueGPT"
LENGTH = "max_N"
SCALE = ("CIFAR_MEAN", "CIFAR_STD")


@dataclass(frozen=True)
class Stated:
    """The settings of the notebook's training cells."""

    vit: Mapping[str, int]
    """The Vision Transformer's arguments."""
    gpt: Mapping[str, int]
    """The GPT's arguments, without vocabulary and length."""
    longest: int
    """How many tokens the GPT takes."""
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    """By which images are scaled, a number for each channel."""

    @property
    def patches(self) -> int:
        """How many patches an image has."""
        return (self.vit["img_size"] // self.vit["patch_size"]) ** 2


def stated(notebook: Path | None = None) -> Stated:
    """The settings of a notebook, by default of the template; raises `GraderError` that says what is missing."""
    return _read(notebook or load_homework().template)


@functools.cache
def _read(notebook: Path) -> Stated:
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        trees = {role: list(_trees(cells, role)) for role in ("train", "provided")}
    except (OSError, ValueError, KeyError, TypeError, SyntaxError) as error:
        raise GraderError(f"{notebook.name} cannot be read: {error}") from None
    vit = _arguments(trees["train"], VIT, notebook)
    gpt = dict(_arguments(trees["train"], GPT, notebook))
    missing = {"n_channels", "nout", "img_size", "patch_size", "dim"} - vit.keys()
    if missing or LENGTH not in gpt:
        name = sorted(missing)[0] if missing else LENGTH
        raise GraderError(f"{notebook.name}: the training cell gives {VIT if missing else GPT} no {name} as a number")
    mean, deviation = (_numbers(trees["provided"], name, notebook) for name in SCALE)
    return Stated(vit, {name: size for name, size in gpt.items() if name != LENGTH}, gpt[LENGTH], mean, deviation)


def _trees(cells: Any, role: str) -> Iterator[ast.Module]:
    for cell in cells:
        if cell["cell_type"] == "code" and cell["metadata"].get("hw3", {}).get("role") == role:
            yield tree_of("".join(cell["source"]))


def _arguments(trees: list[ast.Module], name: str, notebook: Path) -> Mapping[str, int]:
    """The whole numbers that a training cell gives to a model by keyword."""
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                return {
                    keyword.arg: keyword.value.value
                    for keyword in node.keywords
                    if keyword.arg and isinstance(keyword.value, ast.Constant) and type(keyword.value.value) is int
                }
    raise GraderError(f"{notebook.name}: no training cell makes a {name}")


def _numbers(trees: list[ast.Module], name: str, notebook: Path) -> tuple[float, ...]:
    for tree in trees:
        for node in tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                return tuple(float(number) for number in ast.literal_eval(node.value))
    raise GraderError(f"{notebook.name}: no provided cell sets {name}")
