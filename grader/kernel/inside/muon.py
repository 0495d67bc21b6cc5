"""The optimizer Muon, whose steps are equally large in all directions of a matrix. It needs half as many images as AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

LEAST_SIDE = 16
"""Rows and columns of the smallest matrix that Muon is good for; AdamW suits the rows of a classifier and of a table better."""
MOMENTUM = 0.85
NEWTON_SCHULZ_STEPS = 4
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of a quintic that brings all singular values near 1, from https://kellerjordan.github.io/posts/muon."""
AS_LARGE_AS_ADAMW = 0.2
"""Root mean square of a step of AdamW for a rate of 1, so that rates mean the same, from https://arxiv.org/abs/2502.16982."""


def matrices(model: nn.Module) -> list[nn.Parameter]:
    """The trainable weights of a model that map tokens to tokens: large enough matrices, no embeddings and no other shapes."""
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    return [
        weight
        for weight in model.parameters()
        if weight.requires_grad
        and weight.is_floating_point()
        and weight.ndim == 2
        and min(weight.shape) >= LEAST_SIDE
        and id(weight) not in tables
    ]


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov's momentum and decoupled weight decay.

    It treats all matrices of a shape together. `torch.optim.Muon`, which torch has since 2.9, treats one after the other, which
    takes twice as long for the 72 small ones of a Vision Transformer.
    """

    def __init__(self, weights: Iterable[nn.Parameter], lr: float, weight_decay: float = 0.01) -> None:
        super().__init__(list(weights), {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step by the gradients."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[nn.Parameter]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape.setdefault(tuple(weight.shape), []).append(weight)
            for shape, weights in by_shape.items():
                rate = group["lr"] * AS_LARGE_AS_ADAMW * max(shape) ** 0.5
                for weight, step in zip(weights, orthogonal(self._momentum(weights)), strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(step, alpha=rate)

    def _momentum(self, weights: Sequence[nn.Parameter]) -> Tensor:
        """What the gradients of matrices of one shape have been of late: (number, rows, columns)."""
        for weight in weights:
            state = self.state[weight]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(weight)
            state["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
        gradients = torch.stack([weight.grad for weight in weights if weight.grad is not None])
        return gradients.lerp(torch.stack([self.state[weight]["momentum"] for weight in weights]), MOMENTUM)


def orthogonal(matrix: Tensor) -> Tensor:
    """Matrices (..., rows, columns) with the same singular vectors and singular values near 1, by Newton-Schulz iteration."""
    if matrix.shape[-2] > matrix.shape[-1]:
        return orthogonal(matrix.mT).mT
    first, third, fifth = NEWTON_SCHULZ
    matrix = matrix / torch.linalg.matrix_norm(matrix, keepdim=True).clamp(min=1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = matrix @ matrix.mT
        polynomial = torch.baddbmm(square, square, square, beta=third, alpha=fifth)
        matrix = torch.baddbmm(matrix, polynomial, matrix, beta=first)
    return matrix
