"""A rubric that is not whole says where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.errors import RubricError
from grader.scoring.rubric import (
    MAX_BYTES,
    load_rubric,
    parse_rubric,
)

SECOND = Path(__file__).resolve().parent.parent / "second_homework" / "rubric.yaml"
SMALL = """\
version: "1"
title: A small rubric
total: 3
items:
  - id: 2a
    kind: automatic
    title: Something automatic
    points: 2
    criteria:
      - id: 2a.one
        title: One holds.
        points: 0.5
        quote: Do one.
        public: true
        properties: [part.test_one]
      - id: 2a.two
        title: Two holds.
        points: 1.5
        quote: Do two.
        public: false
        properties:
          - part.test_two
          - part.test_three
  - id: 2d
    kind: manual
    title: Something written
    points: 1
    model_answer: 2d
    grading_notes: All or nothing.
"""


def test_a_rubric_that_adds_up():
    rubric = parse_rubric(SMALL.encode())
    assert rubric.properties == ("part.test_one", "part.test_two", "part.test_three")
    assert rubric.digest == parse_rubric(SMALL.encode()).digest != load_rubric().digest


def line_of(text: str, start: str) -> int:
    return max(n for n, line in enumerate(text.splitlines(), 1) if line.strip().startswith(start))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("points: 1.5", "points: 1.25", "2a does not add up: worth 2, its criteria give 1.75"),
        ("total: 3", "total: 35", "does not add up: total is 35, the items give 3"),
        ("points: 0.5", "points: 0.3", "multiple of 0.25"),
        ("points: 0.5", "points: -1", "between 0 and"),
        ("points: 0.5", "points: .nan", "between 0 and"),
        ("points: 0.5", "points: .inf", "between 0 and"),
        ("points: 0.5", "points: 1e400", "valid number"),
        ("points: 0.5", 'points: "0.5"', "valid number"),
        ("points: 0.5", "points: true", "valid number"),
        ("points: 0.5", "points: " + "9" * 5000, ""),
        ("public: true", "public: 1", "valid boolean"),
        ("public: true", "open: true", "not a known key here"),
        ("quote: Do one.", "quote: 2024-01-01", "put it in quotes"),
        ("quote: Do one.", "quote: ''", "at least 1"),
        ("quote: Do one.", "quote: !!python/name:os.system", "tag tag:yaml.org,2002:python/name:os.system"),
        ("quote: Do one.", "quote: !!python/object/apply:os.system [ls]", "is not allowed"),
        ("quote: Do one.", "quote: !!int many", "is not an int"),
        ("quote: Do one.", "quote: !!set {a}", "is not allowed"),
        ("quote: Do one.", "quote: &a Do one.", "anchors"),
        ("quote: Do one.", "quote: *a", "anchors"),
        ("quote: Do one.", "title: Do one.", "'title' is repeated"),
        ("quote: Do one.", "? [quote]", "a key must be plain text"),
        ("quote: Do one.", "<<: {}", "a key must be plain text"),
        ("quote: Do one.", "quote: Do: one.", "not YAML: mapping values are not allowed here"),
        ("quote: Do one.", "quote: a\x00b", "not YAML: character"),
        ("quote: Do one.", "quote: \x1b[31m", "not YAML: character"),
        ("quote: Do one.", "quote: " + "[" * 30 + "]" * 30, "nested deeper"),
        ("quote: Do one.", "quote: " + "[" * 30_000, "nested deeper"),
        ("properties: [part.test_one]", "properties: []", "must not be empty"),
        ("properties: [part.test_one]", "properties: part.test_one", "must be a list"),
        ("properties: [part.test_one]", "properties: [part.test_one, part.test_one]", "is already defined in line 15"),
        ("properties: [part.test_one]", "properties: [part.test_none]", "unknown property part.test_none"),
        ("- part.test_three", "- part.test_two", "property part.test_two is already defined in line 22"),
        ("- id: 2a.two", "- id: 2a.one", "criterion 2a.one is already defined in line 10"),
        ("- id: 2a.two", "- id: 2b.two", "criterion 2b.two is listed under item 2a"),
        ("- id: 2a.two", "- id: 2a two", "should match pattern"),
        ("- id: 2d", "- id: 2a", "item 2a is already defined in line 5"),
        ("kind: manual", "kind: written", "2d: kind must be automatic, training or manual"),
        ("kind: manual", "kind: automatic", "2d model_answer: is not a known key here"),
        ("items:", "items: 3 #", ""),
        ('version: "1"', "version: 1", "valid string"),
        ("grading_notes: All or nothing.", "--- {}", ""),
    ],
)
def test_a_fault_is_named_with_its_line(old, new, reason):
    known = {"part.test_one", "part.test_two", "part.test_three"}
    text = SMALL.replace(old, new, 1)
    with pytest.raises(RubricError) as caught:
        parse_rubric(text.encode(), known_properties=known)
    lines = str(caught.value).split("\n")
    assert all(re.fullmatch(r"rubric\.yaml:(\d+): (.+)", line) for line in lines), lines
    message = next((line for line in lines if reason in line), lines[0])
    assert reason in message, lines
    found = re.fullmatch(r"rubric\.yaml:(\d+): (.+)", message)
    assert found is not None
    exact = {"points: 1.5": "points: 2", "kind: manual": None, "items:": None}
    start = exact.get(old, new.split("\n")[0])
    if reason and start:
        assert int(found[1]) == line_of(text, start), message
    assert len(message) < 400


def test_all_faults_are_reported_in_one_run():
    text = SMALL
    for old, new in (
        ("points: 2\n", "points: 3\n"),
        ("points: 0.5", "points: -0.5"),
        ("public: false", "publik: false"),
        ("part.test_three", "part.test_four"),
        ("id: 2d", "id: 2a"),
        ("    points: 1\n", "    points: one\n"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    text += """\
  - id: 2e
    kind: automatic
    title: Something else
    points: 1
    criteria:
      - {id: 2e.one, title: One., points: 0.5, quote: One., public: true, properties: [part.test_one, part.test_five]}
  - {id: 2e, kind: manual, title: Written, points: 1, model_answer: 2e, grading_notes: All.}
