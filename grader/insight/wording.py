"""What answers are compared by where they are not identical: their words, and the marks that must not differ.

A mark is a number, a formula, a negation, a name such as RNN, or a word that says the opposite of another one. In similar
answers the same marks stand in the same order, in the whole answer or in each of its sentences, among the same words. So
*A is linear and B is not* never meets its reverse.
"""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from grader.insight.contrasts import CONTRASTS, FILLERS, NEGATIONS, NUMBERS, OPPOSING
from grader.insight.normalize import Piece

_REMARK = 4
"""Sentences with fewer words than this need no counterpart."""
_SHORTEST = 4
"""Letters of a word that others may be misspellings of."""
_SURE = 5
"""Letters of a word that is taken for a misspelling of one that nobody else used."""
_MOST_PAIRED = 60
"""Sentences; answers with more are only alike if their marks stand in the same order."""
_LONGEST_TRIMMED = 200
"""Symbols of a formula."""
_COMMON = 0.4
"""The share of words that two sentences with the same marks have in common."""
_NEAR = 2
"""Words beside a negation."""
_IN_ORDER = 0.8
"""The share of common words that stand in the same order."""
_OPERATORS = frozenset("_^=+*/\\<>")
_PAUSES = frozenset(".,;:—?!\"'")
_ENDS = frozenset(".;?!")
_POINTERS = frozenset(["above", "below"])
"""They say nothing at the end of a sentence, as in *see above*."""
_OPEN, _CLOSED = "([{", ")]}"


class Step(NamedTuple):
    """A word, a mark, or the end of a sentence."""

    kind: Literal["word", "mark", "stop"]
    text: str


_NOT = Step("mark", "not")


@dataclass(frozen=True)
class Sentence:
    """The words and marks of a sentence, in order."""

    steps: tuple[Step, ...]

    @cached_property
    def words(self) -> frozenset[Step]:
        """Its distinct words."""
        return frozenset(step for step in self.steps if step.kind == "word")

    @cached_property
    def marks(self) -> tuple[Step, ...]:
        """Its marks, in order."""
        return tuple(step for step in self.steps if step.kind == "mark")

    @cached_property
    def is_bare(self) -> bool:
        """Whether it is a number or a formula alone, of which only its place says what it belongs to."""
        return bool(self.marks) and not self.words and not self.is_equation

    @cached_property
    def is_equation(self) -> bool:
        """Whether all of its marks are equations, which say themselves what they are about."""
        return all("=" in mark.text.split(" ") for mark in self.marks)

    def fits(self, other: Sentence) -> bool:
        """Whether both have the same marks in the same order, among the same words."""
        if self.marks != other.marks:
            return False
        if self.is_equation:
            return True
        common, least = len(self.words & other.words), min(len(self.words), len(other.words))
        return common >= _COMMON * least and _in_order(self.steps, other.steps) and _deny_alike(self.steps, other.steps)


@dataclass(frozen=True)
class Wording:
    """The words of an answer, counted, and its sentences."""

    words: frozenset[str]
    """Each word and mark with its number; a formula counts as many times as it has symbols."""
    distinct: frozenset[Step]
    sentences: tuple[Sentence, ...]
    signature: tuple[Step, ...]
    """All marks, sorted: answers whose signatures differ are never similar."""

    def similarity(self, other: Wording, least: float) -> float:
        """The share of words in common; 0 if it is below `least` or something that must not differ differs."""
        small, large = sorted((len(self.words), len(other.words)))
        if not large or small < least * large:
            return 0.0
        common = len(self.words & other.words)
        value = common / (small + large - common)
        if value < least or not (self._is_covered_by(other) and other._is_covered_by(self)):
            return 0.0
        return value if self._fits(other) else 0.0

    def _is_covered_by(self, other: Wording) -> bool:
        return all(
            2 * _weight(other.distinct.intersection(sentence.steps)) >= _weight(set(sentence.steps))
            for sentence in self.sentences
            if len(sentence.steps) >= _REMARK
        )

    def _fits(self, other: Wording) -> bool:
        if self.signature != other.signature:
            return False
        here, there = (Sentence(tuple(_joined(one.sentences))) for one in (self, other))
        if here.marks == there.marks and _in_order(here.steps, there.steps) and _deny_alike(here.steps, there.steps):
            return True
        if _bare(self.sentences) != _bare(other.sentences):
            return False
        return _paired([s for s in self.sentences if s.marks], [s for s in other.sentences if s.marks])


