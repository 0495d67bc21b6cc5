"""All strategies: what a trial of each part is made of. Inputs are what the homework's own code can produce.

Sizes and a seed are drawn; arrays come from numpy by that seed, with one decimal, so that a shrunk case can be read.
B batch, T tokens, H heads, L layers, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from grader import assets
from grader.judging.expect import show
from grader.kernel.wire import Array

MASKS = ("none", "full", "causal", "previous", "padding", "random")
seeds = st.integers(0, 2**16 - 1)
START, PAD, UNK = 0, 1, 2


def numbers(rng: np.random.Generator, *shape: int) -> Array:
    """Ordinary floats of about unit size, one decimal, none of them 0."""
    values = np.round(rng.normal(size=shape), 1)
    return np.where(values == 0, 0.1, values).astype(np.float32)


def make_mask(kind: str, batch: int, tokens: int, rng: np.random.Generator) -> Array | None:
    """Float 0/1 mask (B, T, T) with at least one 1 in each row, or None; 1 where token i may attend to token j."""
    if kind == "none":
        return None
    places = np.arange(tokens)
    row, column = places[:, None], places[None, :]
    if kind == "causal":
        mask = np.broadcast_to(column <= row, (batch, tokens, tokens))
    elif kind == "previous":
        mask = np.broadcast_to((column == row) | (column == row - 1), (batch, tokens, tokens))
    elif kind == "padding":
        lengths = rng.integers(1, tokens + 1, size=batch)
        mask = np.broadcast_to(column[None] < lengths[:, None, None], (batch, tokens, tokens))
    elif kind == "random":
        chosen = rng.random((batch, tokens, tokens)) < 0.5
        always = rng.integers(0, tokens, size=(batch, tokens))
        mask = chosen | (np.arange(tokens)[None, None, :] == always[:, :, None])
    else:
        mask = np.ones((batch, tokens, tokens), dtype=bool)
    return np.ascontiguousarray(mask).astype(np.float32)


@dataclass(frozen=True)
class SequenceCase:
    """Tokens x (B, T, dim) and a mask, with the sizes of the module that they go through."""

    sizes: dict[str, int]
    batch: int
    tokens: int
    mask_kind: str
    seed: int
    x: Array = field(repr=False)
    mask: Array | None = field(repr=False)

    def __getattr__(self, name: str) -> int:
        try:
            return int(self.__dict__["sizes"][name])
        except KeyError:
            raise AttributeError(name) from None

    def rng(self) -> np.random.Generator:
        """Randomness of this case beyond its inputs: weights, cotangents, changes."""
        return np.random.default_rng([self.seed, 1])

    def shown(self) -> dict[str, str]:
        """The inputs, for a person."""
        return {
            ", ".join(self.sizes): ", ".join(str(size) for size in self.sizes.values()),
            "x": show(self.x),
            "attn_mask": show(self.mask),
        }


def sequences(
    *,
    masks: tuple[str, ...] = MASKS,
    least_tokens: int = 1,
    most_tokens: int = 5,
    least_batch: int = 1,
    most_batch: int = 3,
    **sizes: tuple[int, int],
) -> st.SearchStrategy[SequenceCase]:
    """Cases with each named size in its (least, most) range."""

    @st.composite
    def draw_case(draw: st.DrawFn) -> SequenceCase:
        chosen = {name: draw(st.integers(*bounds)) for name, bounds in sizes.items()}
        batch = draw(st.integers(least_batch, most_batch))
        tokens = draw(st.integers(least_tokens, most_tokens))
        kind = draw(st.sampled_from(masks))
        seed = draw(seeds)
        rng = np.random.default_rng(seed)
        x = numbers(rng, batch, tokens, chosen["dim"])
        return SequenceCase(chosen, batch, tokens, kind, seed, x, make_mask(kind, batch, tokens, rng))

    return draw_case()


def few_directions(rng: np.random.Generator, batch: int, tokens: int, dim: int) -> Array:
    """Tokens (B, T, dim) of ordinary length that lie in at most four directions, so that few of them tell a map."""
    count = min(dim, 4)
    directions = np.linalg.qr(rng.normal(size=(dim, count)))[0].T
    return np.asarray(rng.normal(size=(batch, tokens, count)) @ directions, np.float32)


def long_sequences(
    mask: str = "none", *, batch: int = 1, tokens: int = 65, **sizes: int
) -> st.SearchStrategy[SequenceCase]:
    """Cases of given sizes, by default with as many tokens as the homework's images have."""

    def case(seed: int) -> SequenceCase:
        rng = np.random.default_rng(seed)
        x = few_directions(rng, batch, tokens, sizes["dim"])
        return SequenceCase(sizes, batch, tokens, mask, seed, x, make_mask(mask, batch, tokens, rng))

    return seeds.map(case)


