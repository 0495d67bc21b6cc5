"""Makes the written answers of a class, with planted duplicates, variations and answers whose meaning was changed.

`make_class(students=300)` gives an answer of each student to each item of ``answers.yaml``, and says what each one is. Run as
a module it writes them as JSON: ``python -m tests.insight.made_class 300 answers.json``.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import yaml

Change = Literal["empty", "untouched", "original", "duplicate", "near", "altered"]
Claims = list[dict[str, list[str]]]

SHARES: tuple[tuple[Change, float], ...] = (
    ("empty", 0.03), ("untouched", 0.05), ("original", 0.42), ("duplicate", 0.12), ("near", 0.28), ("altered", 0.10),
)  # fmt: skip
PLACEHOLDER = "*your answer here*"
_MATH = re.compile(r"(\$\$[^$]+\$\$|\$[^$]+\$|\\\(.*?\\\))")
_WORD = re.compile(r"[A-Za-z]{4,}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")

SYNONYMS = {
    "because": ["since", "as"], "since": ["because", "as"], "therefore": ["so", "hence"], "needs": ["requires", "takes"],
    "faster": ["quicker"], "quicker": ["faster"], "large": ["big"], "small": ["little"], "gives": ["yields", "produces"],
    "shows": ["demonstrates"], "usually": ["typically", "normally"], "input": ["signal"], "cost": ["price", "expense"],
    "contribution": ["share", "influence"], "arrives": ["gets"], "reaches": ["attains"], "picture": ["image"],
    "pictures": ["images"], "images": ["pictures"], "sequence": ["series"], "network": ["model"], "model": ["network"],
    "choose": ["pick", "select"], "deploy": ["use"], "prefer": ["favor"], "split": ["cut", "divided"], "cut": ["split"],
    "compute": ["calculate"], "computed": ["calculated"], "stored": ["saved"], "saves": ["stores"], "wins": ["does better"],
    "maps": ["plots"], "words": ["terms"], "text": ["writing"], "repeats": ["reuses"], "appears": ["shows up"],
    "tokens": ["units"], "vector": ["embedding"], "vectors": ["embeddings"], "bias": ["prior"], "datasets": ["data sets"],
    "process": ["handle"], "wasteful": ["inefficient"], "important": ["crucial"], "essential": ["crucial"],
    "obtain": ["get"], "follows": ["comes out"], "state": ["hidden state"], "general": ["the general case"],
    "simply": ["just"], "only": ["merely"], "must": ["have to"], "draws": ["samples"], "drawn": ["sampled"],
    "likely": ["probable"], "variety": ["diversity"], "coherent": ["consistent"], "blurry": ["fuzzy"], "coarse": ["rough"],
}  # fmt: skip
CONTRARY = {
    "faster": "slower", "quicker": "slower", "linear": "quadratic", "quadratic": "linear", "vanishes": "explodes",
    "below": "above", "above": "below", "smaller": "larger", "larger": "smaller", "less": "more", "more": "less",
    "always": "never", "increases": "decreases", "early": "late", "earlier": "later", "first": "last", "small": "large",
    "large": "small", "parallel": "sequential", "sequential": "parallel", "longer": "shorter", "smallest": "largest",
    "largest": "smallest", "similar": "different", "before": "after", "after": "before", "better": "worse", "high": "low",
    "possible": "impossible", "likely": "unlikely", "long": "short", "grows": "shrinks", "later": "earlier",
}  # fmt: skip
FILLERS = ["I think that", "In short,", "In my opinion,", "Basically,", "To summarize:", "As we saw in class,", "Overall,"]
ENDINGS = ["I hope this is clear.", "That is all.", "This follows from the lecture.", "See above."]


@dataclass(frozen=True)
class MadeAnswer:
    """An answer, and how it came about."""

    submission: str
    item: str
    text: str
    """The whole text of the cell."""
    origin: str
    """Equal for all answers that were made from the same sentences; empty for those without an answer."""
    says: str
    """Equal for answers of an item that mean the same."""
    change: Change


def make_class(
    students: int = 300, seed: int = 0, templates: Mapping[str, str] | None = None
) -> tuple[MadeAnswer, ...]:
    """The answers of a class, the same for the same arguments. `templates` are the cells as students get them, by item."""
    source = Path(__file__).with_name("answers.yaml").read_text(encoding="utf-8")
    made = []
    for item, claims in yaml.safe_load(source).items():
        template = (templates or {}).get(item, f"### {item}\n\n**Answer.** {PLACEHOLDER}")
        made += _Item(item, claims, template, random.Random(f"{seed}/{item}")).answers(students)
    return tuple(made)


class _Item:
    def __init__(self, item: str, claims: Claims, template: str, lots: random.Random) -> None:
        self.item = item
        self.claims = claims
        self.template = template
        self.lots = lots

    def answers(self, students: int) -> list[MadeAnswer]:
        changes, weights = zip(*SHARES, strict=True)
        bases: list[tuple[str, str, str]] = []
        made = []
        for number in range(students):
            change: Change = self.lots.choices(changes, weights)[0]
            if change in ("original", "duplicate", "near", "altered") and (change == "original" or len(bases) < 5):
                change = "original"
                bases.append(self._base())
            text, origin, says = self.lots.choice(bases) if change not in ("empty", "untouched", "original") else (
                bases[-1] if change == "original" else ("", "", "nothing")
            )  # fmt: skip
            if change == "duplicate":
                text = duplicated(text, self.lots)
            elif change == "near":
                text = varied(text, self.lots)
            elif change == "altered":
                text = altered(text, self.lots)
                says = self._meaning(text)
            made.append(MadeAnswer(f"s{number:03}", self.item, self._cell(text, change), origin, says, change))
        return made

    def _base(self) -> tuple[str, str, str]:
        """Sentences, one for each claim, with their names and what they say."""
        sentences, names, says = [], [], []
        for i, claim in enumerate(self.claims):
            wrong = self.lots.random() < 0.2
            ways = claim["wrong" if wrong else "right"]
            way = self.lots.randrange(len(ways))
            sentences.append(ways[way])
            names.append(f"{i}{'w' if wrong else 'r'}{way}")
            # What a student's model generated is only ever the same if it is the same text.
            says.append(f"{i}w{way}" if wrong else f"{i}r{way if self.item == '4g' else ''}")
        mathematics = all(sentence.startswith("$") for sentence in sentences)
        return ("\n\n" if mathematics else " ").join(sentences), "-".join(names), "-".join(says)

    def _meaning(self, text: str) -> str:
        """What an altered answer says: perhaps what another student says, too."""
        sentences = text.split("\n\n") if "\n\n" in text else _SENTENCE.split(text)
        plain = [_plain(sentence) for sentence in sentences]
        for i, claim in enumerate(self.claims):
            for kind, ways in claim.items():
                for way, sentence in enumerate(ways):
                    if i < len(sentences) and _plain(sentences[i]) == _plain(sentence):
                        plain[i] = f"{i}w{way}" if kind == "wrong" else f"{i}r{way if self.item == '4g' else ''}"
        return "-".join(plain)

    def _cell(self, text: str, change: Change) -> str:
        """The answer in the cell of the template, as students leave it."""
        if change == "untouched":
            return self.template
        if change == "empty":
            return self.lots.choice(["", " \n", self.template.replace(PLACEHOLDER, ""), "**Answer.**", "\n\n**Answer.** \n"])
        if self.lots.random() < 0.3:
            return text
        kept = f"{PLACEHOLDER}\n\n{text}" if self.lots.random() < 0.2 else text
        return self.template.replace(PLACEHOLDER, kept)


def _plain(sentence: str) -> str:
    return re.sub(r"\\mathbf|[{} ]", "", sentence)


def _in_prose(text: str, change: Callable[[str], str]) -> str:
    """Changes what is not mathematics."""
    return "".join(part if _is_math(part) else change(part) for part in _MATH.split(text))


def _in_math(text: str, change: Callable[[str], str]) -> str:
    return "".join(change(part) if _is_math(part) else part for part in _MATH.split(text))


def _is_math(part: str) -> bool:
    return _MATH.fullmatch(part) is not None


def _inner(part: str) -> str:
    return part.strip("$").removeprefix("\\(").removesuffix("\\)")


def duplicated(text: str, lots: random.Random) -> str:
    """The same answer set in another way: case, spaces, line breaks, punctuation, quotes, bold type, spacing in formulas."""
    ways: list[Callable[[str], str]] = [
        lambda t: _in_prose(t, lambda part: re.sub(r"(?<= )([A-Z])(?=[a-z]{3})", lambda m: m[1].lower(), part)),
        lambda t: _in_prose(t, lambda part: part.replace(" ", "  ")),
        lambda t: _in_prose(t, lambda part: part.replace(" ", "\u00a0")),
        lambda t: _in_prose(t, lambda part: re.sub(r"(?<=[a-z]{3}) (?=[a-z]{3})", "\n", part, count=2)),
        lambda t: re.sub(r"\.\s*$", "", t),
        lambda t: _in_prose(t, lambda part: re.sub(r"(?<=[a-z]{3}), (?=[a-z]{3})", " ", part)),
        lambda t: _in_prose(t, lambda part: re.sub(r"\b([a-z]{5,})\b", r"**\1**", part, count=1)),
        lambda t: _in_prose(t, lambda part: part.replace("'", "\u2019")),
        lambda t: _in_math(t, lambda part: part.replace(" ", "\\,")),
        lambda t: _in_math(t, lambda part: re.sub(r"_([A-Za-z0-9])(?![}])", r"_{\1}", part)),
        lambda t: _in_math(t, lambda part: re.sub(r"(?<!\\)\((.*)(?<!\\)\)", r"\\left(\1\\right)", part)),
        lambda t: _in_math(t, lambda part: f"\\({_inner(part)}\\)"),
        lambda t: _in_math(t, lambda part: f"$${_inner(part)}$$"),
    ]
    for way in lots.sample(ways, lots.randint(1, 4)):
        text = way(text)
    return text


def varied(text: str, lots: random.Random) -> str:
    """Nearly the same answer: typos, synonyms, sentences in another order, a remark, or a list in place of sentences."""
    ways: list[Callable[[str, random.Random], str]] = [_misspelled, _misspelled, _reworded, _reworded, _reordered, _remarked]
    for way in lots.sample(ways, lots.randint(1, 4)):
        text = way(text, lots)
    return duplicated(text, lots) if lots.random() < 0.3 else text


def _misspelled(text: str, lots: random.Random) -> str:
    """One or two words with a letter too few, too many, or two letters the wrong way round."""

    def spoil(part: str) -> str:
        words = list(_WORD.finditer(part))
        for word in sorted(lots.sample(words, min(len(words), lots.randint(1, 2))), key=lambda m: -m.start()):
            at = lots.randrange(word.start() + 1, word.end() - 1)
            spoiled = lots.choice([part[at + 1] + part[at], part[at] * 2 + part[at + 1], part[at + 1]])
            part = part[:at] + spoiled + part[at + 2 :]
        return part

    parts = _MATH.split(text)
    prose = [i for i, part in enumerate(parts) if not _is_math(part) and _WORD.search(part)]
    if prose:
        i = lots.choice(prose)
        parts[i] = spoil(parts[i])
    return "".join(parts)


def _reworded(text: str, lots: random.Random) -> str:
    """One or two words replaced by synonyms."""

    def replace(part: str) -> str:
        found = [match for match in re.finditer(r"[a-z]+", part) if match[0] in SYNONYMS]
        for match in sorted(lots.sample(found, min(len(found), lots.randint(1, 2))), key=lambda m: -m.start()):
            part = part[: match.start()] + lots.choice(SYNONYMS[match[0]]) + part[match.end() :]
        return part

    return _in_prose(text, replace)


def _reordered(text: str, lots: random.Random) -> str:
    separator = "\n\n" if "\n\n" in text else " "
    sentences = text.split("\n\n") if "\n\n" in text else _SENTENCE.split(text)
    lots.shuffle(sentences)
    return separator.join(sentences)


def _remarked(text: str, lots: random.Random) -> str:
    if lots.random() < 0.5 and not text.startswith(("$", '"')):
        filler = lots.choice(FILLERS)
        return f"{filler} {text[0].lower() if text[1:2].islower() else text[0]}{text[1:]}"
    if "$" not in text and lots.random() < 0.5:
        return "\n".join(f"- {sentence}" for sentence in _SENTENCE.split(text))
    return f"{text} {lots.choice(ENDINGS)}"


def altered(text: str, lots: random.Random) -> str:
    """An answer that means something else, by one small change."""
    ways = [_negated, _contradicted, _renumbered, _resigned, _recased, _swapped]
    for way in lots.sample(ways, len(ways)):
        changed = way(text, lots)
        if changed != text:
            return changed
    return f"It is not the case that {text}"


def _one(pattern: str, change: Callable[[re.Match[str]], str], text: str, lots: random.Random) -> str:
    found = list(re.finditer(pattern, text))
    if not found:
        return text
    match = lots.choice(found)
    return text[: match.start()] + change(match) + text[match.end() :]


def _negated(text: str, lots: random.Random) -> str:
    if re.search(r"\b(?:not|never) ", text) and lots.random() < 0.5:
        return re.sub(r"\b(?:not|never) ", "", text, count=1)
    return _one(r"\b(is|are|can|will|would|may|has to) (?!not\b)", lambda m: f"{m[1]} not ", text, lots)


def _contradicted(text: str, lots: random.Random) -> str:
    return _one(rf"\b({'|'.join(CONTRARY)})\b", lambda m: CONTRARY[m[1]], text, lots)


def _renumbered(text: str, lots: random.Random) -> str:
    return _one(r"(?<=[\^_ ({-])\d+", lambda m: str(int(m[0]) + lots.choice([1, 2, 10])), text, lots)


def _resigned(text: str, lots: random.Random) -> str:
    return _one(r"(?<=[A-Za-z0-9}] )\+(?= )|(?<=T)-(?=[t1k])", lambda m: "-" if m[0] == "+" else "+", text, lots)


def _recased(text: str, lots: random.Random) -> str:
    """Another variable: t for T, or the other index."""
    return _one(r"(?<=[_^{(])(?:T|t|k|h|x|y)(?=[ })\-^$])", lambda m: {"T": "t", "t": "T"}.get(m[0], "z"), text, lots)


def _swapped(text: str, lots: random.Random) -> str:
    """The costs of two things the wrong way round."""
    costs = list(re.finditer(r"O\([^()]*\)", text))
    if len(costs) < 2 or costs[0][0] == costs[1][0]:
        return text
    a, b = costs[:2]
    return text[: a.start()] + b[0] + text[a.end() : b.start()] + a[0] + text[b.end() :]


def main() -> None:
    """Writes the answers of a class as JSON."""
    students, path = int(sys.argv[1]), Path(sys.argv[2])
    path.write_text(json.dumps([asdict(answer) for answer in make_class(students)], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
