"""What answers are compared by where they are not identical: their words, and the marks that must not differ.

A mark is a number, a formula, a negation or a word that says the opposite of another one. Similar answers have the same marks,
each beside a word that it stands beside in the other answer, so that *A is linear and B is not* never meets its reverse.
And each sentence of the one is mostly found in the other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from grader.insight.contrasts import CONTRASTS, FILLERS, NEGATIONS, NUMBERS, OPPOSING
from grader.insight.normalize import Piece

_SENTENCE = 3
"""Shorter sentences are remarks, which need no counterpart."""
_MOST_ALIKE_MARKS = 8
_SHORTEST = 4
"""Letters of a word that others may be misspellings of."""
_OPERATORS = frozenset("_^=+*/\\<>")
_PAUSES = frozenset(".,;:—?!\"'")
_POINTERS = frozenset(["above", "below"])
"""They say nothing at the end of a sentence, as in *see above*."""
_OPEN, _CLOSED = "([{", ")]}"


class Step(NamedTuple):
    """A word, a mark, or the end of a sentence."""

    kind: Literal["word", "mark", "stop"]
    text: str


@dataclass(frozen=True)
class Mark:
    """What must not differ, with what is nearest to it on each side: a word or, if there is none, a mark."""

    label: str
    left: Step | None
    right: Step | None

    @property
    def is_alone(self) -> bool:
        """Whether nothing stands beside it in its sentence."""
        return self.left is None and self.right is None

    def fits(self, other: Mark) -> bool:
        """Whether both stand beside the same word; where neither has a word, beside the same mark."""
        shared = [here for here, there in ((self.left, other.left), (self.right, other.right)) if here and here == there]
        beside = (self.left, self.right, other.left, other.right)
        if any(step is not None and step.kind == "word" for step in beside):
            return any(step.kind == "word" for step in shared)
        return bool(shared) or (self.is_alone and other.is_alone)


@dataclass(frozen=True)
class Wording:
    """The words of an answer, counted, and its marks in order."""

    words: frozenset[str]
    """Each word and mark with its number; a formula counts as many times as it has symbols."""
    distinct: frozenset[Step]
    sentences: tuple[frozenset[Step], ...]
    marks: tuple[Mark, ...]
    signature: tuple[str, ...]
    """The labels of all marks, sorted: answers whose signatures differ are never similar."""

    def similarity(self, other: Wording, least: float) -> float:
        """The share of words in common, or 0 if it is below `least` or the marks stand beside other words."""
        small, large = sorted((len(self.words), len(other.words)))
        if not large or small < least * large:
            return 0.0
        common = len(self.words & other.words)
        value = common / (small + large - common)
        if value < least or not (self._is_covered_by(other) and other._is_covered_by(self)):
            return 0.0
        return value if self._marks_fit(other) else 0.0

    def _is_covered_by(self, other: Wording) -> bool:
        return all(2 * len(sentence & other.distinct) >= len(sentence) for sentence in self.sentences)

    def _marks_fit(self, other: Wording) -> bool:
        if self.signature != other.signature or _alone(self.marks) != _alone(other.marks):
            return False
        here, there = _by_label(self.marks), _by_label(other.marks)
        return all(_matched(marks, there[label]) for label, marks in here.items())


def _alone(marks: Sequence[Mark]) -> list[str]:
    return [mark.label for mark in marks if mark.is_alone]


def _by_label(marks: Sequence[Mark]) -> Mapping[str, list[Mark]]:
    found: dict[str, list[Mark]] = defaultdict(list)
    for mark in marks:
        found[mark.label].append(mark)
    return found


def _matched(here: Sequence[Mark], there: Sequence[Mark]) -> bool:
    """Whether the marks can be paired so that each pair fits; many are only paired in order."""
    if len(here) > _MOST_ALIKE_MARKS:
        return all(one.fits(other) for one, other in zip(here, there, strict=True))
    partner: dict[int, int] = {}

    def place(i: int, tried: set[int]) -> bool:
        for j, other in enumerate(there):
            if j not in tried and here[i].fits(other):
                tried.add(j)
                if j not in partner or place(partner[j], tried):
                    partner[j] = i
                    return True
        return False

    return all(place(i, set()) for i in range(len(here)))


def read_wording(parts: Sequence[Piece], spelling: Mapping[str, str], vocabulary: frozenset[str]) -> Wording:
    """The wording of an answer's tokens; `spelling` corrects rare words, `vocabulary` holds the words of the class."""
    steps = list(_steps(parts, spelling, vocabulary))
    marks = tuple(
        Mark(step.text, _beside(steps, i, -1), _beside(steps, i, 1)) for i, step in enumerate(steps) if step.kind == "mark"
    )
    seen: Counter[Step] = Counter()
    words = set()
    sentences: list[set[Step]] = [set()]
    for step in steps:
        if step.kind == "stop":
            sentences.append(set())
            continue
        sentences[-1].add(step)
        for _ in step.text.split(" "):
            seen[step] += 1
            words.add(f"{step.kind} {step.text} {seen[step]}")
    long = tuple(frozenset(sentence) for sentence in sentences if len(sentence) >= _SENTENCE)
    return Wording(frozenset(words), frozenset(seen), long, marks, tuple(sorted(mark.label for mark in marks)))


