"""What answers are compared by where they are not identical: their words, and the marks that must not differ.

A mark is a number, a formula, a negation or a word that says the opposite of another one. Similar answers have the same marks,
each beside a word that it stands beside in the other answer, so that *A is linear and B is not* never meets its reverse.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from grader.insight.contrasts import CONTRASTS, FILLERS, NEGATIONS, NUMBERS, OPPOSING
from grader.insight.normalize import Piece

_REACH = 3
_MOST_ALIKE_MARKS = 8
_OPERATORS = frozenset("_^=+*/\\<>")
_PAUSES = frozenset(".,;:—?!\"'")
_OPEN, _CLOSED = "([{", ")]}"


@dataclass(frozen=True)
class Mark:
    """What must not differ, with the words and marks nearest to it on each side."""

    label: str
    left: frozenset[str]
    right: frozenset[str]

    @property
    def is_alone(self) -> bool:
        """Whether nothing stands beside it in its sentence."""
        return not self.left and not self.right

    def fits(self, other: Mark) -> bool:
        """Whether both stand beside the same thing."""
        return bool(self.left & other.left or self.right & other.right) or (self.is_alone and other.is_alone)


@dataclass(frozen=True)
class Wording:
    """The words of an answer, counted, and its marks in order."""

    words: frozenset[str]
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
        return value if value >= least and self._marks_fit(other) else 0.0

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
        Mark(text, _beside(steps, i, -1), _beside(steps, i, 1)) for i, (kind, text) in enumerate(steps) if kind == "mark"
    )
    seen: Counter[str] = Counter()
    words = set()
    for kind, text in steps:
        if kind != "stop":
            seen[kind + text] += 1
            words.add(f"{kind} {text} {seen[kind + text]}")
    return Wording(frozenset(words), marks, tuple(sorted(mark.label for mark in marks)))


def _beside(steps: Sequence[tuple[str, str]], place: int, step: int) -> frozenset[str]:
    """The nearest words on one side, up to and including the nearest mark, within the sentence."""
    found: set[str] = set()
    words = 0
    i = place + step
    while 0 <= i < len(steps) and words < _REACH and steps[i][0] != "stop":
        found.add(f"{steps[i][0]} {steps[i][1]}")
        if steps[i][0] == "mark":
            break
        words += 1
        i += step
    return frozenset(found)


def _steps(
    parts: Sequence[Piece], spelling: Mapping[str, str], vocabulary: frozenset[str]
) -> Iterator[tuple[str, str]]:
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
                yield "stop", ""
        elif name or kind == "word":
            yield from _word(text.lower(), spelling, vocabulary)


def _mark(run: list[str]) -> Iterator[tuple[str, str]]:
    """A formula or number as one mark, without brackets and hyphens that belong to the words around it."""
    while run and (run[0] in _CLOSED or (run[0] in _OPEN and not _balanced(run)) or run[0] in "/&|#"):
        run = run[1:]
    while run and (run[-1] in _OPEN or (run[-1] in _CLOSED and not _balanced(run)) or run[-1] in "-/&|#"):
        run = run[:-1]
    while len(run) > 1 and run[0] == "(" and run[-1] == ")" and _balanced(run[1:-1]):
        run = run[1:-1]
    if run and run not in (["a"], ["A"], ["I"], ["i"]) and any(text.isalnum() or "\\" in text for text in run):
        yield "mark", " ".join(run)


def _balanced(run: Sequence[str]) -> bool:
    depth = 0
    for text in run:
        depth += (text in _OPEN) - (text in _CLOSED)
        if depth < 0:
            return False
    return depth == 0


def _word(word: str, spelling: Mapping[str, str], vocabulary: frozenset[str]) -> Iterator[tuple[str, str]]:
    word = spelling.get(word, word)
    if word in NEGATIONS:
        yield "mark", "not"
    elif word in NUMBERS:
        yield "mark", NUMBERS[word]
    elif word in CONTRASTS:
        yield "mark", CONTRASTS[word]
    elif rest := _negated(word, vocabulary):
        yield "mark", "not"
        yield from _word(rest, spelling, frozenset())
    elif word not in FILLERS:
        yield "word", _stem(word)


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
        if len(word) >= 4:
            for shorter in _shortened(word):
                targets[shorter].append(word)
    found: dict[str, str] = {}
    for word, number in count.items():
        if number > 2 or len(word) < 5 or word in known or (_stem(word) != word and _stem(word) in count):
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
