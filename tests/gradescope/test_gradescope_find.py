"""One notebook is found, or the student is told what to hand in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from grader.gradescope.find import NoNotebook, find_notebook

NOTEBOOK = '{"cells": [], "nbformat": 4}'


def hand_in(folder: Path, *names: str, text: str = NOTEBOOK) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["homework3.ipynb"], "homework3.ipynb"),
        (["Copy of HW3 (1).ipynb", "notes.txt"], "Copy of HW3 (1).ipynb"),
        (["mine.IPYNB"], "mine.IPYNB"),
        (["hw/3/mine.ipynb", "hw/data.csv"], "hw/3/mine.ipynb"),
        (["draft.ipynb", "Homework3.ipynb"], "Homework3.ipynb"),
        (["homework3.ipynb", ".ipynb_checkpoints/homework3-checkpoint.ipynb"], "homework3.ipynb"),
        (["homework3.ipynb", "__MACOSX/._homework3.ipynb", "._homework3.ipynb"], "homework3.ipynb"),
        (["homework3.ipynb.txt"], "homework3.ipynb.txt"),
        (["homework3.json", "notes.md"], "homework3.json"),
        (["aufgäbe 3 – 最終.ipynb"], "aufgäbe 3 – 最終.ipynb"),
    ],
)
def test_found(tmp_path: Path, names: list[str], chosen: str) -> None:
    hand_in(tmp_path, *names)
    (tmp_path / "notes.md").write_text("not a notebook")
    found = find_notebook(tmp_path)
    assert found.path == tmp_path / chosen
    assert bool(found.notes) == (
        chosen in ("hw/3/mine.ipynb", "Homework3.ipynb", "homework3.ipynb.txt", "homework3.json")
    )


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "Nothing was handed in"),
        (["a.ipynb", "b.ipynb"], r"There are 2 notebooks here \(a.ipynb, b.ipynb\)"),
        (["a/homework3.ipynb", "b/homework3.ipynb"], "There are 2 notebooks"),
        (["work.zip"], "is not opened. Hand in the notebook itself, homework3.ipynb"),
        (["work.tar.gz", "readme.md"], "archive"),
        (["homework3.pdf"], "is a PDF, not a notebook"),
        (["homework3.py"], "is a Python script"),
        (["photo.jpg"], r"There is no notebook among your files \(photo.jpg\)"),
    ],
)
def test_not_found(tmp_path: Path, names: list[str], reason: str) -> None:
    with pytest.raises(NoNotebook, match=reason):
        find_notebook(hand_in(tmp_path, *names, text="no json"))


def test_links_and_pipes_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "submission"
    hand_in(tmp_path, "secret.ipynb")
    folder.mkdir()
    (folder / "homework3.ipynb").symlink_to(tmp_path / "secret.ipynb")
    (folder / "all").symlink_to("/")
    os.mkfifo(folder / "pipe.ipynb")
    with pytest.raises(NoNotebook, match="Nothing was handed in"):
        find_notebook(folder)


def test_a_name_cannot_change_the_message(tmp_path: Path) -> None:
    hand_in(tmp_path, "a\n\x1b[31m<b>.pdf", text="")
    with pytest.raises(NoNotebook) as caught:
        find_notebook(tmp_path)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_no_folder_is_nothing_handed_in(tmp_path: Path) -> None:
    with pytest.raises(NoNotebook, match="Nothing"):
        find_notebook(tmp_path / "none")