def _weight(steps: Iterable[Step]) -> int:
    """The words and symbols of some steps."""
    return sum(len(step.text.split(" ")) for step in steps)


def _joined(sentences: Iterable[Sentence]) -> Iterator[Step]:
    for sentence in sentences:
        yield from sentence.steps


def _bare(sentences: Iterable[Sentence]) -> list[tuple[Step, ...]]:
    return [sentence.marks for sentence in sentences if sentence.is_bare]


def _in_order(here: Sequence[Step], there: Sequence[Step]) -> bool:
    """Whether nearly all that both have exactly once stands in the same order."""
    once, other = ({step for step, n in Counter(steps).items() if n == 1} for steps in (here, there))
    places = {step: i for i, step in enumerate(there) if step in other}
    shared = [places[step] for step in here if step in once and step in places]
    rising: list[int] = []
    for place in shared:
        at = bisect.bisect(rising, place)
        rising[at : at + 1] = [place]
    return len(rising) >= _IN_ORDER * len(shared)


def _deny_alike(here: Sequence[Step], there: Sequence[Step]) -> bool:
    """Whether each negation stands near something that it stands near in the other, on the same side."""
    for one, other in zip(_around_negations(here), _around_negations(there), strict=True):
        sides = tuple(zip(one, other, strict=True))
        if not any(left & right for left, right in sides) and any(left or right for left, right in sides):
            return False
    return True


def _around_negations(steps: Sequence[Step]) -> list[tuple[set[Step], set[Step]]]:
    places = [i for i, step in enumerate(steps) if step == _NOT]
    return [(set(steps[max(0, i - _NEAR) : i]), set(steps[i + 1 : i + 1 + _NEAR])) for i in places]


def _paired(here: Sequence[Sentence], there: Sequence[Sentence]) -> bool:
    """Whether each sentence has a partner of its own that fits it."""
    by_marks: dict[tuple[Step, ...], list[Sentence]] = defaultdict(list)
    for sentence in there:
        by_marks[sentence.marks].append(sentence)
    if len(here) != len(there) or len(here) > _MOST_PAIRED:
        return False
    for sentence in here:
        left = by_marks[sentence.marks]
        partners = [other for other in left if sentence.fits(other)]
        if not partners:
            return False
        left.remove(max(partners, key=lambda other: len(sentence.words & other.words)))
    return True


@dataclass(frozen=True)
class Vocabulary:
    """The words of all answers to an item."""

    words: frozenset[str]
    names: frozenset[str]
    """Names such as RNN, in lower case."""
    spelling: Mapping[str, str]
    """What rare words are likely misspellings of."""


def read_wording(parts: Sequence[Piece], vocabulary: Vocabulary) -> Wording:
    """The wording of an answer's tokens."""
    sentences: list[list[Step]] = [[]]
    for step in _steps(parts, vocabulary):
        if step.kind == "stop":
            sentences.append([])
        else:
            sentences[-1].append(step)
    seen: Counter[Step] = Counter()
    words = set()
    for step in (step for steps in sentences for step in steps):
        for _ in step.text.split(" "):
            seen[step] += 1
            words.add(f"{step.kind} {step.text} {seen[step]}")
    found = tuple(Sentence(tuple(steps)) for steps in sentences if steps)
    marks = sorted(mark for sentence in found for mark in sentence.marks)
    return Wording(frozenset(words), frozenset(seen), found, tuple(marks))


def _steps(parts: Sequence[Piece], vocabulary: Vocabulary) -> Iterator[Step]:
    """Words, marks and ends of sentences, in order."""
    run: list[str] = []
    last = ""
    for i, (text, kind) in enumerate([*parts, Piece("", "stop")]):
        around = {parts[i - 1].text if i else "", parts[i + 1].text if i + 1 < len(parts) else ""}
        is_word = kind == "word" or (kind == "exact" and _is_spoken(text) and not around & _OPERATORS)
        goes_on = kind == "math" or (kind == "exact" and not is_word and text not in _PAUSES)
        if run and (not goes_on or kind != last):
            yield from _mark(run)
            run = []
        last = kind
        if goes_on:
            run.append(text)
        elif kind == "stop" or (kind == "exact" and text in _ENDS):
            yield Step("stop", "")
        elif is_word:
            word = _singular(text)
            word = vocabulary.spelling.get(word, word)
            if word not in _POINTERS or (i + 1 < len(parts) and parts[i + 1].kind != "stop"):
                yield from _word(word, vocabulary)


