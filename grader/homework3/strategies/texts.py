"""Texts and lists of words for the tokenizer."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from grader.homework3.shakespeare import shakespeare
from grader.judging.expect import show


@dataclass(frozen=True)
class TextCase:
    """A text to make a tokenizer from, a text to encode, and another one of the same length for the same tokenizer."""

    raw_text: str
    text: str
    other: str = ""

    def shown(self) -> dict[str, str]:
        """The inputs, for a person."""
        return {"raw_text": show(self.raw_text), "s": show(self.text)}


def _verses() -> list[str]:
    lines = [line for line in shakespeare()[:60_000].splitlines() if 10 < len(line) < 80 and not line.endswith(":")]
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
lines = st.sampled_from(_verses())
phrases = st.lists(st.sampled_from(_WORDS + _MARKS), min_size=1, max_size=8).map(" ".join)
glued = st.lists(st.sampled_from(_WORDS + _MARKS), min_size=1, max_size=8).map("".join)
letters = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)


def _dialogues() -> list[str]:
    return [
        speech
        for speech in shakespeare()[:60_000].split("\n\n")
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