"""
    with pytest.raises(RubricError) as caught:
        parse_rubric(text.encode(), known_properties={"part.test_one", "part.test_two"})
    found = [re.sub(r"^rubric\.yaml:", "", line)[:44] for line in str(caught.value).split("\n")]
    assert found == [
        "12: 2a.one points: points must be between 0 ",
        "20: 2a.two publik: is not a known key here",
        "27: 2a points: Input should be a valid numbe",
        "33: 2e does not add up: worth 1, its criteri",
        "35: unknown property part.test_five: did you",
        "36: item 2e is already defined in line 30",
    ]


def test_all_faults_of_sums_and_names_are_reported_in_one_run():
    text = SMALL.replace("points: 1.5", "points: 1").replace("part.test_three", "part.test_two").replace("total: 3", "total: 4")
    with pytest.raises(RubricError) as caught:
        parse_rubric(text.encode(), known_properties={"part.test_one"})
    lines = str(caught.value).split("\n")
    assert [line.split(":")[1] for line in lines] == ["3", "8", "22", "23", "23"]


def test_a_missing_key_is_named_where_it_is_missed():
    text = SMALL.replace("        quote: Do two.\n", "")
    with pytest.raises(RubricError, match=r"^rubric\.yaml:16: 2a\.two quote: is missing$"):
        parse_rubric(text.encode())


def test_an_item_without_kind():
    with pytest.raises(RubricError, match=r"^rubric\.yaml:24: 2d: needs a kind"):
        parse_rubric(SMALL.replace("    kind: manual\n", "").encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "rubric.yaml:1: empty"),
        (b"[]", "rubric.yaml:1: the rubric: must be a mapping of keys to values"),
        (
            b"items:\n- {kind: nothing}\n",
            "rubric.yaml:1: version: is missing\nrubric.yaml:1: title: is missing\nrubric.yaml:1: total: is missing\n"
            "rubric.yaml:2: items [0]: kind must be automatic, training or manual",
        ),
        (b"# a\n# \xff\n", "rubric.yaml:2: not UTF-8"),
        (b"#" * (MAX_BYTES + 1), "rubric.yaml:1: larger than 256 KiB"),
    ],
)
def test_a_file_that_is_no_rubric(data, message):
    with pytest.raises(RubricError) as caught:
        parse_rubric(data)
    assert str(caught.value) == message


def test_laughs_do_not_multiply():
    lines = ["a: &a [ha, ha, ha]"] + [
        f"{b}: &{b} [*{a}, *{a}, *{a}]" for a, b in zip("abcdefg", "bcdefgh", strict=True)
    ]
    with pytest.raises(RubricError, match=r"^rubric\.yaml:1: anchors and aliases"):
        parse_rubric("\n".join(lines).encode())


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(RubricError, match=r"^none\.yaml:1: cannot be read: No such file"):
        load_rubric(tmp_path / "none.yaml")
    with pytest.raises(RubricError, match="cannot be read"):
        load_rubric(tmp_path)
    with pytest.raises(RubricError, match="cannot be read"):
        load_rubric(tmp_path / "a\0b")


def test_a_byte_order_mark_is_no_fault():
    assert parse_rubric(b"\xef\xbb\xbf" + SMALL.encode()).total == 3


def only_rubric_errors(data: bytes) -> None:
    try:
        parse_rubric(data, known_properties=())
    except RubricError as error:
        for line in str(error).split("\n"):
            assert re.match(r"rubric\.yaml:\d+: .", line)
            assert line.isprintable()


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300)
    | st.text(alphabet="[]{}:,-?!&*#|>'\"%@` \n\tab1.~=<\x85\u2028\ufeff", max_size=60).map(str.encode)
)
def test_any_bytes_give_a_rubric_error(data):
    only_rubric_errors(data)


WORDS = """
: - & * <<: ? { [ ' " | > = _:_ 0x 1:2:3 ~ yes .inf -.5 1e9999 &x *x ... !!binary !!timestamp !!null
!!bool !!float !!int !!int_ !!str !!python/object:a.b !<tag:yaml.org,2002:int> --- %YAML
"""
AROUND = ["{}", "{} ", "{}\n", "\n{}", "{} _\n", "{} ''"]
JUNK = st.builds(
    str.replace, st.sampled_from(AROUND), st.just("{}"), st.sampled_from(re.findall(r"\S+", WORDS))
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(SMALL)), st.integers(0, 12), JUNK | st.text(max_size=4)),
        min_size=1,
        max_size=4,
    )
)
def test_any_edit_of_a_rubric_gives_a_rubric_or_a_rubric_error(edits):
    text = SMALL
    for at, cut, junk in edits:
        text = text[:at] + junk + text[at + cut :]
    only_rubric_errors(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("name", ["10a", "2", "11", "123z"])
def test_an_item_may_have_any_number_and_no_letter(name):
    text = SMALL.replace("2a", name).replace(f"id: {name}\n", f'id: "{name}"\n')
    assert parse_rubric(text.encode()).automatic[0].criteria[0].id == f"{name}.one"


@pytest.mark.parametrize("name", ["0a", "a", "2ab", "02a", "2.5a"])
def test_other_ids_are_refused(name):
    with pytest.raises(RubricError, match="should match pattern"):
        parse_rubric(SMALL.replace("id: 2d", f'id: "{name}"').encode())


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("part.test_oen", "did you mean part.test_one?"),
        ("part.test_all_that_is_new", "define it in part.py, as a function that begins with test_"),
        ("other.test_one", "no module other is registered; add it to `modules` of the homework's `HOMEWORK`"),
        ("nonsense", "no module nonsense is registered"),
    ],
)
def test_an_unknown_property_says_where_to_register_it(name, hint):
    text = SMALL.replace("[part.test_one]", f"[{name}]")
    with pytest.raises(RubricError) as caught:
        parse_rubric(text.encode(), known_properties={"part.test_one", "part.test_two", "part.test_three"})
    assert hint in str(caught.value)
    assert str(caught.value).startswith("rubric.yaml:15: ")


ENTRIES = SMALL + """\
    entries:
      - {id: right, points: 0.75, text: Right.}
      - {id: reasoned, points: 0.25, text: With a reason.}
      - {id: nothing, points: 0, text: Nothing., exclusive: true}
"""


def test_entries_of_a_manual_item():
    rubric = parse_rubric(ENTRIES.encode())
    (item,) = rubric.by_hand
    assert [(entry.id, entry.points, entry.exclusive) for entry in item.entries] == [
        ("right", 0.75, False),
        ("reasoned", 0.25, False),
        ("nothing", 0, True),
    ]
    assert parse_rubric(SMALL.encode()).by_hand[0].entries == ()


@pytest.mark.parametrize(
    ("old", "new", "start", "reason"),
    [
        ("points: 0.75", "points: 0.5", "entries:", "2d: its entries give at most 0.75 of 1 points"),
        ("points: 0,", "points: 0.25,", "entries:", "2d: its entries give at least 0.25 points; add an entry worth 0"),
        ("id: reasoned", "id: right", "- {id: right, points: 0.25", "2d: entry right is already defined in line"),
        ("points: 0.75", "points: 0.7", "- {id: right", "right points: points must be a multiple of 0.25"),
        ("points: 0.75", "points: many", "- {id: right", "right points: Input should be a valid number"),
        ("text: Right.", "title: Right.", "- {id: right", "right title: is not a known key here"),
        ("text: Right.", "text: ''", "- {id: right", "right text"),
        ("id: right", "id: Right answer", "- {id: Right", "Right answer id: String should match"),
        ("exclusive: true", "exclusive: 1", "- {id: nothing", "nothing exclusive: Input should be a valid boolean"),
    ],
)
def test_entries_that_are_wrong(old: str, new: str, start: str, reason: str):
    text = ENTRIES.replace(old, new, 1)
    with pytest.raises(RubricError) as caught:
        parse_rubric(text.encode())
    assert f":{line_of(text, start)}: {reason}" in str(caught.value)


def test_a_deduction_lets_an_item_reach_0():
    text = ENTRIES.replace("id: nothing, points: 0", "id: nothing, points: -0.5").replace(", exclusive: true", "")
    assert parse_rubric(text.encode()).by_hand[0].entries[2].points == -0.5
