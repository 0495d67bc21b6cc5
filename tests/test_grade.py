"""The main job, end to end: real notebooks through real kernels."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import nbformat
import pytest

from grader import assets
from grader.assignment import Assignment
from grader.authoring import notebooks as template
from grader.grade import Request, drawing_of, grade, judge
from grader.homework3 import HOMEWORK
from grader.judging.cases import cases_for
from grader.kernel.process import WarmParent
from grader.kernel.session import Limits
from grader.scoring.result import Result
from tests.conftest import FULL, handwritten, lost, notebook, points, solutions

Graded = Callable[[str], Result]


def test_master_gets_full_marks(graded: Graded) -> None:
    result = graded(template.to_text(template.build_master()))
    assert points(result) == FULL, [c for item in result.items for c in item.criteria if c.status != "passed"]
    assert (result.score, result.max_score, result.pending) == (18, 18, 17)
    assert not [cell for cell in result.cells if cell.status not in ("ok", "skipped")]
    assert not result.flags


def test_untouched_template_gets_nothing(graded: Graded) -> None:
    result = graded(HOMEWORK.template.read_text(encoding="utf-8"))
    assert points(result) == dict.fromkeys(FULL, 0)
    assert (result.score, result.max_score, result.pending) == (0, 18, 17)
    assert not [cell for cell in result.cells if cell.status not in ("ok", "skipped")], (
        "an untouched template runs"
    )
    messages = [criterion.message for item in result.items for criterion in item.criteria]
    assert all("NotImplementedError" in message and "is not implemented yet" in message for message in messages), (
        messages
    )


def test_handwritten_notebook_gets_full_marks(graded: Graded) -> None:
    """Nothing but imports and the homework's classes: no template cells, no metadata."""
    assert points(graded(notebook(*handwritten()))) == FULL


