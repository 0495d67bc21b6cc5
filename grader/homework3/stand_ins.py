"""Stand-ins for the parts that others of Homework 3 build on: known token mixing and one linear map, no solution.

The kernel runs this file; it gets its text from the judge and imports nothing but torch and the base of all stand-ins. Masks
may be (T, T), (1, T, T) or (B, T, T), of any dtype, or None.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from standins import StandIn
from torch import Tensor


class TokenMixer(StandIn):  # type: ignore[misc]  # the kernel knows its type
    """Mixes tokens by the row-normalized mask that it is given, and records each call with its input and its mask."""

    def mix(self, x: Tensor, attn_mask: Any) -> Tensor:
        """Token mixing (B, T, T): each row spreads evenly over the tokens that the mask permits."""
        if self.weight is not self.built_with[0]:  # as by torch.func.functional_call
            raise TypeError(f"{type(self).__name__} is called with other parameters than its own")
        self.record(x, attn_mask)
        return self.mixing(x, attn_mask)

    def mixing(self, x: Tensor, attn_mask: Any) -> Tensor:
        """The mixing of a mask that fits, without a record of the call."""
        batch, tokens = x.shape[0], x.shape[1]
        if attn_mask is None:
            return x.new_full((batch, tokens, tokens), 1.0 / tokens)
        mask = torch.as_tensor(attn_mask).to(device=x.device, dtype=x.dtype)
        while mask.dim() < 3:
            mask = mask.unsqueeze(0)
        if mask.dim() == 4 and mask.shape[1] == 1:
            mask = mask[:, 0]
        mask = (mask.expand(batch, tokens, tokens) > 0).to(x.dtype)
        # A row that permits nothing mixes nothing: a wrong mask is the mask's property's to find, not that of all which follow.
        return mask / mask.sum(-1, keepdim=True).clamp_min(1.0)

    def marks(self, heads: int, mixing: Tensor, x: Tensor) -> Tensor:
        """Recognizable attention weights (B, heads, T, T): the mixing, tilted by head, by instance and by the tokens."""
        tilt = _tilt(mixing.shape[-1], heads, 3 * self.index).to(mixing)
        # In float64, so that the judge gets the same for inputs of any size.
        seen = x.detach().to(torch.float64) @ _cosines(x.shape[-1]).to(x.device)
        of_token = (1.0 + 0.5 * seen / (1.0 + seen.abs())).to(mixing.dtype)  # (B, T)
        tilted = mixing[:, None] * (tilt * of_token[:, None, None])  # (B, heads, T, T)
        total = tilted.sum(-1, keepdim=True)
        return tilted / torch.where(total > 0, total, 1.0)


class AttentionHead(TokenMixer):
    """Stands in for the student's AttentionHead where MultiHeadedAttention is judged."""

    names = ("dim", "n_hidden")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.n_hidden = self.settings["n_hidden"]

    def shape(self) -> tuple[int, int]:
        """(dim, n_hidden)."""
        return self.settings["dim"], self.settings["n_hidden"]

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """x (B, T, dim), attn_mask -> (B, T, n_hidden) and (B, T, T)."""
        x, attn_mask = self._ordered("forward", ("x", "attn_mask"), args, kwargs)
        mixing = self.mix(x, attn_mask)
        return mixing @ x @ self.weight, self.marks(1, mixing, x)[:, 0]


class AttentionResidual(TokenMixer):
    """Stands in for AttentionResidual where Transformer is judged."""

    names = ("dim", "attn_dim", "mlp_dim", "num_heads")

    def shape(self) -> tuple[int, int]:
        """(dim, dim)."""
        return self.settings["dim"], self.settings["dim"]

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """x (B, T, dim), attn_mask -> (B, T, dim) and (B, H, T, T)."""
        x, attn_mask = self._ordered("forward", ("x", "attn_mask"), args, kwargs)
        mixing = self.mix(x, attn_mask)
        return x + mixing @ x @ self.weight, self.marks(self.settings["num_heads"], mixing, x)


class Transformer(TokenMixer):
    """Stands in for the student's Transformer where DialogueGPT is judged.

    A mask of a shape that it does not take is recorded and does nothing: it is one property's to find, not everyone's.
    """

    names = ("dim", "attn_dim", "mlp_dim", "num_heads", "num_layers")
    pinned: Tensor | None = None

    def pin(self, output: Tensor) -> None:
        """Return ``output`` (1, T, dim) for every sequence from now on, whatever comes in."""
        self.pinned = output

    def mixing(self, x: Tensor, attn_mask: Any) -> Tensor:
        """The mixing of a mask that fits, and that of no mask for any other."""
        batch, tokens = x.shape[:2]
        shape = tuple(getattr(attn_mask, "shape", (tokens, tokens)))
        fits = shape in ((tokens, tokens), (1, tokens, tokens), (batch, tokens, tokens))
        return super().mixing(x, attn_mask if fits else None)

    def shape(self) -> tuple[int, int]:
        """(dim, dim)."""
        return self.settings["dim"], self.settings["dim"]

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
        """x (B, T, dim), attn_mask, return_attn=False -> (B, T, dim) and None or (B, L, H, T, T)."""
        x, attn_mask, return_attn = self._ordered("forward", ("x", "attn_mask", "return_attn"), args, kwargs)
        mixing = self.mix(x, attn_mask)
        layers, heads = self.settings["num_layers"], self.settings["num_heads"]
        alphas = self.marks(layers * heads, mixing, x).unflatten(1, (layers, heads)) if return_attn else None
        if self.pinned is not None:
            return self.pinned.expand(x.shape), alphas
        return x + mixing @ x @ self.weight, alphas


@functools.lru_cache(maxsize=256)
def _tilt(tokens: int, heads: int, shift: int) -> Tensor:
    """By what stand-ins' attention weights differ between heads (heads, 1, T)."""
    return 1.0 + ((torch.arange(tokens) + torch.arange(heads)[:, None, None] + shift) % 5).to(torch.float32)


@functools.lru_cache(maxsize=64)
def _cosines(size: int) -> Tensor:
    return torch.cos(torch.arange(size, dtype=torch.float64))
