"""A transcript finds the calls that made a value, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.judging.snippet import snippet
from grader.judging.transcript import Found, Transcript
from grader.kernel.remote import Student, recording_of

X = np.array([[1.0, 2.0]], np.float32)


def transcript_of(student: Student, *rounds: tuple[Any, Any]) -> Transcript:
    """The transcript of what a student proxy recorded, with the first round's operations."""
    made = Transcript()
    for wanted, answer in rounds:
        made.ask(recording_of(student), wanted)
        recording_of(student).operations = []
        made.answer(answer)
    return made


def test_a_value_is_found_in_a_reply_with_its_place():
    student = Student(0)
    layer = student.Layer(2)
    first, second = layer(X), layer(2 * X)
    transcript = transcript_of(student, ((first, [second]), (X, [(X, 3 * X)])))
    found = transcript.source_of((3 * X).astype(np.float64)[None])
    assert found is not None and found.path == (1,)
    assert [each.name for each in transcript.needed_for([found.slot]) or ()] == ["new", "call"]
    assert transcript.source_of(np.array([7.0])) is None


def test_only_the_weights_that_are_used_are_kept():
    student = Student(0)
    layer = student.Layer(2)
    layer.load({"w": X})
    layer.load({"w": 2 * X})
    early = layer(X)
    layer.load({"w": 3 * X})
    late = layer(X)
    transcript = transcript_of(student, ((early, late), (X, X)))
    slots = [each.slot for each in transcript.operations if each.name == "call"]
    kept = [each.arguments[1]["w"][0, 0] for each in transcript.needed_for(slots[:1]) or () if each.name == "load"]
    assert kept == [2.0]


def test_what_needs_a_stand_in_is_in_no_notebook():
    student = Student(0)
    output = student.Layer(2)(X)
    calls = student.calls()
    transcript = transcript_of(student, ((output, calls), (X, [])))
    assert transcript.needed_for([calls._slot.number]) is None
    assert transcript.asked(1) == [Found(output._slot.number)]


def test_the_round_counts_in_which_the_violation_was_found():
    student = Student(0)
    output = student.Layer(2)(X)
    transcript = transcript_of(student, (output, X))
    other = student.Layer(3)(X)
    transcript.ask(recording_of(student), other)
    transcript.answer(X)
    assert transcript.asked(1) == [Found(output._slot.number)] and transcript.asked(2) == [Found(other._slot.number)]


def test_code_is_written_in_the_order_of_the_calls():
    student = Student(0)
    layer = student.TwoWords(2, bias=False)
    layer.mode(False)
    x = student.tensor(X)
    output = layer.any_way((x, None), (x,))
    transcript = transcript_of(student, (output, (X, X)))
    code = snippet(transcript, [Found(output._slot.number, (0,))], {"x": X}, {output._slot.number: 1}, ["wrong"])
    assert code.splitlines() == [
        "import torch",
        "",
        "two_words = TwoWords(2, bias=False)",
        "two_words.eval()",
        "x = torch.tensor([[1.0, 2.0]])",
        "result = two_words(x)",
        "print(result[0])",
        "# wrong",
    ]


def test_many_numbers_become_random_ones_and_the_code_says_so():
    student = Student(0)
    output = student.Layer(2)(np.zeros((40, 40), np.float32))
    transcript = transcript_of(student, (output, X))
    code = snippet(transcript, [Found(output._slot.number)], {}, {})
    assert "value = torch.randn(40, 40)" in code and "# Tensors of many numbers are random here" in code