def square_sequences(least: int, most: int, *names: str, **how: Any) -> st.SearchStrategy[SequenceCase]:
    """Cases with as many tokens as each named size has, so that a wrong axis has the right size."""

    def of(size: int) -> st.SearchStrategy[SequenceCase]:
        same = dict.fromkeys(names, (size, size))
        return sequences(**{"least_tokens": size, "most_tokens": size, **same, **how})

    return st.integers(least, most).flatmap(of)


def plain_inputs(dim: int) -> tuple[Array, Array]:
    """x (2, 3, dim) and a mask of ones, to find out whether a module works at all."""
    return np.ones((2, 3, dim), np.float32), np.ones((2, 3, 3), np.float32)


def plain_ids() -> tuple[Array]:
    """Token ids (2, 3), to find out whether a module works at all."""
    return (np.array([[START, UNK, UNK + 1], [START, UNK + 1, UNK]], np.int64),)


def heads(**how: Any) -> st.SearchStrategy[SequenceCase]:
    """Cases for AttentionHead(dim, n_hidden)."""
    return sequences(dim=(1, 6), n_hidden=(1, 6), **how)


def multi_heads(**how: Any) -> st.SearchStrategy[SequenceCase]:
    """Cases for MultiHeadedAttention(dim, n_hidden, num_heads); n_hidden need not divide by num_heads."""
    return sequences(dim=(1, 6), n_hidden=(1, 5), num_heads=(1, 4), **how)


def transformers(*, least_layers: int = 1, **how: Any) -> st.SearchStrategy[SequenceCase]:
    """Cases for Transformer(dim, attn_dim, mlp_dim, num_heads, num_layers)."""
    return sequences(
        dim=(2, 6), attn_dim=(1, 5), mlp_dim=(1, 7), num_heads=(1, 3), num_layers=(least_layers, 3), **how
    )


@dataclass(frozen=True)
class ImageCase:
    """Images x (B, nin, img_size, img_size) and the sizes of a patch embedding."""

    patch_size: int
    side: int
    nin: int
    nout: int
    batch: int
    seed: int
    x: Array = field(repr=False)

    @property
    def img_size(self) -> int:
        """Pixels along an edge."""
        return self.patch_size * self.side

    def rng(self) -> np.random.Generator:
        """Randomness of this case beyond its inputs."""
        return np.random.default_rng([self.seed, 1])

    def shown(self) -> dict[str, str]:
        """The inputs, for a person."""
        return {
            "img_size, patch_size, nin, nout": f"{self.img_size}, {self.patch_size}, {self.nin}, {self.nout}",
            "x": show(self.x),
        }


def image_case(patch: int, side: int, nin: int, nout: int, batch: int, seed: int) -> ImageCase:
    """A case of given sizes."""
    x = numbers(np.random.default_rng(seed), batch, nin, patch * side, patch * side)
    return ImageCase(patch, side, nin, nout, batch, seed, x)


@st.composite
def images(draw: st.DrawFn) -> ImageCase:
    """Cases for PatchEmbed(img_size, patch_size, nin, nout)."""
    patch, side = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    nin, nout, batch = draw(st.integers(1, 4)), draw(st.integers(1, 7)), draw(st.integers(1, 3))
    return image_case(patch, side, nin, nout, batch, draw(seeds))


