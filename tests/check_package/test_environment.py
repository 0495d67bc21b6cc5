"""A fresh virtual environment without the grader: install the wheel, run notebooks, compare with `grader check`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

from grader.assignment import Assignment
from grader.authoring import notebooks as template
from grader.check import check
from grader.homework3 import HOMEWORK

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
MOST_SECONDS = 5.0
"""Processor time of all public properties."""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """A Python with what Colab has, and the check package."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    found = folder / "bin" / "python"
    there = ["torch>=2.4,<2.14", "numpy>=1.26", "ipython", "nltk", "matplotlib"]
    done = pip(found, *there)
    if done.returncode:
        pytest.skip(f"no package index: {done.stderr[-300:]}")
    started = os.times().children_user
    done = pip(found, str(wheel))
    assert done.returncode == 0, done.stderr
    assert os.times().children_user - started < 20, "installing takes a few seconds"
    return found


def pip(python: Path, *what: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def checked(python: Path, notebook: Path, folder: Path) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-I", HERE / "cells.py", notebook],
        capture_output=True, text=True, cwd=folder, env={**environment, "MPLBACKEND": "agg"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "shown": done.stdout}


def notebooks(folder: Path) -> dict[str, Path]:
    """The template, the example, a right answer, and one with mistakes that public properties find."""
    right = template.build_master()
    students = {cell["id"] for cell in template.build_template()["cells"]}
    right["cells"] = [cell for cell in right["cells"] if cell["id"] in students]
    made = {"right": right}
    wrong = nbformat.from_dict(right)
    wrong = nbformat.reads(nbformat.writes(right), as_version=4)
    for before, after in (
        ("grid.flatten(2).transpose(1, 2)", "grid.flatten(2)"),
        ("[self.tok_to_id[self.start], *ids]", "ids"),
        ("x, alphas = layer(x, attn_mask)", "x, alphas = layer(x, None)"),
    ):
        (cell,) = [cell for cell in wrong["cells"] if before in cell["source"]]
        cell["source"] = cell["source"].replace(before, after)
    made["wrong"] = wrong
    paths = {name: template.write(notebook, folder / f"{name}.ipynb") for name, notebook in made.items()}
    return {"template": HOMEWORK.template, "example": HOMEWORK.example, **paths}


def test_the_grader_is_not_there(python: Path) -> None:
    done = subprocess.run([python, "-I", "-c", "import grader"], capture_output=True, text=True, check=False)
    assert "No module named 'grader'" in done.stderr
    start = time.monotonic()
    subprocess.run([python, "-I", "-c", "from hw3_check import check"], check=True)
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("name", ["template", "example", "right", "wrong"])
def test_it_agrees_with_grader_check(name: str, python: Path, assignment: Assignment, tmp_path: Path) -> None:
    path = notebooks(tmp_path)[name]
    found = checked(python, path, tmp_path)
    result = check(path, assignment)
    assert found["statuses"] == {c.id: c.status for item in result.items for c in item.criteria}
    wanted = {"template": {"failed"}, "example": {"passed"}, "right": {"passed"}, "wrong": {"passed", "failed"}}
    assert set(found["statuses"].values()) == wanted[name]
    if name == "wrong":
        assert {each for each, status in found["statuses"].items() if status == "failed"} == {
            "2c.mask", "3a.shapes", "4a.encode",
        }  # fmt: skip
        assert "Smallest counterexample" in found["html"]
    assert found["seconds"] < MOST_SECONDS
    assert "To submit" in found["shown"]
    if name == "right":
        assert found["failed"] == []