def _is_spoken(text: str) -> bool:
    """Whether a token whose case counts is more likely a name or a misspelt word than a variable."""
    return len(text) >= 3 and text.removesuffix("'s").isalpha()


def _singular(text: str) -> str:
    """A token in lower case; RNNs and RNN's are RNN."""
    text = text.removesuffix("'s")
    return (text[:-1] if text.endswith("s") and text[:-1].isupper() else text).lower()


def _mark(run: list[str]) -> Iterator[Step]:
    """A formula or number as one mark, without brackets and hyphens that belong to the words around it."""
    if len(run) > _LONGEST_TRIMMED:
        yield Step("mark", " ".join(run))
        return
    while run and (run[0] in _CLOSED or (run[0] in _OPEN and not _balanced(run)) or run[0] in "/&|#"):
        run = run[1:]
    while run and (run[-1] in _OPEN or (run[-1] in _CLOSED and not _balanced(run)) or run[-1] in "-/&|#"):
        run = run[:-1]
    while len(run) > 1 and run[0] == "(" and run[-1] == ")" and _balanced(run[1:-1]):
        run = run[1:-1]
    if run and run not in (["a"], ["A"], ["I"], ["i"]) and any(character.isalnum() for text in run for character in text):
        yield Step("mark", " ".join(run))


def _balanced(run: Sequence[str]) -> bool:
    depth = 0
    for text in run:
        depth += (text in _OPEN) - (text in _CLOSED)
        if depth < 0:
            return False
    return depth == 0


def _word(word: str, vocabulary: Vocabulary) -> Iterator[Step]:
    if word in vocabulary.names:
        yield Step("mark", word)
    elif word in NEGATIONS:
        yield _NOT
    elif word in NUMBERS:
        yield Step("mark", NUMBERS[word])
    elif word in CONTRASTS:
        yield Step("mark", CONTRASTS[word])
    elif rest := _negated(word, vocabulary.words):
        yield _NOT
        yield Step("mark", CONTRASTS[rest]) if rest in CONTRASTS else Step("word", _stem(rest))
    elif word not in FILLERS:
        yield Step("word", _stem(word))


def _negated(word: str, vocabulary: frozenset[str]) -> str:
    """The rest of a word such as ``unstable`` where the class uses that word, too; else empty."""
    for beginning in OPPOSING:
        rest = word.removeprefix(beginning)
        if rest != word and len(rest) >= 4 and rest in vocabulary:
            return rest
    return ""


def _stem(word: str) -> str:
    """A word without its most common endings."""
    word = word.removesuffix("'s")
    for ending in ("ings", "ing", "edly", "ed", "ies", "es", "s", "ly", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)]
    return word


def read_vocabulary(answers: Sequence[Sequence[Piece]]) -> Vocabulary:
    """The words of all answers. A rare word one letter away from a frequent one, or from a mark, is a misspelling of it."""
    tokens = [
        {text for text, kind in answer if kind == "word" or (kind == "exact" and _is_spoken(text))} for answer in answers
    ]
    names = frozenset(_singular(text) for found in tokens for text in found if sum(map(str.isupper, text)) > 1)
    count = Counter(_singular(text) for found in tokens for text in found)
    known = {*CONTRASTS, *NEGATIONS, *FILLERS}
    targets: dict[str, list[str]] = defaultdict(list)
    for word in sorted({word for word, number in count.items() if number >= 3} | known):
        if len(word) >= _SHORTEST:
            for shorter in _shortened(word):
                targets[shorter].append(word)
    spelling = {}
    for word, number in count.items():
        if number > 2 or len(word) < _SHORTEST - 1 or word in known or word in names or word in NUMBERS:
            continue
        likely = {
            target
            for shorter in _shortened(word)
            for target in targets.get(shorter, ())
            if target[0] == word[0] and (count[target] >= 3 * number or (target in known and len(word) >= _SURE))
        }
        if likely and not any(_stem(target) == _stem(word) for target in likely if count[target] >= 3):
            spelling[word] = max(sorted(likely), key=lambda target: (count[target], target))
    words = frozenset(word for word, number in count.items() if number >= 2) | frozenset(CONTRASTS)
    return Vocabulary(words, names, spelling)


def _shortened(word: str) -> set[str]:
    """The word and all that is left of it without one letter."""
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}
