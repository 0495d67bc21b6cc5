"""Problem 2: a Transformer, from one attention head up.

B batch, T tokens, H heads, L layers. A mask holds 1 where token i may attend to token j, and else 0.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AttentionHead(nn.Module):
    """One head of scaled dot-product self-attention.

    ``forward(x, attn_mask)`` takes ``x`` of shape (B, T, dim) and returns ``(attn_output, alpha)``.
    ``attn_output`` has shape (B, T, n_hidden) and ``alpha`` has shape (B, T, T).

    What will be judged:

    * Queries, keys and values are ``W_Q``, ``W_K`` and ``W_V`` of each token, as the constructor provides
      them.
    * Row i of ``alpha`` is the softmax, over the tokens that token i may attend to, of the inner products
      of query i with their keys, divided by sqrt(n_hidden).
    * Each row of ``alpha`` sums to 1, and no weight is negative.
    * ``attn_mask`` is None, which permits everything, or a float tensor of zeros and ones of shape (B, T,
      T) with at least one 1 in each row.
    * Where ``attn_mask[b, i, j]`` is 0, ``alpha[b, i, j]`` is 0 (at most 1e-6).
    * A token that token i may not attend to has no influence on output i.
    * ``attn_output`` is the sum of the values weighted by ``alpha``.
    * The sequences of a batch do not influence each other.
    * The inputs are not changed.
    * Outputs stay finite for scores as large as 1e4.
    * The same input gives the same output in train and in eval mode.
    * Every parameter gets a gradient from ``attn_output``; that of the key's bias is zero, as a softmax
      ignores shifts.
    """

    def __init__(self, dim: int, n_hidden: int) -> None:
        """``dim`` is the size of a token, ``n_hidden`` that of its query, key and value."""
        super().__init__()
        self.W_K = nn.Linear(dim, n_hidden)
        self.W_Q = nn.Linear(dim, n_hidden)
        self.W_V = nn.Linear(dim, n_hidden)
        self.n_hidden = n_hidden

    def forward(self, x: Tensor, attn_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the output for every token (B, T, n_hidden) and the attention weights (B, T, T)."""
        # ======= Answer START ========
        # Task: make queries, keys and values, and from them alpha (mind attn_mask) and attn_output.
        # Which input does a softmax turn into a weight of zero?

        q, k, v = self.W_Q(x), self.W_K(x), self.W_V(x)  # each (B, T, n_hidden)
        scores = q @ k.transpose(1, 2) / math.sqrt(self.n_hidden)  # (B, T, T)
        if attn_mask is not None:
            scores = scores.masked_fill(attn_mask == 0, -math.inf)
        alpha = F.softmax(scores, dim=-1)  # (B, T, T)
        attn_output = alpha @ v  # (B, T, n_hidden)
        # ======= Answer END ========
        return attn_output, alpha


