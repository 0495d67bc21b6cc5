"""Batches of token ids (B, T) for the GPT."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import strategies as st

from grader.homework3.strategies.basic import PAD, START, UNK, SizedCase, seeds
from grader.kernel.wire import Array


def plain_ids() -> tuple[Array]:
    """Token ids (2, 3), to find out whether a module works at all."""
    return (np.array([[START, UNK, UNK + 1], [START, UNK + 1, UNK]], np.int64),)


@dataclass(frozen=True)
class GPTCase(SizedCase):
    """Token ids (B, T) and the sizes of a DialogueGPT."""

    sizes: dict[str, int]
    batch: int
    tokens: int
    seed: int
    input_ids: Array = field(repr=False)

    def shown(self) -> dict[str, str]:
        """The inputs, for a person."""
        return self.shown_with({"input_ids": self.input_ids})


@st.composite
def dialogues(
    draw: st.DrawFn,
    *,
    least_tokens: int = 4,
    batch: tuple[int, int] = (2, 2),
    spare: int | None = 1,
    padded: bool = False,
    dim: tuple[int, int] = (5, 7),
    single: bool = False,
) -> GPTCase:
    """Cases for DialogueGPT(vocab_size, max_N, dim, attn_dim, mlp_dim, num_heads, num_layers).

    Sequences are as the tokenizer makes them: the start token, then no other special one, and pads after it if ``padded``.
    They leave ``spare`` positions or more unused, and with None not one. No two of batch, tokens and dim are equal by chance,
    and there are several heads and layers unless both are ``single``; what is equal, or 1, is so by construction.
    """
    tokens = draw(st.integers(least_tokens, max(least_tokens, 4)))
    sizes = {
        "vocab_size": draw(st.integers(8, 12)),
        "max_N": tokens + (0 if spare is None else spare + draw(st.integers(0, 3))),
        "dim": draw(st.integers(*dim)),
        "attn_dim": draw(st.integers(1, 4)),
        "mlp_dim": draw(st.integers(1, 5)),
        "num_heads": draw(st.integers(1, 1) if single else st.integers(2, 3)),
        "num_layers": draw(st.integers(1, 1) if single else st.integers(2, 2)),
    }
    return _gpt_case(sizes, draw(st.integers(*batch)), tokens, draw(seeds), padded)


@st.composite
def square_dialogues(draw: st.DrawFn, *, spare: int = 1) -> GPTCase:
    """Batch, tokens and dim are equal, and max_N is larger than the vocabulary."""
    case = draw(dialogues(least_tokens=4, batch=(4, 4), dim=(4, 4)))
    return replace(case, sizes=case.sizes | {"max_N": case.vocab_size + spare})


@st.composite
def homework_dialogues(draw: st.DrawFn, *, tokens: int = 200) -> GPTCase:
    """One sequence of the homework's length, and max_N = 200; all else is small."""
    sizes = {
        "vocab_size": 8,
        "max_N": 200,
        "dim": 4,
        "attn_dim": 2,
        "mlp_dim": 3,
        "num_heads": 2,
        "num_layers": 1,
    }
    return _gpt_case(sizes, 1, tokens, draw(seeds), False)


def _gpt_case(sizes: dict[str, int], batch: int, tokens: int, seed: int, padded: bool) -> GPTCase:
    rng = np.random.default_rng(seed)
    ids = rng.integers(UNK, sizes["vocab_size"], size=(batch, tokens))
    ids[:, 0] = START
    if padded:
        ids[-1, int(rng.integers(2, tokens)) :] = PAD
    return GPTCase(sizes, batch, tokens, seed, ids.astype(np.int64))


def next_words(ids: Array, vocab_size: int, step: int = 1) -> Array:
    """Other token ids, none of them the start or the pad id."""
    return UNK + (ids - UNK + step) % (vocab_size - UNK)
