"""What a plan says of the template's code: provided classes that were altered, and code that is not from scratch."""

from __future__ import annotations

import ast
import dataclasses

import pytest

from grader.homework3 import HOMEWORK
from grader.submission.planning import (
    Altered,
    Template,
    altered_provided,
    load_template,
    make_plan,
    template_of,
)
from grader.submission.reading import read_submission
from tests.submission.test_planning import submission


def test_imports_cuda_and_ready_made_attention():
    plan = make_plan(
        submission(
            """
            import einops.layers, numpy as np
            from google.colab import drive
            from torch import nn
            from torch.nn import MultiheadAttention as MHA
            import torch.nn.functional as F
            try:
                import flash_attn
            except ImportError:
                pass
            device = 'cuda' if torch.cuda.is_available() else 'cpu'
            """,
            """
            class Transformer(nn.Module):
                def __init__(self):
                    self.layers = nn.TransformerEncoderLayer(8, 2)
                    self.a = MHA(8, 2)
                def forward(self, x):
                    return F.scaled_dot_product_attention(x, x, x)
            Transformer()
            """,
        ),
        Template(),
    )
    assert plan.imports == ("einops", "numpy", "torch")
    assert not plan.mentions_accelerator
    assert [(use.name, use.number, use.line, use.scope) for use in plan.from_scratch_flags] == [
        ("torch.nn.MultiheadAttention", 1, 4, ""),
        ("torch.nn.TransformerEncoderLayer", 2, 3, "Transformer"),
        ("torch.nn.MultiheadAttention", 2, 4, "Transformer"),
        ("torch.nn.functional.scaled_dot_product_attention", 2, 6, "Transformer"),
    ]
    assert make_plan(submission("x = y.cuda()"), Template()).mentions_accelerator
    assert make_plan(submission("x = y.to('cuda:0')"), Template()).mentions_accelerator
    assert make_plan(submission("x = y.cuda(\n)\nclass A"), Template()).mentions_accelerator


def test_provided_classes_may_differ_in_words_only():
    provided = """
    class FFN(nn.Module):
        '''Doc.'''
        def f(self, x: int) -> int:
            y: int = x
            return y
    """
    same = """
    class FFN(nn.Module):
      def f(self, x):
        '''Other.'''
        y = x  # why
        return y
    class Mine: x = 1
    """
    template = template_of(submission(provided, "class Mine: pass", roles={1: "provided", 2: "solution"}))
    assert altered_provided(submission(same), template) == ()
    other = submission(provided, provided.replace("return y", "return -y"))
    assert altered_provided(other, template) == (Altered("FFN", 2),)


@pytest.mark.skipif(not HOMEWORK.template.exists(), reason="the template is not built")
def test_the_template_gets_the_same_plan_with_and_without_its_marks():
    template, whole = load_template(HOMEWORK.template), read_submission(HOMEWORK.template)
    bare_cells = tuple(
        dataclasses.replace(cell, role=None, part=None, tags=frozenset()) for cell in whole.cells
    )
    bare = dataclasses.replace(whole, cells=bare_cells)
    plan, bare_plan = make_plan(whole, template), make_plan(bare, template)
    assert [cell.source for cell in plan.cells] == [cell.source for cell in bare_plan.cells]
    for cell in plan.cells:
        if cell.cell.role in ("train", "visualize"):
            assert cell.decision == "skip"
        elif cell.cell.role != "download":
            assert cell.decision == "run"
    assert altered_provided(whole, template) == ()
    assert plan.from_scratch_flags == ()


def test_provided_code_comes_with_the_imports_that_it_uses():
    template = load_template(HOMEWORK.template, HOMEWORK.provided_classes)
    sources = dict(template.classes)
    dataset = template.with_imports(sources["DialogueDataset"])
    assert "from torch.utils.data import Dataset" in dataset and "from torch import Tensor" in dataset
    assert "matplotlib" not in dataset and dataset.endswith(sources["DialogueDataset"])
    for source in sources.values():
        ast.parse(template.with_imports(source))
    aliased = template_of(submission("import a.b as c, d.e\nfrom f import g as h\nfrom i import *"))
    assert aliased.with_imports("c, d, h") == "import a.b as c\nimport d.e\nfrom f import g as h\nc, d, h"