def _beside(steps: Sequence[Step], place: int, way: int) -> Step | None:
    """The nearest word or mark on one side within the sentence."""
    i = place + way
    return steps[i] if 0 <= i < len(steps) and steps[i].kind != "stop" else None


def _steps(
    parts: Sequence[Piece], spelling: Mapping[str, str], vocabulary: frozenset[str]
) -> Iterator[Step]:
    """Words, marks and ends of sentences, in order."""
    run: list[str] = []
    for i, (text, kind) in enumerate([*parts, Piece("", "stop")]):
        before = parts[i - 1].text if i else ""
        after = parts[i + 1].text if i + 1 < len(parts) else ""
        name = kind == "exact" and len(text) >= 3 and text.isalpha() and not {before, after} & _OPERATORS
        if kind == "exact" and not name and text not in _PAUSES:
            run.append(text)
            continue
        yield from _mark(run)
        run = []
        if kind == "stop" or text in _PAUSES:
            if kind == "stop":
                yield Step("stop", "")
        elif name or kind == "word":
            follows = i + 1 < len(parts) and parts[i + 1].kind != "stop"
            if follows or text not in _POINTERS:
                yield from _word(text.lower(), spelling, vocabulary)


def _mark(run: list[str]) -> Iterator[Step]:
    """A formula or number as one mark, without brackets and hyphens that belong to the words around it."""
    while run and (run[0] in _CLOSED or (run[0] in _OPEN and not _balanced(run)) or run[0] in "/&|#"):
        run = run[1:]
    while run and (run[-1] in _OPEN or (run[-1] in _CLOSED and not _balanced(run)) or run[-1] in "-/&|#"):
        run = run[:-1]
    while len(run) > 1 and run[0] == "(" and run[-1] == ")" and _balanced(run[1:-1]):
        run = run[1:-1]
    if run and run not in (["a"], ["A"], ["I"], ["i"]) and any(text.isalnum() or "\\" in text for text in run):
        yield Step("mark", " ".join(run))


def _balanced(run: Sequence[str]) -> bool:
    depth = 0
    for text in run:
        depth += (text in _OPEN) - (text in _CLOSED)
        if depth < 0:
            return False
    return depth == 0


def _word(word: str, spelling: Mapping[str, str], vocabulary: frozenset[str]) -> Iterator[Step]:
    word = spelling.get(word, word)
    if word in NEGATIONS:
        yield Step("mark", "not")
    elif word in NUMBERS:
        yield Step("mark", NUMBERS[word])
    elif word in CONTRASTS:
        yield Step("mark", CONTRASTS[word])
    elif rest := _negated(word, vocabulary):
        yield Step("mark", "not")
        yield from _word(rest, spelling, frozenset())
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


def corrections(answers: Sequence[Sequence[Piece]]) -> tuple[dict[str, str], frozenset[str]]:
    """What rare words are likely misspellings of, and the words of all answers.

    A word that at most two answers have, one letter away from one that many have or that turns a meaning around.
    """
    known = {*CONTRASTS, *NEGATIONS, *FILLERS, *NUMBERS}
    count: Counter[str] = Counter()
    for answer in answers:
        count.update({text.lower() for text, kind in answer if kind == "word" or (len(text) >= 3 and text.isalpha())})
    vocabulary = frozenset(word for word, number in count.items() if number >= 2) | frozenset(CONTRASTS)
    targets: dict[str, list[str]] = defaultdict(list)
    for word in {word for word, number in count.items() if number >= 3} | known:
        if len(word) >= _SHORTEST:
            for shorter in _shortened(word):
                targets[shorter].append(word)
    found: dict[str, str] = {}
    for word, number in count.items():
        if number > 2 or len(word) < _SHORTEST - 1 or word in known or (_stem(word) != word and _stem(word) in count):
            continue
        likely = {
            target
            for shorter in _shortened(word)
            for target in targets.get(shorter, ())
            if target[0] == word[0] and target != word and (target in known or count[target] >= 3 * number)
        }
        if likely:
            found[word] = max(sorted(likely), key=lambda target: (count[target], target))
    return found, vocabulary


def _shortened(word: str) -> set[str]:
    """The word and all that is left of it without one letter."""
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}