@st.composite
def other_images(draw: st.DrawFn) -> ImageCase:
    """Cases with no size as in the homework."""
    patch, side = draw(st.sampled_from(((1, 2), (2, 3), (3, 4), (5, 5), (6, 6), (7, 7))))
    nin, nout = draw(st.sampled_from((1, 2, 4))), draw(st.integers(2, 7))
    return image_case(patch, side, nin, nout, 1, draw(seeds))


@dataclass(frozen=True)
class GPTCase:
    """Token ids (B, T) and the sizes of a DialogueGPT."""

    sizes: dict[str, int]
    batch: int
    tokens: int
    seed: int
    input_ids: Array = field(repr=False)

    def __getattr__(self, name: str) -> int:
        try:
            return int(self.__dict__["sizes"][name])
        except KeyError:
            raise AttributeError(name) from None

    def rng(self) -> np.random.Generator:
        """Randomness of this case beyond its inputs."""
        return np.random.default_rng([self.seed, 1])

    def shown(self) -> dict[str, str]:
        """The inputs, for a person."""
        return {
            ", ".join(self.sizes): ", ".join(str(size) for size in self.sizes.values()),
            "input_ids": show(self.input_ids),
        }


@st.composite
def dialogues(
    draw: st.DrawFn,
    *,
    least_tokens: int = 4,
    batch: tuple[int, int] = (2, 2),
    full: bool = False,
    spare: int = 1,
    padded: bool = False,
    dim: tuple[int, int] = (5, 7),
) -> GPTCase:
    """Cases for DialogueGPT(vocab_size, max_N, dim, attn_dim, mlp_dim, num_heads, num_layers).

    Sequences are as the tokenizer makes them: the start token, then no other special one, and pads after it if ``padded``.
    They leave ``spare`` positions unused, unless they are ``full``. No two of batch, tokens and dim are equal by chance; where
    they are is for other strategies.
    """
    spare = 0 if full else spare
    tokens = draw(st.integers(least_tokens, max(least_tokens, 4)))
    sizes = {
        "vocab_size": draw(st.integers(8, 12)),
        "max_N": tokens + spare + (0 if full else draw(st.integers(0, 3))),
        "dim": draw(st.integers(*dim)),
        "attn_dim": draw(st.integers(1, 4)),
        "mlp_dim": draw(st.integers(1, 5)),
        "num_heads": draw(st.integers(1, 3)),
        "num_layers": draw(st.integers(1, 2)),
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
    sizes = {"vocab_size": 8, "max_N": 200, "dim": 4, "attn_dim": 2, "mlp_dim": 3, "num_heads": 2, "num_layers": 1}
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
    draw: st.DrawFn, *, least_batch: int = 1, least_real: int = 1, least_tokens: int = 2, padded: bool = False
) -> LossCase:
    """Cases for DialogueLoss: rows of at least ``least_real`` tokens, one of them full and, if ``padded``, one that is not.

    The vocabulary is larger than the number of tokens; where they are equal is for `losses_where_sizes_meet`.
    """
    vocab, batch = draw(st.integers(8, 10)), draw(st.integers(2 if padded else least_batch, 3))
    tokens = draw(st.integers(max(least_tokens, least_real + padded), max(6, least_real + 2)))
    full = draw(st.integers(0, batch - 1))
    lengths = [tokens if row == full else draw(st.integers(least_real, tokens)) for row in range(batch)]
    if padded:
        lengths[(full + 1) % batch] = draw(st.integers(least_real, tokens - 1))
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
    case = _loss_case(draw(st.integers(8, 10)), [draw(st.integers(4, 6))] * draw(st.integers(1, 2)), draw(seeds))
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


@dataclass(frozen=True)
class TextCase:
    """A text to make a tokenizer from, a text to encode, and another one of the same length for the same tokenizer."""

    raw_text: str
    text: str
    other: str = ""

    def shown(self) -> dict[str, str]:
        """The inputs, for a person."""
        return {"raw_text": show(self.raw_text), "s": show(self.text)}


