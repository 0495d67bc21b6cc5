"""Logits (B, T, V) with their ids, for the loss."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import strategies as st

from grader.homework3.strategies.basic import PAD, START, UNK, numbers, seeds
from grader.judging.expect import show
from grader.kernel.wire import Array


@dataclass(frozen=True)
class LossCase:
    """Logits (B, T, V), token ids (B, T) and the mask of real tokens (B, T), right-padded with the pad id 1."""

    vocab_size: int
    batch: int
    tokens: int
    seed: int
    logits: Array = field(repr=False)
    input_ids: Array = field(repr=False)
    inp_mask: Array = field(repr=False)

    def rng(self) -> np.random.Generator:
        """Randomness of this case beyond its inputs."""
        return np.random.default_rng([self.seed, 1])

    def shown(self) -> dict[str, str]:
        """The inputs, for a person."""
        return {
            "logits": show(self.logits),
            "input_ids": show(self.input_ids),
            "inp_mask": show(self.inp_mask),
        }


@st.composite
def losses(
    draw: st.DrawFn, *, least_batch: int = 1, least_real: int = 1, least_tokens: int = 2, pads: int = 0
) -> LossCase:
    """Cases for DialogueLoss: rows of at least ``least_real`` tokens, one of them full and one with at least ``pads`` pads.

    The vocabulary is larger than the number of tokens; where they are equal is for `losses_where_sizes_meet`.
    """
    vocab, batch = draw(st.integers(8, 10)), draw(st.integers(2 if pads else least_batch, 3))
    tokens = draw(st.integers(max(least_tokens, least_real + pads), max(6, least_real + 2)))
    full = draw(st.integers(0, batch - 1))
    lengths = [tokens if row == full else draw(st.integers(least_real, tokens)) for row in range(batch)]
    if pads:
        lengths[(full + 1) % batch] = draw(st.integers(least_real, tokens - pads))
    return _loss_case(vocab, lengths, draw(seeds))


@st.composite
def losses_where_sizes_meet(draw: st.DrawFn, which: str) -> LossCase:
    """As many tokens, or targets, as words in the vocabulary, or as sequences: ``which`` names the two."""
    tokens = draw(st.integers(4, 5))
    size = tokens - which.startswith("targets")
    vocab, batch = (size, draw(st.integers(1, 3))) if which.endswith("words") else (9, size)
    return _loss_case(vocab, [tokens] * batch, draw(seeds))


@st.composite
def losses_of_trained_models(draw: st.DrawFn) -> LossCase:
    """Logits up to 30: some tokens are predicted surely, so that their loss is 0, and some surely not."""
    case = _loss_case(
        draw(st.integers(8, 10)), [draw(st.integers(4, 6))] * draw(st.integers(1, 2)), draw(seeds)
    )
    rng = case.rng()
    surely = rng.integers(0, 3, size=case.input_ids[:, 1:].shape)
    surely[0, :2] = (0, 1)
    targets = case.input_ids[:, 1:, None]
    logits = 3 * case.logits
    aside = np.where(surely == 0, 30, np.where(surely == 1, -30, logits[:, :-1, 0]))
    np.put_along_axis(logits[:, :-1], targets, aside[..., None].astype(np.float32), axis=-1)
    other = (targets + 1) % case.vocab_size
    largest = np.where(surely == 1, 30, np.take_along_axis(logits[:, :-1], other, axis=-1)[..., 0])
    np.put_along_axis(logits[:, :-1], other, largest[..., None].astype(np.float32), axis=-1)
    return replace(case, logits=logits)


def padded_losses(*, least_real: int, least_tokens: int = 2) -> tuple[st.SearchStrategy[LossCase], ...]:
    """Cases with padding, by turns with two pads or more in a row and with one: the last logits of a row count for nothing."""
    return tuple(losses(least_real=least_real, least_tokens=least_tokens, pads=pads) for pads in (2, 1))


def long_losses() -> st.SearchStrategy[LossCase]:
    """One dialogue of about as many tokens as the homework's longest ones have."""
    return st.builds(lambda tokens, seed: _loss_case(5, [tokens], seed), st.integers(150, 200), seeds)


def _loss_case(vocab: int, lengths: list[int], seed: int) -> LossCase:
    rng = np.random.default_rng(seed)
    batch, tokens = len(lengths), max(lengths)
    real = np.arange(tokens)[None, :] < np.array(lengths)[:, None]
    ids = rng.integers(UNK, vocab, size=(batch, tokens))
    ids[:, 0] = START
    ids = np.where(real, ids, PAD).astype(np.int64)
    logits = numbers(rng, batch, tokens, vocab)
    return LossCase(vocab, batch, tokens, seed, logits, ids, real.astype(np.float32))
