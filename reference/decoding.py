"""Problems 4h and 4i, in code: nucleus sampling, and generation with a key-value cache.

B batch, T tokens, V vocabulary, H heads.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from reference.gpt import DialogueGPT
from reference.transformer import AttentionHead


def nucleus(probs: Tensor, p: float) -> Tensor:
    """Keep the fewest most likely tokens that together have probability ``p``, and scale them to sum to 1.

    ``probs`` has shape (..., V), as has the result, which is 0 outside the nucleus.
    """
    ranked, order = probs.sort(dim=-1, descending=True, stable=True)
    mass_before = ranked.cumsum(dim=-1) - ranked
    outside = mass_before >= p
    outside[..., 0] = False  # the most likely token stays, however small p is
    ranked = ranked.masked_fill(outside, 0.0)
    return torch.zeros_like(probs).scatter(-1, order, ranked / ranked.sum(dim=-1, keepdim=True))


@torch.no_grad()
def generate_nucleus(
    model: DialogueGPT,
    input_ids: Tensor,
    num_tokens: int,
    p: float = 0.9,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Append ``num_tokens`` tokens, each drawn from the nucleus: (B, T) -> (B, T + num_tokens)."""
    for _ in range(num_tokens):
        logits, _ = model(input_ids)  # (B, T, V)
        probs = nucleus(F.softmax(logits[:, -1], dim=-1), p)  # (B, V)
        next_id = torch.multinomial(probs, num_samples=1, generator=generator)  # (B, 1)
        input_ids = torch.cat([input_ids, next_id], dim=1)
    return input_ids


@dataclass
class HeadCache:
    """The keys and values (B, T, n_hidden) that one attention head has computed so far."""

    keys: Tensor | None = None
    values: Tensor | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add those of new tokens, and return those of all."""
        self.keys = keys if self.keys is None else torch.cat([self.keys, keys], dim=1)
        self.values = values if self.values is None else torch.cat([self.values, values], dim=1)
        return self.keys, self.values


def attend_cached(head: AttentionHead, x: Tensor, cache: HeadCache) -> Tensor:
    """What ``head`` returns for new tokens x (B, new, dim), which may attend to all that are in the cache."""
    k, v = cache.append(head.W_K(x), head.W_V(x))  # (B, T, n_hidden)
    scores = head.W_Q(x) @ k.transpose(1, 2) / math.sqrt(head.n_hidden)  # (B, new, T)
    new, T = scores.shape[1:]
    causal = torch.ones(new, T, dtype=torch.bool, device=x.device).tril(T - new)
    return F.softmax(scores.masked_fill(~causal, -math.inf), dim=-1) @ v  # (B, new, n_hidden)


@torch.no_grad()
def generate_cached(model: DialogueGPT, input_ids: Tensor, num_tokens: int) -> Tensor:
    """The same tokens as ``model.generate``, computing each token's keys and values only once."""
    layers: list[Any] = list(model.transformer.layers)
    caches = [[HeadCache() for _ in layer.attn.heads] for layer in layers]
    seen = 0
    for _ in range(num_tokens):
        positions = torch.arange(seen, input_ids.shape[1], device=input_ids.device)  # (new,)
        x = model.token_E(input_ids[:, seen:]) + model.pos_E(positions)  # (B, new, dim)
        for layer, layer_caches in zip(layers, caches, strict=True):
            heads = zip(layer.attn.heads, layer_caches, strict=True)
            outputs = [attend_cached(head, x, cache) for head, cache in heads]  # H of (B, new, n_hidden)
            x = layer.attn.W_O(torch.cat(outputs, dim=-1)) + x
            x = layer.ffn(x) + x
        next_id = model.head(x[:, -1]).argmax(dim=-1, keepdim=True)  # (B, 1)
        seen = input_ids.shape[1]
        input_ids = torch.cat([input_ids, next_id], dim=1)
    return input_ids