def test_example_gets_what_its_mistakes_deserve(assignment: Assignment, tmp_path: Path) -> None:
    result = grade(HOMEWORK.examples / "honest_mistakes.ipynb", assignment)
    assert lost(result) == {"2a.softmax", "2b.heads", "3a.patches", "4a.unknown", "4d.padding"}
    failed = {c.id: c for item in result.items for c in item.criteria if c.status == "failed"}
    assert all(criterion.counterexample and criterion.requirement for criterion in failed.values())
    assert "x = [[[" in (failed["2a.softmax"].counterexample or "")
    result.write(tmp_path / "result.json")
    written = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    schema = json.loads((Path(assets.__file__).parent / "scoring" / "result.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(written, schema)
    assert written["score"] + written["pending"] <= 35 == written["max_score"] + written["pending"]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("text.ipynb", b"this is no notebook", "JSON"),
        ("empty.ipynb", b"", "empty"),
        ("nocode.ipynb", nbformat.writes(nbformat.v4.new_notebook()).encode(), "code"),
    ],
)
def test_nothing_to_grade(
    name: str, data: bytes, reason: str, assignment: Assignment, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    result = grade(path, assignment)
    assert result.error is not None and name in result.error and reason in result.error
    assert "\n" not in result.error
    assert (result.score, result.max_score, result.pending) == (0, 0, 35)


def test_first_cell_raises(graded: Graded) -> None:
    """What a cell defines before and after the line that raises is not lost."""
    setup, *rest = handwritten()
    result = graded(notebook("import nowhere_to_be_found\nnowhere_to_be_found.go()\n" + setup, *rest))
    assert points(result) == FULL
    assert result.cells[0].status == "rescued"
    assert "nowhere_to_be_found" in (result.cells[0].error or "")
    assert any("nowhere_to_be_found" in warning for warning in result.warnings)


def test_one_bug_costs_its_own_points_once(graded: Graded) -> None:
    """A broken AttentionHead leaves every point of what builds on it."""
    result = graded(notebook(*handwritten(attention_head="class AttentionHead(nn.Module):\n    pass\n")))
    assert points(result) == {**FULL, "2a": 0}


def test_importing_the_grader_or_the_reference_earns_nothing(graded: Graded) -> None:
    stolen = "import sys\n" + "\n".join(
        f"try:\n    from {name} import *\nexcept BaseException as error:\n    print('no', error)"
        for name in (
            "reference.transformer",
            "grader.homework3.oracles",
            "grader._shipped.reference.transformer",
        )
    )
    root = Path(assets.__file__).resolve().parent
    paths = [
        str(root / "properties" / "oracles.py"),
        str(HOMEWORK.reference / "transformer.py"),
        str(HOMEWORK.rubric),
    ]
    read = f"for path in {paths!r}:\n" + (
        "    try:\n        open(path).read(); leaked = True\n    except OSError:\n        pass\n"
        "assert 'leaked' not in globals()\nassert 'AttentionHead' not in globals()\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('grader', 'reference')]\n"
    )
    result = graded(notebook("import torch", stolen, read))
    assert result.score == 0
    assert [cell.status for cell in result.cells] == ["ok", "ok", "ok"], [cell.error for cell in result.cells]


def test_colab_and_gpu_habits_cost_nothing(graded: Graded) -> None:
    setup, *classes = handwritten(
        attention_head=solutions()["attention-head"].replace(
            "scores.masked_fill(attn_mask == 0", "scores.masked_fill(attn_mask.cuda() == 0"
        )
    )
    assert "attn_mask.cuda()" in classes[0]
    cells = [
        "!pip install einops wandb\n%matplotlib inline\nfrom google.colab import drive\n"
        "drive.mount('/content/drive')\nimport wandb, einops",
        "!wget https://example.org/input.txt\ntext = open('input.txt').read()\nassert len(text) > 100_000",
        setup.replace('"cuda" if torch.cuda.is_available() else "cpu"', '"cuda"'),
        *reversed(classes),
        "device = torch.device('cuda')\nmodel = Transformer(8, 4, 8, 2, 2).to(device)\n"
        "out, _ = model(torch.zeros(1, 3, 8, device=device), None)\nassert out.shape == (1, 3, 8)",
        "opt = torch.optim.AdamW(model.parameters())\nfor epoch in range(10**9):\n"
        "    loss = model(torch.zeros(1, 3, 8).cuda(), None)[0].sum()\n    loss.backward()\n    opt.step()",
    ]
    result = graded(notebook(*cells))
    assert points(result) == FULL, lost(result)
    assert result.cells[-1].decision == "partly" and "train" in result.cells[-1].reason
    bad = [cell for cell in result.cells if cell.status not in ("ok", "skipped", "rescued")]
    assert not bad, bad


def test_what_a_cell_held_when_memory_ran_out_is_given_back(
    tmp_path: Path, assignment: Assignment, warm: WarmParent
) -> None:
    greedy = "def take():\n    held = []\n    while True: held.append(bytearray(1 << 25))\n\ntake()"
    room = "room = torch.empty(200 << 20, dtype=torch.uint8)\n        grid = "
    modest = solutions()["patch-embed"].replace("grid: Tensor = ", room)
    path = tmp_path / "greedy.ipynb"
    path.write_text(notebook(*handwritten(patch_embed=modest), greedy), encoding="utf-8")
    result = grade(path, replace(assignment, limits=Limits(memory=600 << 20)), warm=warm)
    assert "MemoryError" in (result.cells[-1].error or "")
    assert lost(result) == set()


def test_hang_in_a_cell_and_in_forward(tmp_path: Path, assignment: Assignment, warm: WarmParent) -> None:
    """A hang costs what hangs; everything else is judged."""
    hanging = solutions()["dialogue-loss"].replace(
        "predictions = ", "while True: pass\n        predictions = "
    )
    path = tmp_path / "hang.ipynb"
    stubborn = "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    path.write_text(notebook(*handwritten(dialogue_loss=hanging), stubborn), encoding="utf-8")
    quick = replace(assignment, limits=Limits(cell=10, property=3))
    result = grade(path, quick, warm=warm)
    assert points(result) == {**FULL, "4d": 0}
    assert result.cells[-1].status == "timeout"
    messages = {c.message for item in result.items for c in item.criteria if c.status == "failed"}
    assert all("no answer within 3 s" in message for message in messages), messages


def test_exit_and_crash_in_forward(graded: Graded) -> None:
    crash = solutions()["patch-embed"].replace("grid: Tensor = ", "import os; os._exit(0)\n        grid = ")
    segfault = solutions()["dialogue-loss"].replace(
        "predictions = ", "import ctypes; ctypes.string_at(0)\n        predictions = "
    )
    result = graded(notebook(*handwritten(patch_embed=crash, dialogue_loss=segfault)))
    assert points(result) == {**FULL, "3a": 0, "4d": 0}
    messages = {c.id: c.message for item in result.items for c in item.criteria if c.status == "failed"}
    assert "exit" in messages["3a.shapes"] and "SIGSEGV" in messages["4d.value"]


def test_cases_are_drawn_item_by_item_before_they_are_needed(assignment: Assignment) -> None:
    usual, other = sys.getswitchinterval(), replace(assignment, seed=b"drawn for this test")
    ours = [prop for prop in other.properties if prop.part.item == "3a"]
    with drawing_of(other) as drawing:
        assert sys.getswitchinterval() < usual
        drawing.wait_for("3a")
        drawn = cases_for.cache_info()
        assert all(cases_for(prop, other.seed) for prop in ours)
        assert cases_for.cache_info().hits == drawn.hits + len(ours), "none is drawn again"
    assert sys.getswitchinterval() == usual


def test_what_goes_wrong_while_cases_are_drawn_is_not_lost(
    assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise ArithmeticError("nothing to draw from")

    monkeypatch.setattr("grader.judging.drawing.cases_for", refuse)
    with drawing_of(assignment) as drawing, pytest.raises(ArithmeticError, match="nothing to draw from"):
        drawing.wait_for("2a")


def test_the_warm_parent_is_waited_for_after_the_notebook_was_read(
    tmp_path: Path, assignment: Assignment, warm: WarmParent
) -> None:
    waited = []

    def wait() -> WarmParent:
        waited.append("warm")
        return warm

    unread = tmp_path / "hw3.ipynb"
    unread.write_text("no notebook", encoding="utf-8")
    judge(unread, assignment, Request(warm=wait))
    assert not waited
    right = tmp_path / "right.ipynb"
    right.write_text(notebook(*handwritten()), encoding="utf-8")
    result = judge(right, assignment, Request(warm=wait)).result
    assert (waited, points(result)) == (["warm"], FULL)
