"""One class from `grader batch` to Canvas: a group, an entry that changes, a regrade, and a batch of changed notebooks."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from grader.cli import app
from grader.homework3 import HOMEWORK
from grader.review.classroom import handle_of
from grader.review.progress import looks_again
from grader.review.web import Site
from grader.scoring.rubric import load_rubric
from tests.batch.conftest import command
from tests.conftest import solutions
from tests.grades.test_canvas import cells, gradebook, imported
from tests.review.made import Browser, site_of

pytestmark = pytest.mark.slow
RUBRIC = load_rubric(HOMEWORK.rubric)
PEOPLE = [
    {"sortable": "Lovelace, Ada", "canvas": "11", "sid": "0007", "login": "ada"},
    {"sortable": "Babbage, Bob", "canvas": "12", "sid": "0008", "login": "bob"},
    {"sortable": "Curie, Cyd", "canvas": "13", "sid": "0009", "login": "cyd"},
    {"sortable": "Dirac, Dan", "canvas": "14", "sid": "0010", "login": "dan"},
    {"sortable": "Euler, Eve", "canvas": "15", "sid": "0011", "login": "eve"},
    {"sortable": "Fermi, Finn", "canvas": "16", "sid": "0012", "login": "finn"},
]
"""The last one hands in nothing."""
ASSIGNMENT = 77
PATIENCE = 1800
"""Seconds for a batch of five on a machine that is busy with other things."""
SAME = "It vanishes, as the factor is below 1."
WRITTEN = {"11": SAME, "12": SAME, "13": SAME, "14": "It explodes.", "15": "It stays as it is."}
SILENT = "4g"
"""Asks for generated text alone, which none of these notebooks has."""
WITH_LOSS = {"11", "12"}
"""Who solved one class, for 2 points."""


def hand_in(folder: Path, canvas: str, answer: str, extra: str = "") -> None:
    """A notebook as Canvas exports it: the written answers, of which 1d is given, and one class that some have solved."""
    made = json.loads(Path(HOMEWORK.template).read_text(encoding="utf-8"))
    kept = []
    for cell in made["cells"]:
        text = "".join(cell["source"])
        if cell["id"] == "answer-1d":
            kept.append({**cell, "source": text.replace("*your answer here*", answer)})
        elif cell["id"] == "dialogue-loss" and canvas in WITH_LOSS:
            kept.append({**cell, "source": solutions()["dialogue-loss"] + extra})
        elif cell["cell_type"] == "markdown" or cell["id"] == "setup":
            kept.append(cell)
    name = next(one["sortable"] for one in PEOPLE if one["canvas"] == canvas)
    path = folder / f"{name.replace(', ', '').lower()}_{canvas}_9{canvas}_homework3.ipynb"
    made["metadata"]["student"] = canvas
    path.write_text(json.dumps({**made, "cells": kept}), encoding="utf-8")


def run_batch(source: Path, out: Path, roster: Path) -> None:
    with command("batch", source, "--out", out, "--roster", roster, "--jobs", 1) as process:
        try:
            said = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.terminate()
            raise
    assert process.returncode == 0, said


def key_of(site: Site, canvas: str) -> str:
    """The key of a student by the number in Canvas."""
    return next(key for key, one in site.room.klass.graded.students.items() if canvas in (one.sid, *one.ids))


def scores(out: Path, exported: Path, *options: str) -> dict[str, str]:
    """What Canvas takes from the file that `grader grades` writes; every other cell is as Canvas exported it."""
    arguments = ["grades", str(out), "--canvas", str(exported), "--assignment", str(ASSIGNMENT), *options]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    assert "unmatched: 0 of the class, 0 of the file" in " ".join(ran.output.split())
    filled = (out / "final" / "canvas.csv").read_bytes()
    found, strange = imported(filled, ASSIGNMENT, PEOPLE)
    assert strange == ["Student, Test"]
    before, after = cells(exported.read_bytes()), cells(filled)
    assert [row[:7] + row[8:] for row in before] == [row[:7] + row[8:] for row in after]
    return found


def again(site: Site) -> set[tuple[str, str]]:
    """The answers that are to be looked at again, by student and item."""
    state = site.room.book.state()
    answers = [answer for by_key in site.room.klass.answers.values() for answer in by_key.values()]
    return {(answer.submission, answer.item) for answer in answers if looks_again(state, answer)}


def grade_all(browser: Browser, site: Site, points: dict[str, float]) -> None:
    """Give everybody so much for each item but 1d."""
    for item in site.room.klass.items:
        if item == "1d":
            continue
        for key in site.room.klass.order(item):
            assert browser.grade(key, item, adjustment=str(points[item])).status_code == 200


def totals(by_hand: float, of_1d: dict[str, float]) -> dict[str, str]:
    """What Canvas should get: points by hand, those of 1d, and 2 for who solved the loss."""
    made = {canvas: by_hand + given + (2 if canvas in WITH_LOSS else 0) for canvas, given in of_1d.items()}
    return {canvas: f"{total:g}" for canvas, total in made.items()} | {"16": ""}


def test_a_class_from_the_batch_to_canvas_and_what_changes_on_the_way(tmp_path: Path) -> None:
    source, out, exported = tmp_path / "export", tmp_path / "hw3", tmp_path / "gradebook.csv"
    source.mkdir()
    exported.write_bytes(gradebook(PEOPLE))
    for canvas, answer in WRITTEN.items():
        hand_in(source, canvas, answer)
    run_batch(source, out, exported)
    site = site_of(out)
    try:
        story(site, Browser(site), source, exported)
    finally:
        site.room.close()


def story(site: Site, browser: Browser, source: Path, exported: Path) -> None:
    """What happens to the class; its points by hand are 0.25 for each item but 1d."""
    out = site.room.folder
    assert scores(out, exported) == dict.fromkeys((one["canvas"] for one in PEOPLE), "")
    assert scores(out, exported, "--absent", "zero")["16"] == "0"

    # Three answers are the same: one decision grades them, one undo takes it back, and it is given again.
    page = browser.get("/groups/1d").text
    assert "3 answers. Identical" in page
    handles = re.findall(r'name="member" value="(\w+)"', page.partition("3 answers. Identical")[2])[:3]
    same = [key_of(site, canvas) for canvas in ("11", "12", "13")]
    assert sorted(handles) == sorted(handle_of("1d", key) for key in same)
    decision = {"member": handles, "entry": ["no-condition"]}

    def given() -> list[Any]:
        grades = [site.room.book.state().grade(key, "1d") for key in same]
        return [grade and grade.points for grade in grades]

    browser.post("/groups/1d", decision, script=True)
    assert given() == [0.5] * 3
    assert browser.post("/undo", script=True).json()["message"].endswith("and 2 more")
    assert given() == [None] * 3
    browser.post("/groups/1d", decision, script=True)
    browser.grade(key_of(site, "14"), "1d", "wrong")
    browser.grade(key_of(site, "15"), "1d", "no-condition")
    grade_all(browser, site, dict.fromkeys(site.room.klass.items, 0.25))
    by_hand = 0.25 * (len(site.room.klass.items) - 1)
    of_1d = {"11": 0.5, "12": 0.5, "13": 0.5, "14": 0, "15": 0.5}
    assert scores(out, exported) == totals(by_hand, of_1d)

    # An entry is worth more now: everybody who has it gets more, and nobody else.
    change = {"id": "no-condition", "points": "0.75", "text": "Vanishes or explodes.", "exclusive": "1"}
    assert "4 answers change, by +1 points together" in browser.post("/entries/1d", change).text
    assert scores(out, exported) == totals(by_hand, of_1d)
    browser.post("/entries/1d", {**change, "apply": "1"})
    of_1d = {canvas: 0.75 if points else 0 for canvas, points in of_1d.items()}
    assert scores(out, exported) == totals(by_hand, of_1d)

    later(site, browser, source, exported, of_1d)


def later(site: Site, browser: Browser, source: Path, exported: Path, of_1d: dict[str, float]) -> None:
    """What happens once scores have been published."""
    out, by_hand = site.room.folder, 0.25 * (len(site.room.klass.items) - 1)
    # A regrade request takes the score away until it is decided.
    dan = key_of(site, "14")
    path = f"/item/1d/{handle_of('1d', dan)}"
    browser.post(f"{path}/request", {"text": "It does explode for eigenvalues above 1."})
    assert scores(out, exported) == {**totals(by_hand, of_1d), "14": ""}
    browser.grade(dan, "1d", "no-condition")
    browser.post(f"{path}/answer", {"outcome": "changed", "text": "You are right."})
    of_1d["14"] = 0.75
    assert scores(out, exported) == totals(by_hand, of_1d)

    # Two notebooks change. One has another answer, which is looked at again. The other has other code: its answers stay
    # graded, but for the item of which the notebook says nothing by itself.
    hand_in(source, "13", "It explodes.")
    hand_in(source, "12", WRITTEN["12"], extra="\nDialogueLoss.forward = lambda self, *given: torch.zeros(())\n")
    events = len(site.room.book.events())
    run_batch(source, out, exported)
    assert len(site.room.book.events()) == events
    assert scores(out, exported) == {**totals(by_hand, of_1d), "12": "", "13": ""}
    bob, cyd = key_of(site, "12"), key_of(site, "13")
    assert again(site) == {(bob, SILENT), (cyd, SILENT), (cyd, "1d")}
    assert browser.get("/item/1d").headers["location"] == f"/item/1d/{handle_of('1d', cyd)}"
    assert "The answer changed after it was graded" in browser.get(f"/item/1d/{handle_of('1d', cyd)}").text
    browser.grade(cyd, "1d", "wrong")
    of_1d["13"] = 0
    for key in (bob, cyd):
        browser.grade(key, SILENT, adjustment="0.25")
    assert again(site) == set()
    assert scores(out, exported) == {**totals(by_hand, of_1d), "12": f"{by_hand + 0.75:g}"}
    grade = site.room.book.state().grade(bob, "1d")
    assert grade is not None and grade.points == 0.75
