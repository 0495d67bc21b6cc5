"""A wrong format costs its own item alone, and the messages name the format in the homework's terms."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from grader.scoring.result import Result
from tests.conftest import FULL, changed, handwritten, messages, notebook, points

pytestmark = pytest.mark.long

Graded = Callable[[str], Result]


def test_one_tensor_for_two_is_called_a_tensor(graded: Graded) -> None:
    alone = changed("attention-head", ("return attn_output, alpha", "return attn_output"))
    result = graded(notebook(*handwritten(attention_head=alone)))
    texts = " ".join(messages(result, "2a"))
    assert "one tensor of shape" in texts and "ndarray" not in texts


FORMATS = {
    "a head's output alone": ("2a", "attention-head", "return attn_output, alpha", "return attn_output"),
    "a head's scores as well": ("2a", "attention-head", "return attn_output, alpha", "return attn_output, alpha, alpha"),
    "several heads' output alone": (
        "2b",
        "multi-headed-attention",
        "return attn_output, torch.stack(alphas, dim=1)",
        "return attn_output",
    ),
    "a list of alphas": (
        "2b",
        "multi-headed-attention",
        "return attn_output, torch.stack(alphas, dim=1)",
        "return attn_output, list(alphas)",
    ),
    "a Transformer's output alone": (
        "2c",
        "transformer",
        "return x, torch.stack(collected, dim=1) if return_attn else None",
        "return x",
    ),
    "a Transformer's output and two values": (
        "2c",
        "transformer",
        "return x, torch.stack(collected, dim=1) if return_attn else None",
        "return x, torch.stack(collected, dim=1) if return_attn else None, len(collected)",
    ),
    "a Transformer's values in another order": (
        "2c",
        "transformer",
        "return x, torch.stack(collected, dim=1) if return_attn else None",
        "return torch.stack(collected, dim=1) if return_attn else None, x",
    ),
    "logits alone": ("4c", "dialogue-gpt", "return self.head(x), alphas", "return self.head(x)"),
}


@pytest.mark.parametrize("case", FORMATS)
def test_a_wrong_format_costs_its_own_item_alone(graded: Graded, case: str) -> None:
    item, cell, old, new = FORMATS[case]
    result = graded(notebook(*handwritten(**{cell.replace("-", "_"): changed(cell, (old, new))})))
    found = points(result)
    assert found[item] < FULL[item]
    assert {**found, item: 0} == {**FULL, item: 0}


def test_a_model_in_half_precision_is_called_so(graded: Graded) -> None:
    half = changed(
        "attention-head", ("self.n_hidden = n_hidden", "self.n_hidden = n_hidden\n        self.to(torch.bfloat16)")
    ).replace("self.W_Q(x), self.W_K(x), self.W_V(x)", "(W(x.bfloat16()) for W in (self.W_Q, self.W_K, self.W_V))")
    result = graded(notebook(*handwritten(attention_head=half)))
    texts = " ".join(messages(result, "2a"))
    assert "cannot be compared (torch.bfloat16 tensor on cpu); keep them in float32" in texts
    assert "could learn" not in texts


def test_what_provided_code_raises_is_placed_there(graded: Graded) -> None:
    gpt = changed("dialogue-gpt", ("return self.head(x), alphas", "return (self.head(x), alphas, None)[0]"))
    result = graded(notebook(*handwritten(dialogue_gpt=gpt)))
    shown = [c for item in result.items for c in item.criteria if "the provided `generate`" in c.message]
    assert shown and "provided code, in generate" in (shown[0].counterexample or "")
