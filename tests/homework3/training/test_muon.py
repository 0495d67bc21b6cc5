"""Muon: which weights it trains, and its steps beside torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from grader.homework3.training.attempt import RECIPES
from grader.homework3.training.stated import stated
from reference.vit import VisionTransformer


@pytest.mark.parametrize("shape", [(3, 24, 40), (3, 40, 24), (2, 32, 32)])
def test_singular_values_come_near_one_and_singular_vectors_stay(inside: Any, shape: tuple[int, ...]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    made = inside("muon").orthogonal(matrix)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    inner = left.mT @ made @ right.mT
    large = values / torch.linalg.matrix_norm(matrix, keepdim=True)[..., 0] > 0.02
    diagonal = inner.diagonal(dim1=-2, dim2=-1)
    assert large.float().mean() > 0.9
    assert ((diagonal > 0.6) & (diagonal < 1.3))[large].all(), diagonal
    assert (inner - torch.diag_embed(diagonal)).abs().max() < 1e-3


def test_a_matrix_of_zeros_stays_one(inside: Any) -> None:
    assert not inside("muon").orthogonal(torch.zeros(2, 16, 20)).any()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has it since 2.9")
def test_steps_are_those_of_torch(inside: Any) -> None:
    muon = inside("muon")
    draw = torch.Generator().manual_seed(0)
    ours, theirs = ([nn.Parameter(torch.ones(shape)) for shape in ((16, 48), (16, 48), (48, 16))] for _ in range(2))
    options = {"momentum": muon.MOMENTUM, "ns_steps": muon.NEWTON_SCHULZ_STEPS, "adjust_lr_fn": "match_rms_adamw"}
    optimizers = (
        muon.Muon(ours, lr=0.1, weight_decay=0.5),
        torch.optim.Muon(theirs, lr=0.1, weight_decay=0.5, **options),  # type: ignore[arg-type]
    )
    for _ in range(3):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn(mine.shape, generator=draw)
            other.grad = mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for mine, other in zip(ours, theirs, strict=True):
        # torch computes in bfloat16.
        torch.testing.assert_close(mine, other, rtol=0, atol=0.01)
        assert (mine - 1).abs().mean() > 0.1


def test_each_weight_has_one_optimizer_and_matrices_between_tokens_have_muon(inside: Any) -> None:
    model = VisionTransformer(**stated().vit)
    made = inside("training_run").optimizers(model, RECIPES["cpu"], on_gpu=False)
    kinds = {id(weight): type(each).__name__ for each in made for weight in each.param_groups[0]["params"]}
    assert len(kinds) == sum(len(each.param_groups[0]["params"]) for each in made) == len(list(model.parameters()))
    by_muon = {name for name, weight in model.named_parameters() if kinds[id(weight)] == "Muon"}
    assert "transformer.layers.0.attn.W_O.weight" in by_muon
    assert all(name.startswith("transformer.") and name.endswith(".weight") for name in by_muon)
    assert len(by_muon) == stated().vit["num_layers"] * (3 * stated().vit["num_heads"] + 3)


def test_frozen_and_unused_weights_stay(inside: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused, self.frozen = (nn.Linear(16, 16, bias=False) for _ in range(3))
            self.frozen.requires_grad_(False)

        def forward(self, x: Tensor) -> Tensor:
            return self.frozen(self.used(x))

    model = Model()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    recipe = {"batch": 1, "rate": 0.1, "matrix_rate": 0.1, "warm_up": 1}
    batches = iter([torch.arange(16).float()[None]])
    run = inside("training_run").Run(model, recipe, batches, lambda chosen: model(chosen).square().mean())
    run.steps(1)
    changed = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert changed == {"used.weight"}