class MultiHeadedAttention(nn.Module):
    """Several attention heads side by side, joined by one linear map.

    ``forward(x, attn_mask)`` takes ``x`` of shape (B, T, dim) and returns ``(attn_output, alphas)``.
    ``attn_output`` has shape (B, T, dim) and ``alphas`` has shape (B, H, T, T).

    What will be judged:

    * The module has ``num_heads`` heads, each of which works as ``AttentionHead(dim, n_hidden)`` does.
    * ``n_hidden`` is the size of each head, not of all heads together.
    * Every head has weights of its own, and all of them are registered as parameters of the module.
    * The outputs of the heads stand side by side, in the order in which the heads were built, and one
      linear map (W_O) takes them to ``dim``.
    * Nothing else is added: no residual, no activation, no normalisation, no dropout.
    * ``alphas[:, h]`` holds the attention weights of the h-th head that was built.
    * ``attn_mask``, which is None or of shape (B, T, T), reaches every head.
    """

    def __init__(self, dim: int, n_hidden: int, num_heads: int) -> None:
        """``dim`` is the size of a token, ``n_hidden`` the size of each of the ``num_heads`` heads."""
        super().__init__()
        # ======= Answer START ========
        # Task: build the heads and W_O. What is the size of W_O?

        self.heads = nn.ModuleList(AttentionHead(dim, n_hidden) for _ in range(num_heads))
        self.W_O = nn.Linear(num_heads * n_hidden, dim)
        # ======= Answer END ========

    def forward(self, x: Tensor, attn_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the output for every token (B, T, dim) and the weights of every head (B, H, T, T)."""
        # ======= Answer START ========
        # Task: run the heads one after the other, join their outputs and project them.

        outputs, alphas = zip(*(head(x, attn_mask) for head in self.heads), strict=True)
        attn_output = self.W_O(torch.cat(outputs, dim=-1))  # (B, T, H * n_hidden) -> (B, T, dim)
        return attn_output, torch.stack(alphas, dim=1)  # (B, T, dim), (B, H, T, T)
        # ======= Answer END ========


class FFN(nn.Module):
    """Normalise each token, widen it, bend it, and bring it back to its size."""

    def __init__(self, dim: int, n_hidden: int) -> None:
        """``dim`` is the size of a token, ``n_hidden`` the size between the two linear maps."""
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, n_hidden),
            nn.GELU(),
            nn.Linear(n_hidden, dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Treat every token alike: (B, T, dim) -> (B, T, dim)."""
        out: Tensor = self.net(x)
        return out


class AttentionResidual(nn.Module):
    """One layer of the Transformer: attention, then the feed-forward network, each added to what came in."""

    def __init__(self, dim: int, attn_dim: int, mlp_dim: int, num_heads: int) -> None:
        """``attn_dim`` is the size of each head, ``mlp_dim`` the inner size of the feed-forward network."""
        super().__init__()
        self.attn = MultiHeadedAttention(dim, attn_dim, num_heads)
        self.ffn = FFN(dim, mlp_dim)

    def forward(self, x: Tensor, attn_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the new tokens (B, T, dim) and the attention weights (B, H, T, T)."""
        attn_out, alphas = self.attn(x=x, attn_mask=attn_mask)
        x = attn_out + x  # (B, T, dim)
        x = self.ffn(x) + x  # (B, T, dim)
        return x, alphas


class Transformer(nn.Module):
    """A stack of AttentionResidual layers.

    ``forward(x, attn_mask, return_attn=False)`` takes ``x`` (B, T, dim) and returns ``(output, alphas)``.
    ``output`` has shape (B, T, dim).

    What will be judged:

    * The module has ``num_layers`` layers ``AttentionResidual(dim, attn_dim, mlp_dim, num_heads)``.
    * Every layer has weights of its own, and all of them are registered as parameters of the module.
    * The input passes through the layers in sequence, in the order in which they were built.
    * Nothing comes before, between or after the layers.
    * ``attn_mask``, which is None or of shape (B, T, T), reaches each layer as it was given.
    * With ``return_attn=False`` the second value returned is None.
    * With ``return_attn=True`` it is a tensor of shape (B, L, H, T, T), in the order of the layers.
    """

    def __init__(self, dim: int, attn_dim: int, mlp_dim: int, num_heads: int, num_layers: int) -> None:
        """All but ``num_layers`` is for the layers, which are alike."""
        super().__init__()
        # ======= Answer START ========
        # Task: build the layers.

        self.layers = nn.ModuleList(
            AttentionResidual(dim, attn_dim, mlp_dim, num_heads) for _ in range(num_layers)
        )
        # ======= Answer END ========

    def forward(
        self, x: Tensor, attn_mask: Tensor | None, return_attn: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return the tokens after the last layer and, if asked for, the attention weights of all layers."""
        # ======= Answer START ========
        # Task: send x through the layers, and collect their attention weights if return_attn asks for them.

        collected: list[Tensor] = []
        for layer in self.layers:
            x, alphas = layer(x, attn_mask)  # (B, T, dim), (B, H, T, T)
            collected.append(alphas)
        return x, torch.stack(collected, dim=1) if return_attn else None  # (B, T, dim), (B, L, H, T, T)
        # ======= Answer END ========
