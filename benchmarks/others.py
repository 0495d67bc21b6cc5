"""otter-grader and nbgrader: installed in environments of their own, given the homework's shape tests, run as documented.

otter-grader: ``otter generate`` makes an autograder.zip of the tests, ``otter run`` grades one notebook without a container.
nbgrader: ``nbgrader generate_assignment`` makes the release from the source notebook, ``nbgrader autograde`` grades the class.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat

NEEDS = ("torch>=2.4,<2.14", "nltk>=3.9,<4", "matplotlib>=3.8", "ipykernel")
SHAPES = {
    "attention-head": """\
out, alpha = AttentionHead(8, 4)(torch.randn(2, 3, 8), torch.ones(2, 3, 3))
assert out.shape == (2, 3, 4)
assert alpha.shape == (2, 3, 3)""",
    "multi-headed-attention": """\
out, alphas = MultiHeadedAttention(8, 4, 2)(torch.randn(2, 3, 8), torch.ones(2, 3, 3))
assert out.shape == (2, 3, 8)
assert alphas.shape == (2, 2, 3, 3)""",
    "transformer": """\
out, _ = Transformer(8, 4, 16, 2, 2)(torch.randn(2, 3, 8), torch.ones(2, 3, 3))
assert out.shape == (2, 3, 8)""",
    "patch-embed": """\
assert PatchEmbed(8, 4, 3, 16)(torch.randn(2, 3, 8, 8)).shape == (2, 4, 16)""",
}


def environment(cache: Path, package: str) -> Path:
    """The Python of a virtual environment with a package, made once."""
    folder = cache / package
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        print(f"installing {package} in {folder}", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", package, *NEEDS], check=True)
        (folder / "done").touch()
    return python


def _run(command: list[str | Path], folder: Path) -> None:
    """Run a program of a virtual environment as if it were activated; ends the benchmark when it fails."""
    programs = Path(command[0]).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(programs.parent),
    }
    environment.pop("PYTHONPATH", None)
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}")


def prepare_otter(python: Path, folder: Path) -> None:
    """Write the tests and make autograder.zip in ``folder``."""
    tests = folder / "tests"
    tests.mkdir(parents=True)
    for name, code in SHAPES.items():
        lines = "\n".join(f">>> {line}" for line in code.splitlines())
        test = {
            "name": name,
            "points": 1,
            "suites": [{"cases": [{"code": lines, "hidden": False}], "scored": True, "type": "doctest"}],
        }
        path = tests / f"{name.replace('-', '_')}.py"
        path.write_text(f"OK_FORMAT = True\ntest = {test!r}\n", encoding="utf-8")
    _run([python.parent / "otter", "generate", "-t", "tests", "-o", "autograder.zip"], folder)


def otter(python: Path, folder: Path, notebook: Path) -> None:
    """Grade one notebook."""
    otter = python.parent / "otter"
    (folder / f"out-{notebook.stem}").mkdir()
    _run([otter, "run", "-a", "autograder.zip", "-o", f"out-{notebook.stem}", "--no-logo", notebook], folder)
    if not (folder / f"out-{notebook.stem}" / "results.json").is_file():
        raise SystemExit("otter wrote no results")


def _graded_cell(name: str, code: str) -> Any:
    cell = nbformat.v4.new_code_cell(code)
    cell.id = f"test-{name}"
    cell.metadata = {
        "nbgrader": {
            "grade": True,
            "grade_id": f"test-{name}",
            "locked": True,
            "points": 1,
            "schema_version": 3,
            "solution": False,
            "task": False,
            "cell_type": "code",
        }
    }
    return cell


def _for_nbgrader(notebook: Any) -> Any:
    """The notebook with nbgrader's marks on the cells that students write, and the tests after them."""
    made = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cell.metadata["nbgrader"] = {
                "grade": False,
                "grade_id": f"cell-{number}",
                "locked": False,
                "schema_version": 3,
                "solution": True,
                "task": False,
                "cell_type": "code",
            }
        made.cells.append(cell)
    made.cells += [_graded_cell(name, code) for name, code in SHAPES.items()]
    return made


def prepare_nbgrader(python: Path, folder: Path, notebooks: list[Path]) -> None:
    """Make a course in ``folder`` whose students handed in these notebooks."""
    source = folder / "source" / "hw3" / "hw3.ipynb"
    source.parent.mkdir(parents=True)
    (folder / "nbgrader_config.py").write_text(
        "c = get_config()\nc.CourseDirectory.course_id = 'benchmark'\n", encoding="utf-8"
    )
    nbformat.write(_for_nbgrader(nbformat.read(notebooks[0], 4)), source)
    _run([python, "-m", "nbgrader", "generate_assignment", "hw3", "--create"], folder)
    for notebook in notebooks:
        target = folder / "submitted" / notebook.stem / "hw3" / "hw3.ipynb"
        target.parent.mkdir(parents=True)
        nbformat.write(_for_nbgrader(nbformat.read(notebook, 4)), target)


def nbgrader(python: Path, folder: Path) -> None:
    """Grade the class."""
    _run([python, "-m", "nbgrader", "autograde", "hw3"], folder)
    graded = list((folder / "autograded").glob("*/hw3/hw3.ipynb"))
    if len(graded) != len(list((folder / "submitted").iterdir())):
        raise SystemExit("nbgrader did not grade the whole class")
