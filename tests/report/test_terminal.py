"""The terminal report says what it must, at any width, and obeys nobody's escape sequences."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from grader.report.terminal import points, print_result
from grader.scoring.result import Cell, Flag, Isolation, Penalty, Result, Versions, totals
from grader.scoring.rubric import load_rubric
from grader.scoring.score import score
from grader.scoring.verdict import Verdict

RUBRIC = load_rubric()
MASK = next(c for item in RUBRIC.automatic for c in item.criteria if c.id == "2a.mask").properties[0]
PADDING = next(c for item in RUBRIC.automatic for c in item.criteria if c.id == "4d.padding").properties[0]


def result(text: str = "plain", **fields) -> Result:
    verdicts = {name: Verdict(name, "passed") for name in RUBRIC.properties}
    verdicts[MASK] = Verdict(MASK, "failed", f"alpha {text}", f"mask\n{text}", f"Property {text}", notes=(text,))
    verdicts[PADDING] = Verdict(PADDING, "error", f"oracle {text}")
    items = score(RUBRIC, verdicts)
    whole = {
        "submission": f"{text}.ipynb",
        "items": items,
        "warnings": (f"warning {text}",),
        "cells": (
            Cell(number=1, decision="run", status="ok"),
            Cell(number=2, decision="skip", status="skipped", reason=f"trains {text}"),
            Cell(number=30, decision="partly", status="raised", reason="classes", error=f"NameError {text}"),
        ),
        "flags": (Flag(kind="altered", message=text, cell=9, line=4),),
        "isolation": (
            Isolation(layer="seccomp", active=True),
            Isolation(layer="uid", active=False, note="no root"),
        ),
        "penalties": (Penalty(id="page-assignment", percent=3),),
        "seed": "secret",
        "seconds": {"cells": 1.25},
        "versions": Versions(grader="0.1", rubric="1", python="3.11", torch="2.4"),
    }
    return Result(**(whole | totals(items)._asdict() | fields))


def printed(whole: Result, width: int = 100, encoding: str = "utf-8", **options) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, write_through=True, newline="\n")
    print_result(whole, Console(file=stream, width=width, **options))
    return raw.getvalue().decode(encoding)


def test_everything_is_said():
    text = printed(result())
    for words in [
        "plain.ipynb",
        "AttentionHead",
        "3 / 4",
        "– / 0.5",
        "2a.mask  AttentionHead  1 point lost",
        "alpha plain",
        "Requirement: Property plain",
        "│ mask",
        "4d.padding  DialogueLoss  0.5 points pending",
        "trains plain",
        "raised, in part",
        "NameError plain",
        "altered  plain  cell 9 line 4",
        "warning plain",
        "seccomp",
        "uid (no root)",
        "secret",
        "torch 2.4",
        "−3 %",
        "Score: 16.5 / 17.5 (automatic). Pending: 16 manual, 1 training, 0.5 grader errors",
    ]:
        assert words in text, words
    assert "  1  ok" not in text


def test_a_homework_is_called_what_its_rubric_calls_it():
    assert "Problem set 9  plain.ipynb" in printed(result(title="Problem set 9"))
    assert "Homework 3" not in printed(result(title="Problem set 9"))


def test_all_graded_is_a_score_of_all():
    items = tuple(
        item.model_copy(update={"points": item.max_points, "status": "passed", "criteria": ()})
        for item in result().items
    )
    assert "Score: 35 / 35" in map(str.strip, printed(result(items=items, **totals(items)._asdict())).splitlines())


def test_what_was_not_checked_is_named_and_gets_no_check_mark():
    automatic = RUBRIC.automatic
    unchecked = {item.id: item.criteria[1:] for item in automatic}
    kept = [item for item in result().items if item.kind == "automatic" and item.id != "4d"]
    items = tuple(
        item.model_copy(update={"criteria": (first,), "points": most, "max_points": most, "status": "passed"})
        for item in kept
        for first in item.criteria[:1]
        for most in [first.max_points]
    )
    stream = io.StringIO()
    whole = result(items=items, **totals(items)._asdict())
    print_result(whole, Console(file=stream, width=100), unchecked=unchecked)
    text = stream.getvalue()
    assert "✓" not in text
    assert "not checked: softmax, mask, values, gradients" in text
    missing = sum(criterion.points for criteria in unchecked.values() for criterion in criteria)
    assert f"worth {points(missing)} points" in " ".join(text.split())
    assert "Nothing of 4d is checked." in " ".join(text.split())


def test_nothing_is_shown_in_a_color_that_some_background_has():
    """Bright black is the background of Solarized Dark; yellow and cyan hardly show on white."""
    raw = io.StringIO()
    console = Console(file=raw, width=100, force_terminal=True, color_system="standard")
    print_result(result(), console)
    used = {int(code) for codes in re.findall(r"\x1b\[([0-9;]*)m", raw.getvalue()) for code in codes.split(";") if code}
    assert used
    assert not used & {30, 33, 36, 37, *range(90, 98)}


def test_a_submission_with_nothing_to_grade():
    empty = Result(
        submission="a",
        error="not a notebook",
        score=0,
        max_score=0,
        pending=0,
        versions=Versions(grader="0", rubric="1", python="3"),
    )
    text = printed(empty)
    assert "not a notebook" in text
    assert "judged" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits(width):
    lines = printed(result("word " * 60), width).splitlines()
    assert max(map(len, lines)) <= width
    # No title has to be broken: every item stands in one line.
    assert all(re.search(rf"(?m)^.{{1,3}} {item.id} .*/ ", "\n".join(lines)) for item in RUBRIC.items)


@pytest.mark.parametrize("width", [1, 20, 40])
def test_a_narrow_terminal_is_no_error(width):
    printed(result(), width)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_that_is_not_utf8(encoding):
    text = printed(result("naïve 日本 ∑"), encoding=encoding)
    assert text.isascii()
    assert "2a.mask" in text


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(categories=None) | st.sampled_from("\x1b\u202e\ud800[]\\/:"), max_size=40))
def test_no_text_reaches_the_terminal_raw(text):
    for options in [{}, {"force_terminal": True, "color_system": "truecolor", "legacy_windows": False}]:
        shown = printed(result(text), **options)
        # Styles are the report's own; without them nothing unprintable is left.
        assert re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\n", "").isprintable()
        assert options or "\x1b" not in shown


@pytest.mark.parametrize("text", ["[bold red]x[/]", "[/]", "[link=http://a.b]x[/link]", ":smile:", "\\[x]"])
def test_markup_is_text(text):
    assert f"alpha {text}" in printed(result(text))


@pytest.mark.parametrize(
    ("value", "words"), [(3.0, "3"), (0.5, "0.5"), (16.25, "16.25"), (0, "0"), (0.1 + 0.2, "0.3"), (10, "10")]
)
def test_points_are_written_plainly(value, words):
    assert points(value) == words


def test_reports_and_scoring_need_no_torch():
    code = "import sys, grader.scoring.score, grader.report.terminal; print({'torch', 'nltk'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_problems_stand_apart_by_their_whole_number():
    renamed = [item.model_copy(update={"id": f"1{item.id}", "criteria": ()}) for item in result().items]
    items = tuple(item.model_copy(update={"points": None, "status": "pending"}) for item in renamed)
    lines = printed(result(items=items, **totals(items)._asdict())).splitlines()
    first = next(number for number, line in enumerate(lines) if " 12a " in line)
    assert not lines[first - 1].strip()
