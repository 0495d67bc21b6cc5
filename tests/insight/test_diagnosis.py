"""Likely causes: equal and similar symptoms, two faults at once, unknown ones, and messages without what differs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.errors import UsageError
from grader.insight.causes import in_words
from grader.insight.diagnosis import Diagnoser, Diagnosis, Part
from grader.insight.fingerprints import Fingerprints, load_fingerprints, to_json
from grader.insight.symptoms import Symptom, Symptoms, message_class, relation_of, symptoms_of
from grader.scoring.verdict import Verdict
from tests.insight.known import AXIS, FAULTS, MASK, ORDER, SCALE, TABLE, failed


def diagnose(symptoms: Symptoms, part: str = "1a") -> Diagnosis:
    return Diagnoser(TABLE).diagnose(part, symptoms)


def test_equal_symptoms_name_their_cause() -> None:
    found = diagnose(failed(mask="a masked token gets weight"))
    assert found.first is not None and found.first.causes == (MASK,)
    assert found.first.probability > 0.8 and found.first.nearest[0].name == "1a/mask-ignored"
    assert found.ambiguous == ()


def test_causes_that_fail_exactly_alike_are_both_named() -> None:
    found = diagnose(failed(sums="the row sums to #", shape="has shape (#, #)"))
    assert {guess.causes for guess in found.ambiguous} == {(AXIS,), (ORDER,)}
    assert abs(found.guesses[0].probability - found.guesses[1].probability) < 1e-9
    assert "It could also be" in in_words(found)


def test_the_message_tells_faults_of_one_property_apart() -> None:
    similar = Part([FAULTS[0], *FAULTS[2:]], TABLE.calibration).diagnose(failed(scale="raised IndexError"))
    same = Part([FAULTS[0], *FAULTS[2:]], TABLE.calibration).diagnose(failed(scale="is # times too large"))
    assert same.guesses[0].probability > similar.guesses[0].probability


def test_what_fails_like_nothing_known_is_unknown() -> None:
    found = diagnose(failed(speed="takes too long", memory="grows"))
    assert found.first is None and found.unknown > 0.9
    assert in_words(found).startswith("unknown")


def test_two_faults_at_once_are_both_named() -> None:
    both = failed(scale="is # times too large", mask="a masked token gets weight", gradient="a masked token gets a gradient")
    first = diagnose(both).first
    assert first is not None and set(first.causes) == {SCALE, MASK}
    assert [fault.name for fault in first.nearest] == ["1a/mask-lost", "1a/no-scale"]


def test_parts_are_told_apart() -> None:
    first = diagnose(failed(scale="is # times too large"), "1b").first
    assert first is not None and first.causes == (ORDER,)
    assert diagnose(failed(scale="is # times too large"), "9z").first is None


def test_nothing_failed_is_no_cause() -> None:
    held = diagnose({"mask": Symptom("unreached", "could not be checked")})
    assert held.guesses == () and held.unknown == 0.0 and in_words(held) == ""


@given(st.sets(st.sampled_from(["scale", "sums", "mask", "gradient", "shape", "else"]), min_size=1))
def test_probabilities_add_up_to_at_most_one(names: set[str]) -> None:
    found = diagnose({name: Symptom("failed", "x") for name in names})
    assert found.unknown >= 0 and sum(guess.probability for guess in found.guesses) + found.unknown <= 1 + 1e-9
    assert [guess.probability for guess in found.guesses] == sorted(
        (guess.probability for guess in found.guesses), reverse=True
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alpha[0, 2, 2] is 0.4387, expected 0.4069", "alpha[1, 0, 0] is -1.2e-05, expected 1"),
        ("your code raised NameError: name 'foo' is not defined", "your code raised NameError: name 'bar' is not defined"),
        ("code cell 3, line 4", "code cell 12, line 40"),
    ],
)
def test_messages_of_one_kind_are_equal(one: str, other: str) -> None:
    assert message_class(one) == message_class(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("has shape (1, 2, 2), expected (1, 2)", "has shape (1, 2), expected (1, 2)"),
        ("alpha[0] is nan", "alpha[0] is 3"),
        ("holds int32, expected int64", "holds float32, expected int64"),
    ],
)
def test_messages_of_different_kinds_stay_apart(one: str, other: str) -> None:
    assert message_class(one) != message_class(other)


@pytest.mark.parametrize(
    ("message", "relation"),
    [
        ("loss is 62.65, expected 20.88", "a multiple"),
        ("loss is 0.6151, expected 1.23", "a fraction"),
        ("loss is -1.23, expected 1.23", "the negative"),
        ("loss is 0, expected 1.23", "zero"),
        ("loss is 1.335, expected 1.23", ""),
        ("loss is 3.422, expected 1.23", "the exponential"),
        ("loss is nan", ""),
        ("expected 2 distinct heads (num_heads=2), but forward used 1", "fewer"),
        ("expected 2 distinct heads (num_heads=2), but forward used 3", "more"),
        ("the output has shape (1, 3, 4), expected (B, N, nout) = (1, 4, 3)", "axes in another order"),
        ("the output has shape (4, 3), expected (B, N, nout) = (1, 4, 3)", "an axis of 1"),
        ("logits has shape (1, 5, 3), but (1, 4, 3) is asked for", "axes 1 more"),
        ("a block is built with dim=3, attn_dim=5, heads=1, expected dim=3, attn_dim=4, heads=1", "attn_dim"),
        ("a block is built with {'dim': 3, 'layers': 5}, expected {'dim': 3, 'layers': 2}", "layers"),
        ("", ""),
    ],
)
def test_relations_say_what_is_no_accident_of_the_example(message: str, relation: str) -> None:
    assert relation_of(message) == relation


@pytest.mark.parametrize(
    ("got", "expected", "relation"),
    [
        ("['a', 'b']", "['b', 'a']", "reordered"),
        ("['a', 'b']", "['a', 'b', 'c']", "cut off"),
        ("['a', 'b', 'c']", "['a', 'b', 'a', 'c']", "repetitions left out"),
        ("['a', 'c']", "['a', 'b', 'c']", "items left out"),
        ("['a', 'b', 'c']", "['a', 'c']", "items put in"),
        ("[1, 2]", "[1, 3]", "as many"),
        ("[1, 2, 3]", "[4]", "more"),
        ("shape (1, 2), begins [[1]]", "[4]", ""),
        ("[" * 3000, "[4]", ""),
    ],
)
def test_lists_of_a_counterexample_are_compared(got: str, expected: str, relation: str) -> None:
    assert relation_of("encode(s) is wrong", f"s = 'x'\nyour ids = {got}\nexpected = {expected}") == relation


def test_one_thing_that_changes_is_told_from_several() -> None:
    assert relation_of("", "x = 1.5\nembeddings that change = 4") == "embeddings that change: one"
    several = "embeddings that change: several"
    assert relation_of("", "embeddings that change = 0, 1, ... (64 in all)") == several
    assert relation_of("", "embeddings that change = 8, 9") == several
    assert relation_of("", "dim, n_hidden = 3, 4\nsize = 4") == ""


def test_symptoms_leave_out_what_passed_and_what_does_not_apply() -> None:
    verdicts = [
        Verdict("a", "failed", "is 3"),
        Verdict("b", "passed"),
        Verdict("c", "passed", "left", defers_to=("a",)),
        Verdict("d", "inapplicable"),
        Verdict("e", "unreached", "nothing"),
        Verdict("f", "failed", "of another part"),
    ]
    found = symptoms_of(verdicts, {"a", "b", "c", "d", "e"})
    assert found == {"a": Symptom("failed", "is #"), "c": Symptom("unreached", "left"), "e": Symptom("unreached", "nothing")}


def test_a_table_reads_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "fingerprints.json"
    path.write_text(to_json(TABLE), encoding="utf-8")
    assert load_fingerprints(path) == TABLE
    assert load_fingerprints(tmp_path / "absent.json") == Fingerprints()


@pytest.mark.parametrize("text", ["", "[]", to_json(TABLE).replace('"format": 1', '"format": 2'), to_json(TABLE)[:-40]])
def test_a_damaged_table_is_one_line_that_says_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fingerprints.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"fingerprints\.json: cannot be read .*grader audit fingerprints") as caught:
        load_fingerprints(path)
    assert "\n" not in str(caught.value)
