"""Groups of alike answers that `grader review` proposes, against what was planted in a made class."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from grader.review.classroom import handle_of
from tests.insight.made_class import MadeAnswer
from tests.review.large import LargeClass
from tests.review.running import Client

_HEADING = re.compile(r"Group \d+: \d+ answers\. (No answer|Identical|Similar)")
_MEMBER = re.compile(r'name="member" value="([0-9a-f]+)"')


def found_groups(client: Client, made: LargeClass) -> dict[str, Any]:
    """How many of the planted duplicates and variations are proposed, and how many members of groups are wrong.

    An item whose answers have images is left out, as the page proposes no groups there.
    """
    count: Counter[str] = Counter()
    seconds = []
    for item, answers in made.answers.items():
        reply = client.get(f"/groups/{item}")
        seconds.append(reply.seconds)
        groups = list(_groups(reply.text, item, answers))
        if groups:
            _compare(groups, answers, count)
            count["items"] += 1
    return {
        "items": count["items"],
        "blank answers found": f"{count['blank found']} of {count['blank']}",
        "duplicates found": f"{count['duplicates found']} of {count['duplicates']}",
        "wrong members of identical groups": f"{count['identical wrong']} of {count['identical']}",
        "variations proposed": _share(count["near found"], count["near"]),
        "members of similar groups that mean something else": _share(count["similar wrong"], count["similar"]),
        "slowest page, first time (ms)": round(1000 * max(seconds)),
    }


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / max(whole, 1):.1%})"


def _groups(page: str, item: str, answers: dict[str, MadeAnswer]) -> Iterator[tuple[str, set[str]]]:
    """The kind and the members of each group on a page."""
    keys = {handle_of(item, key): key for key in answers}
    for section in page.split('<section class="group"')[1:]:
        heading = _HEADING.search(section)
        if heading is None:
            raise SystemExit(f"/groups/{item}: a group without a heading")
        yield heading[1], {keys[handle] for handle in _MEMBER.findall(section)}


def _compare(groups: list[tuple[str, set[str]]], answers: dict[str, MadeAnswer], count: Counter[str]) -> None:
    together: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for kind, members in groups:
        says = Counter(answers[key].says for key in members)
        wrong = len(members) - says.most_common(1)[0][1]
        if kind == "No answer":
            count["blank wrong"] += wrong
        else:
            count[kind.lower()] += len(members)
            count[f"{kind.lower()} wrong"] += wrong
        for key in members:
            together[kind][key] |= members - {key}
    blank = {key for key, answer in answers.items() if answer.change in ("empty", "untouched")}
    if len(blank) > 1:
        count["blank"] += len(blank)
        count["blank found"] += sum(blank <= together["No answer"][key] | {key} for key in blank)
    for key, answer in answers.items():
        family = {other for other, one in answers.items() if one.origin == answer.origin and one.change != "altered"}
        same = {other for other in family - {key} if answers[other].change in ("original", "duplicate")}
        if answer.change == "duplicate" and same:
            count["duplicates"] += 1
            count["duplicates found"] += same <= together["Identical"][key]
        elif answer.change == "near" and family - {key}:
            count["near"] += 1
            count["near found"] += bool(family & (together["Similar"][key] | together["Identical"][key]))
