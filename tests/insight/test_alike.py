from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.insight.alike import LONGEST, Group, alike, own_text
from grader.insight.normalize import key, pieces
from tests.insight.made_class import PLACEHOLDER, MadeAnswer, altered, duplicated, make_class

TEMPLATE = "### 1d\n\nWhat becomes of the first input?\n\n**Answer.** *your answer here*"
LONG = (
    "The contribution of the first input is multiplied by $W_h^{T-1}$, so it vanishes exponentially if all eigenvalues are "
    "below 1, and the network forgets what it has read in the beginning of a document."
)


def groups_of(*texts: str, template: str = "") -> list[tuple[str, set[int]]]:
    found = alike({str(i): text for i, text in enumerate(texts)}, template)
    return [(group.kind, {int(name) for name in group.members}) for group in found]


def test_blank_answers_are_empty_or_the_template() -> None:
    texts = ["", TEMPLATE, "**Answer.**", TEMPLATE.replace("*your answer here*", " "), "your answer here", "Answer: ...", "?"]
    assert groups_of(*texts[:5], "It vanishes.", template=TEMPLATE) == [("blank", set(range(5)))]
    assert groups_of("?", "...", "-", "") == [("blank", {0, 1, 2, 3})]


@pytest.mark.parametrize("text", ["0", "no", "T", "∅", "\u4e0d", "![](attachment:a.png)", '<img src="a.png">', "x²"])
def test_an_answer_that_says_anything_is_not_blank(text: str) -> None:
    assert groups_of("", "", text, template=TEMPLATE) == [("blank", {0, 1})]


@pytest.mark.parametrize(
    ("answer", "own"),
    [
        ("### 1d\n\nWhat becomes of the first input?\n\n**Answer.** It vanishes.", "It vanishes."),
        ("### 1d\n\nWhat becomes of the first input?\n\n**Answer.** *your answer here*\n\nIt vanishes.", "It vanishes."),
        ("**Answer.** *your answer here* It vanishes.", "It vanishes."),
        ("It vanishes.", "It vanishes."),
        ("What becomes of the first input? It vanishes.", "What becomes of the first input? It vanishes."),
        ("Answering: your answer", "Answering: your answer"),
    ],
)
def test_the_template_is_taken_off(answer: str, own: str) -> None:
    assert own_text(answer, TEMPLATE) == own


def test_identical_answers_are_one_group_whatever_they_look_like() -> None:
    texts = ["It **vanishes**, as $W_h^{T-1}$ decays.", "it vanishes as $W_{h}^{T-1}$\ndecays", TEMPLATE.replace(
        "*your answer here*", "It vanishes, as $W_h^{T-1}$ decays")]  # fmt: skip
    assert groups_of(*texts, "Another answer.", template=TEMPLATE) == [("identical", {0, 1, 2})]


@pytest.mark.parametrize(
    "change",
    [
        ("so it vanishes", "so it does not vanish"),
        ("so it vanishes", "so it never vanishes"),
        ("so it vanishes", "so it explodes"),
        ("below 1", "above 1"),
        ("below 1", "below 2"),
        ("W_h^{T-1}", "W_h^{T+1}"),
        ("W_h^{T-1}", "W_h^{t-1}"),
        ("W_h^{T-1}", "W_x^{T-1}"),
        ("W_h^{T-1}", "W_h^{T-2}"),
        ("first input", "last input"),
        ("exponentially", "linearly"),
        ("the network forgets", "the RNN forgets"),
        ("and the network forgets", "but the network does not forget"),
    ],
)
def test_a_change_of_meaning_is_in_no_group(change: tuple[str, str]) -> None:
    other = LONG.replace(*change)
    assert other != LONG
    assert groups_of(LONG, other) == []


