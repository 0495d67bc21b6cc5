"""Classes in files, in newer syntax, in other cells, missing, or defined twice: which one counts, and what the result says."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable

import pytest
from rich.console import Console

from grader.report.terminal import print_result
from grader.scoring.result import Result
from tests.conftest import FULL, changed, handwritten, keeps_all, messages, notebook, points, remarks

pytestmark = pytest.mark.long

HEAD = "        q, k, v = self.W_Q(x)"
Graded = Callable[[str], Result]


def test_modules_that_the_notebook_writes(graded: Graded) -> None:
    setup, head, several, *others = handwritten()
    imports = "import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import Tensor, nn\n"
    train = "import torch\nfor epoch in range(10**9):\n    loss.backward()\n    optimizer.step()\nRATE = 0.1\n"
    cells = [
        "%%file config.json\n" + '{"heads": 2}',
        setup,
        f"%%writefile models/heads.py\n{imports}\n{head}",
        f"%%writefile -a models/heads.py\n\n{several}",
        f"%%writefile '/content/training.py'\n{train}",
        "from models.heads import *\nimport training\nimport json\nassert training.RATE == 0.1",
        "assert json.load(open('config.json')) == {'heads': 2}",
        "%%writefile rest.py\n" + "\n\n".join(others),
        "%run -i rest.py",
    ]
    result = graded(notebook(*cells))
    assert keeps_all(result)
    assert not [cell for cell in result.cells if cell.status != "ok"], result.cells


def test_syntax_of_a_newer_python_is_understood_and_named(graded: Graded) -> None:
    nested = '        f"{"a"} {self.n_hidden!r:>{len("abc")}}"\n'
    head = changed("attention-head", (HEAD, nested + HEAD))
    setup, *classes = handwritten(
        attention_head=head,
        patch_embed=changed("patch-embed", before="type Image = Tensor\n").replace("x: Tensor", "x: Image"),
        my_tokenizer=changed("my-tokenizer", before="def first[T](items: list[T]) -> T:\n    return items[0]\n\n\n"),
    )
    result = graded(notebook(setup, *classes))
    assert keeps_all(result)
    if sys.version_info < (3, 12):
        assert "uses syntax of Python 3.12; the grader runs Python 3.1" in result.cells[1].reason


@pytest.mark.parametrize("kind", ["markdown", "raw"])
def test_a_class_in_a_cell_that_is_not_code(graded: Graded, kind: str) -> None:
    cells = json.loads(notebook(*handwritten()))
    cells["cells"][1] = {"cell_type": kind, "source": cells["cells"][1]["source"], "metadata": {}, "id": "x"}
    result = graded(json.dumps(cells))
    where = f"the {'raw' if kind == 'raw' else 'Markdown'} cell after code cell 1"
    assert messages(result, "2a") == {
        f"AttentionHead is not defined in the notebook: it is in {where}, which does not run; change it to a code cell"
    }


def test_a_syntax_error_is_said_with_its_line(graded: Graded) -> None:
    broken = changed("transformer", ("        super().__init__()", "        super().__init__(("))
    result = graded(notebook(*handwritten(transformer=broken)))
    (message,) = messages(result, "2c")
    line = broken.split("\n").index("        super().__init__((") + 1
    assert f"code cell 5 does not parse (line {line}: '(' was never closed)" in message
    shown = io.StringIO()
    print_result(result, Console(file=shown, width=1000))
    assert shown.getvalue().count(message) == 1, "said once, not once a criterion"
    assert points(result) == {**FULL, "2c": 0}


def test_a_later_stub_is_explained(graded: Graded) -> None:
    stub = "class AttentionHead(nn.Module):\n    def forward(self, x, attn_mask):\n        raise NotImplementedError"
    result = graded(notebook(*handwritten(), stub))
    (note,) = next(item for item in result.items if item.id == "2a").notes
    assert note == (
        "AttentionHead is defined in code cell 2 and again in code cell 12; the last definition is graded, "
        "and its `forward` is not implemented."
    )
    assert "defined more than once" in remarks(result)


def test_which_definition_ran_last(graded: Graded) -> None:
    wrong = changed("attention-head", ("return attn_output", "return 2 * attn_output"))
    cells = json.loads(notebook(*handwritten(), wrong))
    for number, cell in enumerate(cells["cells"], start=1):
        cell["execution_count"] = number
    cells["cells"][1]["execution_count"] = 57
    result = graded(json.dumps(cells))
    (note,) = next(item for item in result.items if item.id == "2a").notes
    assert note.endswith(
        "By the notebook's execution counts, code cell 2 ran last (In [57], after In [12])."
    )


def test_two_versions_in_order_need_no_word(graded: Graded) -> None:
    wrong = changed("attention-head", ("return attn_output", "return 2 * attn_output"))
    setup, *classes = handwritten()
    result = graded(notebook(setup, wrong, *classes))
    assert keeps_all(result)
    assert not [note for item in result.items for note in item.notes]
