"""Everything that states the homework agrees, and `template check` and `doctor` say where it does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grader import doctor
from grader.authoring import notebooks as template
from grader.authoring.consistency import disagreements
from grader.errors import GraderError
from grader.homework import VARIABLE
from grader.homework3 import HOMEWORK
from grader.homework3.training import vit
from grader.homework3.training.attempt import Task
from grader.homework3.training.data import Cifar10
from grader.homework3.training.stated import stated
from grader.scoring.rubric import Budget
from grader.training.link import StudentError

Edit = Callable[..., None]
SECOND = Path(__file__).resolve().parents[1] / "second_homework"
COPY = """
from dataclasses import replace
from pathlib import Path

from grader.homework3 import HOMEWORK as shipped

HOMEWORK = replace(shipped, folder=Path(__file__).resolve().parent)
"""


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """A copy of what an instructor edits; calling it replaces a text in one of its files, and rebuilds the notebook."""
    for source in (HOMEWORK.reference, HOMEWORK.rubric, HOMEWORK.template.parent):
        copy = tmp_path / source.name
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    (tmp_path / "homework.py").write_text(COPY, encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(tmp_path))

    def replace(place: str, old: str, new: str, *, rebuild: bool = True) -> None:
        path = tmp_path / place
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        if rebuild:
            template.build()

    return replace


def found(findings: list[doctor.Finding], name: str) -> doctor.Finding:
    (finding,) = [finding for finding in findings if finding.name == name]
    return finding


def test_what_is_shipped_agrees() -> None:
    assert disagreements() == []
    assert stated().vit["dim"] == 128
    assert (stated().gpt["num_layers"], stated().longest, stated().patches) == (6, 200, 64)


def test_doctor_accepts_what_is_shipped() -> None:
    findings = doctor.examine()
    assert [found(findings, name).ok for name in ("rubric", "template", "agreement")] == [True] * 3


class Link:
    """Notes the sizes that the kernel is asked to build."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}

    def ask(self, name: str, seconds: float, /, **arguments: Any) -> Any:
        if name == "vit":
            self.sizes = arguments["settings"]
            raise StudentError("RuntimeError", "far enough")
        return arguments.get("limit")


def test_a_size_is_written_once(edit: Edit) -> None:
    """Another dim in the reference is the dim of the notebook, and that of the model whose checkpoint 3c accepts."""
    edit("reference/homework3.py", "dim=128", "dim=192")
    assert disagreements() == []
    link = Link()
    images = np.zeros((10, 3, 32, 32), np.uint8)
    data = Cifar10(Path("none"), images, np.arange(10, dtype=np.uint8), images, np.arange(10, dtype=np.uint8))
    budget = Budget(epochs=1, minutes=1, threshold=0.5)
    vit.verify(link, Task(data, budget, b"seed"), {})  # type: ignore[arg-type]
    assert link.sizes["dim"] == 192
    assert stated().gpt["dim"] == 192


@pytest.mark.parametrize(
    ("place", "old", "new", "message"),
    [
        ("reference/homework3.py", "nout=10", "nout=20", "with nout=20, CIFAR-10 needs 10"),
        ("reference/homework3.py", "patch_size=4,\n        dim=128", "patch_size=5,\n        dim=128", "not divisible"),
        ("reference/homework3.py", "above 50 %", "above 60 %", "50 % in 3c, which the notebook does not state"),
        ("reference/homework3.py", "    vit = VisionTransformer(", "    vit = Other(", "no training cell makes a Vision"),
        ("reference/transformer.py", "reaches every head", "reaches some heads", "the quote of 2b.mask is not in the notebook"),
        ("reference/written_answers.md", "## 1d", "## 1dd", "1d names the model answer 1d"),
        ("rubric.yaml", "threshold: 0.5", "threshold: 0.55", "asks for 55 % in 3c"),
        ("rubric.yaml", "model_answer: 2d", "model_answer: 2e", "2d names the model answer 2e"),
        ("rubric.yaml", "total: 35", "total: 36", "does not add up"),
        ("rubric.yaml", "test_shapes", "test_shapez", "unknown property"),
        ("rubric.yaml", "reaches every head", "reaches each head", "the quote of 2b.mask"),
    ],
)
def test_what_does_not_agree_is_named(edit: Edit, place: str, old: str, new: str, message: str) -> None:
    edit(place, old, new)
    faults = disagreements()
    assert faults
    assert any(message in fault for fault in faults), faults
    findings = doctor.examine()
    assert False in [found_.ok for found_ in findings if found_.name in ("rubric", "agreement")]


def test_a_notebook_that_was_not_rebuilt_is_named(edit: Edit) -> None:
    edit("reference/homework3.py", "dim=128", "dim=192", rebuild=False)
    assert any(fault.startswith("notebook: cell 'train-vit' differs") for fault in disagreements())
    finding = found(doctor.examine(), "template")
    assert finding.ok is False
    assert finding.remedy == "grader template build"


def test_a_rubric_that_grade_refuses_is_no_check_mark(edit: Edit) -> None:
    edit("rubric.yaml", "total: 35", "total: 36")
    finding = found(doctor.examine(), "rubric")
    assert finding.ok is False
    assert "rubric.yaml:" in finding.detail
    assert doctor.essentials_missing([finding]) == [finding]


def test_settings_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    path = tmp_path / "notebook.ipynb"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(GraderError, match=r"notebook\.ipynb cannot be read"):
        stated(path)


def test_a_class_that_no_notebook_defines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(SECOND, tmp_path / "second")
    path = copy / "convolution.py"
    text = path.read_text(encoding="utf-8").replace("student.Convolution(", "student.Convolutoin(", 1)
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(copy))
    (fault,) = disagreements()
    assert fault.startswith("properties: convolution.py, line ")
    assert fault.endswith("builds student.Convolutoin, a class that the notebook does not define")