@pytest.mark.parametrize(
    "other",
    [
        LONG.replace("exponentially", "expnentially").replace("contribution", "contributoin"),
        LONG.replace("document", "text").replace("read", "seen"),
        "I think that t" + LONG[1:],
        LONG + " I hope this is clear.",
        LONG.replace(", so it vanishes", ". Hence it vanishes"),
        "- " + LONG.replace(", so it vanishes", ".\n- Hence it **vanishes**"),
        LONG.replace("vanishes", "disappears"),
    ],
)
def test_a_small_change_of_words_is_proposed_as_similar(other: str) -> None:
    assert groups_of(LONG, other, "Something else entirely.") == [("similar", {0, 1})]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("RNN: O(T), attention: O(T^2)", "RNN: O(T^2), attention: O(T)"),
        ("1. O(T)\n2. O(T^2)", "1. O(T^2)\n2. O(T)"),
        ("The RNN is linear while attention is quadratic.", "Attention is linear while the RNN is quadratic."),
        ("The CNN wins on small data. The ViT wins on large data.", "The ViT wins on small data. The CNN wins on large data."),
        ("The RNN takes O(T). Full attention takes O(T^2).", "The RNN takes O(T^2). Full attention takes O(T)."),
        ("The mask is used and dropout is not used.", "The mask is not used and dropout is used."),
        ("The text is not perfect. Later the names are fine.", "The text is perfect. Later the names are not fine."),
        ("It is stable in training.", "It is unstable in training."),
        ("50 tokens were generated", "5 tokens were generated"),
        ("Validation accuracy: 52.3 %", "Validation accuracy: 53.1 %"),
    ],
)  # fmt: skip
def test_the_same_words_the_other_way_round_are_not_similar(left: str, right: str) -> None:
    assert groups_of(left, right) == []


def test_sentences_in_another_order_are_similar() -> None:
    left = "The RNN needs O(T) steps. Attention compares all pairs, which costs O(T^2). The Transformer is faster in parallel."
    right = "The Transformer is faster in parallel. The RNN needs O(T) steps. Attention compares all pairs, which costs O(T^2)."
    assert groups_of(left, right) == [("similar", {0, 1})]


def test_answers_with_images_are_in_no_group() -> None:
    text = "The maps show the object. ![map](attachment:map.png)"
    assert groups_of(text, text) == []


def test_a_huge_answer_is_in_no_group() -> None:
    assert groups_of("word " * LONGEST, "word " * LONGEST) == []


def test_similar_groups_hold_identical_answers_and_say_how_similar() -> None:
    near = LONG.replace("document", "text")
    (similar, identical) = alike({"a": LONG, "b": near, "c": LONG.upper().replace("W_H^{T-1}", "W_h^{T-1}"), "d": near})
    assert similar.kind == "similar" and set(similar.members) == {"a", "b", "d"}
    assert identical.kind == "identical" and set(identical.members) == {"b", "d"}
    assert similar.similarity[0] == 1.0 and 0.6 <= min(similar.similarity) < 1.0


def test_the_threshold_can_be_raised() -> None:
    near = LONG.replace("document", "text")
    assert alike({"a": LONG, "b": near}, least_similarity=0.99) == ()


TEXTS = st.text(alphabet="aT1 .-+*_$\\(){}\n²not", max_size=30)


@given(st.dictionaries(st.text(max_size=4), TEXTS, max_size=8), st.text(max_size=20))
@settings(max_examples=40)
def test_any_answers_are_grouped_the_same_in_any_order(answers: dict[str, str], template: str) -> None:
    def sets(groups: Iterable[Group]) -> Counter[tuple[str, frozenset[str]]]:
        return Counter((group.kind, frozenset(group.members)) for group in groups if group.kind != "similar")

    assert sets(alike(answers, template)) == sets(alike(dict(reversed(answers.items())), template))


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, MadeAnswer]]:
    items: dict[str, dict[str, MadeAnswer]] = defaultdict(dict)
    for answer in make_class(300):
        items[answer.item][answer.submission] = answer
    return items


