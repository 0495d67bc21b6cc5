"""What of a notebook's outputs is shown to the person who grades."""

from __future__ import annotations

import base64

import pytest

from grader.homework3 import HOMEWORK
from grader.scoring.evidence import MOST_ANSWER, _states_accuracy, collect, is_whole
from grader.scoring.rubric import load_rubric
from grader.submission.reading import CodeCell, MarkdownCell, Output, Submission

RUBRIC = load_rubric(HOMEWORK.rubric)


@pytest.mark.parametrize(
    ("line", "states"),
    [
        ("epoch 3: val acc 0.53", True),
        ("Accuracy: 53%", True),
        ("accuracy", False),
        ("0.9 acc", False),
        ("accurate to 3 digits", False),
        ("x" * 1000 + " acc " + "y" * 1000 + "7", True),
        # These took minutes: all of a line was looked at from each of its places.
        ("o" * (3 << 20), False),
        ("acc " * (1 << 20), False),
    ],
)
def test_a_line_that_states_an_accuracy(line: str, states: bool) -> None:
    assert _states_accuracy(line) is states


def test_an_image_pasted_into_an_answer_is_evidence() -> None:
    photo = Output("attachment", "image/jpeg", data=b"photo")
    vector = Output("attachment", "image/svg+xml", data=b"<svg/>")
    cells = (
        MarkdownCell(0, "a", "See the photo.", role="text-answer", part="1a", attachments=(photo, vector)),
        MarkdownCell(1, "b", "Of another item.", role="text-answer", part="1b"),
    )
    found = collect(Submission("hw.ipynb", "", (), cells), RUBRIC)["1a"]
    assert [(each.kind, each.text, each.mime) for each in found] == [
        ("written_answer", "See the photo.", None),
        ("written_answer", None, "image/jpeg"),
    ]
    assert base64.b64decode(found[1].data or "") == b"photo"


@pytest.mark.parametrize(
    ("calls", "found"), [({"generate", "decode"}, ["Thou art"]), ({"sample"}, ["A map"]), ((), [])]
)
def test_text_is_looked_for_where_the_homework_says_that_it_is_generated(calls: set[str], found: list[str]) -> None:
    rubric = load_rubric(HOMEWORK.rubric)
    item = next(item.id for item in rubric.items if "generated_text" in getattr(item, "evidence", ()))
    cells = tuple(
        CodeCell(place, place + 1, "", source, outputs=(Output("stream", "text/plain", text=text),))
        for place, (source, text) in enumerate([("print(gpt.generate (x))", "Thou art"), ("sample(3)", "A map")])
    )
    shown = collect(Submission("hw.ipynb", "", cells, ()), rubric, calls).get(item, [])
    assert [each.text for each in shown] == found


def test_a_written_answer_is_evidence_as_a_whole() -> None:
    parts = ["The gradient vanishes. " * 200, "A second cell.", "A third cell, with the conclusion."]
    cells = tuple(
        MarkdownCell(number, str(number), text, role="text-answer", part="1d") for number, text in enumerate(parts)
    )
    found = collect(Submission("hw.ipynb", "", (), cells), RUBRIC)["1d"]
    assert [each.text for each in found] == [text.strip() for text in parts]
    assert is_whole(found)


def test_a_written_answer_without_end_is_cut_and_says_so() -> None:
    cells = tuple(MarkdownCell(n, str(n), "x" * 30_000, role="text-answer", part="1d") for n in range(3))
    found = collect(Submission("hw.ipynb", "", (), cells), RUBRIC)["1d"]
    assert sum(len(each.text or "") for each in found) == MOST_ANSWER
    assert not is_whole(found)
