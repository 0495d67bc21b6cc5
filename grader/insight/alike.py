"""Groups of alike answers to one item, for a person to grade together. Similarity proposes; the person decides."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from grader.insight.normalize import IMAGE, Piece, key, pieces
from grader.insight.wording import Step, Wording, read_vocabulary, read_wording

LONGEST = 10_000
"""Longer answers are in no group."""
LEAST_SIMILARITY = 0.6

_PLACEHOLDER = re.compile(r"^(.*?)\s*([*_]{1,3}[^*_]+[*_]{1,3})$")


@dataclass(frozen=True)
class Group:
    """Answers that one decision may grade.

    ``blank`` answers add nothing to the template. ``identical`` ones are equal after normalization. ``similar`` ones share
    most words and agree in every number, formula, negation and contrast; they include the identical ones of each member.
    """

    kind: Literal["blank", "identical", "similar"]
    members: tuple[str, ...]
    """Keys of the answers; the others are most like the first one."""
    similarity: tuple[float, ...]
    """Of each member to the first one, from 0 to 1."""


def alike(
    answers: Mapping[str, str], template: str = "", *, least_similarity: float = LEAST_SIMILARITY
) -> tuple[Group, ...]:
    """The groups of alike answers to one item, the largest first; answers with nobody alike are in none.

    Args:
        answers: the whole text of each answer by its key. One with an image is only ever in no group, as its text does
            not say what the image shows.
        template: the text of the cell as students get it.
        least_similarity: the share of words that similar answers have in common.
    """
    texts = {name: own_text(text, template) for name, text in answers.items() if len(text) <= LONGEST}
    blank = tuple(name for name, text in texts.items() if _is_blank(text, template))
    found = {name: pieces(text) for name, text in texts.items() if name not in set(blank) and not IMAGE.search(text)}
    same: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, parts in found.items():
        same[key(parts)].append(name)
    groups = [Group("blank", blank, (1.0,) * len(blank))] if len(blank) > 1 else []
    groups += [Group("identical", tuple(names), (1.0,) * len(names)) for names in same.values() if len(names) > 1]
    groups += _similar(list(same.values()), found, least_similarity)
    return tuple(sorted(groups, key=lambda group: -len(group.members)))


def own_text(answer: str, template: str) -> str:
    """An answer without the lines of the template and without its placeholder."""
    lines = [" ".join(line.split()) for line in template.splitlines()]
    known = {line for line in lines if line}
    placeholder = _PLACEHOLDER.match(next((line for line in reversed(lines) if line), ""))
    begins = [part for part in placeholder.groups() if part] if placeholder else []
    kept = []
    for line in answer.splitlines():
        rest = " ".join(line.split())
        if rest in known:
            kept.append("")
            continue
        whole = rest
        for begin in begins:
            rest = rest.removeprefix(begin).strip() if rest.startswith(begin) else rest
        kept.append(line if rest == whole else rest)
    return "\n".join(kept).strip()


def _is_blank(text: str, template: str) -> bool:
    """Whether an answer says nothing: no letter, digit or symbol beyond the template's own words."""
    if IMAGE.search(text):
        return False
    if not any(character.isalnum() or ord(character) > 0x2000 for character in text):
        return True
    last = next((line for line in reversed(template.splitlines()) if line.strip()), "")
    placeholder = _PLACEHOLDER.match(last.strip())
    own = {key(pieces(part)) for part in (template, last, *(placeholder.groups() if placeholder else ()))}
    return key(pieces(text)) in own - {()}


def _similar(
    classes: Sequence[Sequence[str]], found: Mapping[str, tuple[Piece, ...]], least: float
) -> list[Group]:
    """Groups around the answers that most others are similar to; each class holds identical answers."""
    parts = [found[names[0]] for names in classes]
    vocabulary = read_vocabulary(parts)
    wordings = [read_wording(part, vocabulary) for part in parts]
    near = _neighbors(wordings, least)
    order = sorted(near, key=lambda i: (-sum(len(classes[j]) for j in near[i]), i))
    taken: set[int] = set()
    groups = []
    for i in order:
        if i in taken:
            continue
        others = [j for j in sorted(near[i], key=lambda j: (-near[i][j], j)) if j not in taken]
        if not others:
            continue
        taken.update((i, *others))
        members = [(name, 1.0) for name in classes[i]]
        members += [(name, near[i][j]) for j in others for name in classes[j]]
        groups.append(Group("similar", tuple(name for name, _ in members), tuple(value for _, value in members)))
    return groups


def _neighbors(wordings: Sequence[Wording], least: float) -> dict[int, dict[int, float]]:
    """The answers similar to each answer. Only those with the same marks are compared at all."""
    buckets: dict[tuple[Step, ...], list[int]] = defaultdict(list)
    for i, wording in enumerate(wordings):
        buckets[wording.signature].append(i)
    near: dict[int, dict[int, float]] = defaultdict(dict)
    for bucket in buckets.values():
        for place, i in enumerate(bucket):
            for j in bucket[place + 1 :]:
                value = wordings[i].similarity(wordings[j], least)
                if value >= least:
                    near[i][j] = near[j][i] = value
    return near