@pytest.fixture(scope="module")
def grouped(made: dict[str, dict[str, MadeAnswer]]) -> dict[str, tuple[Group, ...]]:
    template = "### {}\n\n**Answer.** *your answer here*"
    return {
        item: alike({name: answer.text for name, answer in answers.items()}, template.format(item))
        for item, answers in made.items()
    }


def test_a_made_class_has_all_kinds_of_answers(made: dict[str, dict[str, MadeAnswer]]) -> None:
    assert len(made) == 15 and all(len(answers) == 300 for answers in made.values())
    kinds = Counter(answer.change for answers in made.values() for answer in answers.values())
    assert min(kinds[kind] for kind in ("empty", "untouched", "original", "duplicate", "near", "altered")) > 100
    assert make_class(20, seed=3) == make_class(20, seed=3) != make_class(20, seed=4)


def test_all_blank_answers_of_a_class_are_found(
    made: dict[str, dict[str, MadeAnswer]], grouped: dict[str, tuple[Group, ...]]
) -> None:
    for item, answers in made.items():
        (blank,) = (group for group in grouped[item] if group.kind == "blank")
        assert set(blank.members) == {name for name, made in answers.items() if made.change in ("empty", "untouched")}


def test_no_identical_group_of_a_class_has_a_wrong_member(
    made: dict[str, dict[str, MadeAnswer]], grouped: dict[str, tuple[Group, ...]]
) -> None:
    members = 0
    for item, groups in grouped.items():
        for group in groups:
            if group.kind == "identical":
                assert len({made[item][name].says for name in group.members}) == 1
                members += len(group.members)
    assert members > 2000


def test_all_duplicates_of_a_class_are_identical_and_nearly_all_variations_are_proposed(
    made: dict[str, dict[str, MadeAnswer]], grouped: dict[str, tuple[Group, ...]]
) -> None:
    planted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for item, answers in made.items():
        together: dict[str, dict[str, set[str]]] = {kind: defaultdict(set) for kind in ("identical", "similar", "blank")}
        for group in grouped[item]:
            for name in group.members:
                together[group.kind][name] |= {*group.members} - {name}
        for name, answer in answers.items():
            family = {other for other, one in answers.items() if one.origin == answer.origin and one.change != "altered"}
            same = {other for other in family - {name} if answers[other].change in ("original", "duplicate")}
            if answer.change == "duplicate" and same:
                planted["duplicate"] += 1
                found["duplicate"] += same <= together["identical"][name]
            elif answer.change == "near" and family - {name}:
                planted["near"] += 1
                found["near"] += bool(family & (together["similar"][name] | together["identical"][name]))
    assert planted["duplicate"] > 400 and found["duplicate"] == planted["duplicate"]
    assert planted["near"] > 1000 and found["near"] >= 0.95 * planted["near"]


def test_hardly_any_proposal_mixes_meanings(
    made: dict[str, dict[str, MadeAnswer]], grouped: dict[str, tuple[Group, ...]]
) -> None:
    members = wrong = 0
    for item, groups in grouped.items():
        for group in groups:
            if group.kind == "similar":
                says = Counter(made[item][name].says for name in group.members)
                members += len(group.members)
                wrong += len(group.members) - says.most_common(1)[0][1]
    assert wrong <= 0.02 * members


@given(st.integers(0, 10_000))
@settings(max_examples=40)
def test_setting_an_answer_otherwise_keeps_it_identical_and_changing_its_meaning_does_not(seed: int) -> None:
    lots = random.Random(seed)
    answer = lots.choice([made for made in _SMALL if made.change == "original"]).text.split("**Answer.**")[-1]
    answer = answer.replace(PLACEHOLDER, "").strip()
    assert key(pieces(duplicated(answer, lots))) == key(pieces(answer))
    assert key(pieces(altered(answer, lots))) != key(pieces(answer))


_SMALL = make_class(30, seed=9)
