"""Stand-ins for provided classes: what they take, and what their attention weights tell."""

from __future__ import annotations

import numpy as np
import pytest

from grader.audit.fast import FastKernel
from grader.homework3 import HOMEWORK, stand_in_formulas, strategies
from grader.kernel.remote import Student, StudentError, recording_of
from grader.kernel.stage import Stage

RESIDUAL = """
import torch
from torch import nn
from torch.func import functional_call

class AttentionResidual(nn.Module):
    def __init__(self, dim, attn_dim, mlp_dim, num_heads{options}):
        super().__init__()
    def forward(self, x, attn_mask{more}):
        return x, None
"""
STACK = """
class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = AttentionResidual(4, 3, 5, 2{given})
    def forward(self, x, attn_mask):
        return {call}
"""
STAGE = Stage(("AttentionResidual",), HOMEWORK.stand_in_source)
X = strategies.numbers(np.random.default_rng(3), 2, 3, 4)


def called(options: str = "", given: str = "", more: str = "", call: str = "self.layer(x, attn_mask)"):
    cells = (RESIDUAL.format(options=options, more=more), STACK.format(given=given, call=call))
    with FastKernel(cells) as kernel, kernel.property(STAGE) as channel:
        assert kernel.errors == []
        student = Student(0)
        reply = student.Stack()(X, None)
        (answer,) = channel.connection.run([(0, recording_of(student), reply)], stop=True)
    return answer


@pytest.mark.parametrize(
    ("options", "given"),
    [(", dropout=0.0", ", dropout=0.1"), (", **others", ", use_relative=True"), (", flag=None", ", True")],
)
def test_a_provided_class_may_take_further_arguments(options, given):
    assert called(options, given)[0].shape == X.shape


def test_its_forward_may_take_further_arguments():
    assert called(more=", need=True", call="self.layer(x, attn_mask, need=False)")[0].shape == X.shape


def test_an_argument_that_the_own_class_does_not_take_is_an_error():
    answer = called(given=", dropout=0.1")
    assert isinstance(answer, StudentError)
    assert "dropout" in answer.message


def test_attention_weights_depend_on_the_input():
    _, alphas = called()
    mixing = stand_in_formulas.mixing(None, 2, 3)
    np.testing.assert_allclose(alphas, stand_in_formulas.marks(mixing, 2, 0, X), rtol=1e-5)
    assert np.abs(alphas - stand_in_formulas.marks(mixing, 2, 0, X[::-1])).max() > 1e-3


def test_other_parameters_than_its_own_are_refused():
    answer = called(call='functional_call(self.layer, {"weight": torch.zeros(4, 4)}, (x, attn_mask))')
    assert isinstance(answer, StudentError)
    assert "other parameters than its own" in answer.message