def _shakespeare() -> list[str]:
    text = (assets.DATA / "shakespeare.txt").read_text(encoding="utf-8")
    lines = [line for line in text[:60_000].splitlines() if 10 < len(line) < 80 and not line.endswith(":")]
    return lines[:400]


_WORDS = (
    "the",
    "King",
    "king",
    "to",
    "be",
    "or",
    "not",
    "don't",
    "O",
    "Romeo",
    "it",
    "is",
    "I",
    "'tis",
    "love",
    "A",
)
_MARKS = (".", ",", "!", "?", ";", ":", "--", "'", '"', "(", ")", "...", "$", "%", "&")
lines = st.sampled_from(_shakespeare())
phrases = st.lists(st.sampled_from(_WORDS + _MARKS), min_size=1, max_size=8).map(" ".join)
glued = st.lists(st.sampled_from(_WORDS + _MARKS), min_size=1, max_size=8).map("".join)
letters = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)


def _dialogues() -> list[str]:
    text = (assets.DATA / "shakespeare.txt").read_text(encoding="utf-8")
    return [
        speech
        for speech in text[:60_000].split("\n\n")
        if speech.count(". ") + speech.count(".\n") > 0 and len(speech) < 300
    ]


speeches = st.sampled_from(_dialogues())
dense = st.sampled_from(
    (
        "Mr. Page's wife can't say 'tis o'er... or is it?\nSir John, e.g., knows!",
        "The king. The King! the the king, Mrs. Ford; St. George.\n\nKING:\nGo.",
        "Well--well: \"come, come,\" quoth he; he'll pay $3.50 (or 4%), not a d'oit.",
    )
)
"""Much at once of what tells tokenizers apart."""
texts = st.one_of(phrases, lines, glued, speeches, letters, dense, dense, dense)


@st.composite
def known_texts(draw: st.DrawFn) -> TextCase:
    """The texts to encode are part of the text that the vocabulary comes from."""
    before, text, after = draw(st.one_of(phrases, lines)), draw(texts), draw(phrases)
    return _known_text(before, text, after)


@st.composite
def long_texts(draw: st.DrawFn) -> TextCase:
    """A dialogue of more than 128 tokens, as the homework has some."""
    text = " ".join(draw(st.lists(speeches, min_size=3, max_size=3, unique=True)))
    while len(text.split()) < 130:
        text += " " + draw(speeches)
    return TextCase(f"{draw(phrases)}\n\n{text}", text)


def _known_text(before: str, text: str, after: str) -> TextCase:
    words = text.split(" ")
    other = " ".join(words[1:] + words[:1])
    return TextCase("\n\n".join([before, text, after, other]), text, other)


@st.composite
def any_texts(draw: st.DrawFn) -> TextCase:
    """The text to encode may hold words that the vocabulary lacks."""
    return TextCase(draw(st.one_of(phrases, lines)), draw(texts))


@dataclass(frozen=True)
class WordsCase:
    """Plain words, each once, of which the vocabulary holds only some: every way to split them is the same."""

    known: tuple[str, ...]
    words: tuple[str, ...]

    def shown(self) -> dict[str, str]:
        """The inputs, for a person."""
        return {"raw_text": show(" ".join(self.known)), "s": show(" ".join(self.words))}


_PLAIN = ("the", "king", "to", "be", "or", "not", "love", "is", "sweet", "sorrow")
_STRANGE = ("zounds", "xylem", "forsooth", "quux", "hamlet")


@st.composite
def words(draw: st.DrawFn) -> WordsCase:
    """The text to encode surely holds words that the vocabulary lacks."""
    known = draw(st.lists(st.sampled_from(_PLAIN), min_size=2, max_size=5, unique=True))
    strange = draw(st.lists(st.sampled_from(_STRANGE), min_size=1, max_size=3, unique=True))
    strange += [word.capitalize() for word in known if draw(st.booleans())]
    # Known words stand at both ends, so that a token lost there is no unknown one. One word is known letter by letter.
    inner = draw(st.permutations([*known[2:], *strange, "a"]))
    return WordsCase((*known, "a"), (known[0], *inner, known[1]))
