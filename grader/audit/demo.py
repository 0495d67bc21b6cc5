"""A small made class to try the grader with: the master notebook with a few of the corpus's mistakes in it.

What the notebooks show is what students hand in: some parts wrong, some written answers short or missing, one submission late.
The same seed makes the same class.
"""

from __future__ import annotations

import copy
import csv
import io
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from grader.audit.corpus import Case, class_source, edited, load_all
from grader.authoring import notebooks
from grader.errors import UsageError
from grader.homework import Homework, load_homework
from grader.scoring.rubric import load_rubric

PEOPLE = (
    "Ada Lovelace", "Alan Turing", "Grace Hopper", "Emmy Noether", "Claude Shannon", "Katherine Johnson",
    "Kurt Gödel", "Barbara Liskov", "Edsger Dijkstra", "Sofia Kovalevskaya", "John Backus", "Margaret Hamilton",
)  # fmt: skip
PLACEHOLDER = "*your answer here*"
MOST_MISTAKES = 3
FIRST_ID, FIRST_FILE = 1001, 55001
ASSIGNMENT = 77


@dataclass(frozen=True)
class Demo:
    """What was written, and which mistakes each student makes: names of corpus entries, by student."""

    submissions: Path
    gradebook: Path
    mistakes: Mapping[str, tuple[str, ...]]


def write_demo(folder: Path, students: int = 6, seed: int = 0, homework: Homework | None = None) -> Demo:
    """Write a class as Canvas exports it: ``submissions/`` with a notebook each, and ``gradebook.csv``.

    Raises `UsageError` if the folder exists and is not empty.
    """
    chosen = homework or load_homework()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already; name a new folder")
    submissions = folder / "submissions"
    submissions.mkdir(parents=True)
    lots = random.Random(seed)
    names = [_name(number) for number in range(students)]
    mistakes: dict[str, tuple[str, ...]] = {}
    parts = _mutants(chosen)
    master = notebooks.build_master(chosen)
    for number, name in enumerate(names):
        wrong = lots.sample(sorted(parts), min(number % (MOST_MISTAKES + 1), len(parts)))
        cases = [lots.choice(parts[part]) for part in wrong]
        mistakes[name] = tuple(case.name for case in cases)
        notebook = copy.deepcopy(master)
        for case in cases:
            _put_in(notebook, case)
        _answer(notebook, lots)
        late = "_LATE" if number == 1 else ""
        file = f"{_sortable(name)}{late}_{FIRST_ID + number}_{FIRST_FILE + number}_{chosen.name}.ipynb"
        notebooks.write(notebook, submissions / file)
    gradebook = folder / "gradebook.csv"
    gradebook.write_text(_gradebook(names, chosen), encoding="utf-8", newline="")
    return Demo(submissions, gradebook, mistakes)


def _name(number: int) -> str:
    again = number // len(PEOPLE)
    return PEOPLE[number % len(PEOPLE)] + (f" {again + 1}" if again else "")


def _sortable(name: str) -> str:
    """As Canvas begins the names of files: last name first, letters and digits only."""
    first, last = name.split(" ", 1)
    return re.sub(r"\W", "", last + first).lower()


def _mutants(homework: Homework) -> dict[str, list[Case]]:
    """The wrong answers of each part that one cell holds."""
    rubric = load_rubric(homework.rubric)
    criteria = [criterion.id for item in rubric.automatic for criterion in item.criteria]
    parts: dict[str, list[Case]] = {}
    for case in load_all(criteria, homework.corpus):
        entry = case.entry
        if entry.kind == "mutant" and entry.before is None and entry.after is None:
            parts.setdefault(case.part, []).append(case)
    return parts


def _put_in(notebook: NotebookNode, case: Case) -> None:
    """Replace the class that an entry is about by the entry's."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        source = class_source(cell.source, case.class_name)
        if source is not None:
            new = case.entry.code if case.entry.code is not None else edited(source, case.entry.edits)
            cell.source = cell.source.replace(source, new)
            return


def _answer(notebook: NotebookNode, lots: random.Random) -> None:
    """Shorten some of the written answers to their first sentence, and leave some out."""
    for cell in notebook.cells:
        if cell.metadata["hw3"]["role"] != "text-answer" or "**Answer.**" not in cell.source:
            continue
        question, answer = cell.source.split("**Answer.**", 1)
        kept = lots.random()
        if kept > 0.85:
            answer = f" {PLACEHOLDER}"
        elif kept > 0.6:
            answer = " " + re.split(r"(?<=[.!?])\s", answer.strip(), maxsplit=1)[0]
        cell.source = f"{question}**Answer.**{answer}"


def _gradebook(names: list[str], homework: Homework) -> str:
    rubric = load_rubric(homework.rubric)
    text = io.StringIO()
    table = csv.writer(text)
    title = f"{rubric.title} ({ASSIGNMENT})"
    table.writerow(["Student", "ID", "SIS User ID", "SIS Login ID", "Section", title])
    table.writerow(["    Points Possible", "", "", "", "", f"{rubric.total:g}"])
    for number, name in enumerate(names):
        first, last = name.split(" ", 1)
        key = FIRST_ID + number
        table.writerow([f"{last}, {first}", key, f"S{key}", _sortable(name), "A", ""])
    return text.getvalue()

