"""The command on final grades."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Absent(str, Enum):
    """What students get who handed in nothing."""

    empty = "empty"
    zero = "zero"


def grades(
    folder: Annotated[Path, typer.Argument(metavar="CLASS", help="The folder of a batch.")],
    canvas: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A gradebook exported from Canvas (Grades, Export). Writes canvas.csv to import there: one column is filled, "
            "every other cell stays as it is.",
        ),
    ] = None,
    assignment: Annotated[
        str,
        typer.Option(
            metavar="TITLE|ID",
            help="The assignment in Canvas, by its title or the number behind it. Default: the homework's title.",
        ),
    ] = "",
    moodle: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A grading worksheet downloaded from Moodle. Writes moodle.csv to upload there, with scores and feedback.",
        ),
    ] = None,
    gradescope: Annotated[
        bool,
        typer.Option(
            "--gradescope",
            help="Write points and rubric text to paste into Gradescope, which has no import: a file for each student "
            "and one for each item.",
        ),
    ] = False,
    lateness: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A CSV file with a column Lateness (H:M:S), such as the grades that Gradescope exports. The rubric's "
            "lateness rule turns it into a deduction.",
        ),
    ] = None,
    absent: Annotated[
        Absent,
        typer.Option(
            help="Students who handed in nothing. empty: no score, so the platform's own rule applies. zero: 0 points. Who "
            "handed in a PDF alone gets 0 for the automatic items only; the others stay pending until a person grades them. "
            "Start `grader review CLASS --pdfs ARCHIVE` first, which finds these students.",
        ),
    ] = Absent.empty,
    scale: Annotated[
        bool,
        typer.Option("--scale", help="Convert totals where Canvas or Moodle has another maximum than the rubric."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write. Default: CLASS/final.")
    ] = None,
) -> None:
    """Compose the final grades of a class and export them.

    Adds up automatic, training and manual points, takes off penalties and lateness, and says what is still pending for whom.
    A decision of a person counts more than the grader's points. Penalties and lateness are percentages of the points earned,
    and are added together.

    A pending score is never written as 0: its cell stays as it is. Students are found by ID, SIS User ID and SIS Login ID,
    then by a name that nobody else has. For a class list with everybody in it, run `grader batch --roster FILE` first.

    Exit status 0: done, even if scores are pending. 2: wrong usage, or a file that does not fit.

    Examples:

      grader grades hw3

      grader grades hw3 --canvas gradebook.csv --assignment "Homework 3"
    """
    from grader.batch.decisions import Decisions
    from grader.grades import export, final, terminal
    from grader.grades.canvas import fill_canvas
    from grader.grades.load import load_class
    from grader.grades.moodle import fill_moodle

    if assignment and canvas is None:
        raise typer.BadParameter("--assignment: names a column of --canvas FILE")
    graded = load_class(folder, lateness)
    rubric = graded.rubric
    state = Decisions(folder, graded.manifest, rubric).state()
    composed = final.compose(rubric, graded.results, state, graded.students, absent.value)
    filled = []
    if canvas is not None:
        filled.append((canvas, fill_canvas(canvas, composed, rubric, assignment, scale=scale)))
    if moodle is not None:
        filled.append((moodle, fill_moodle(moodle, composed, rubric, scale=scale)))
    place = out or folder / export.FOLDER
    written = [export.write_plain(place, composed, rubric)]
    written += [export.write_filled(place, source, one) for source, one in filled]
    if gradescope:
        entries = {item.id: state.entries(item.id) for item in rubric.by_hand}
        written.append(export.write_paste(place, composed, rubric, entries))
    terminal.print_grades(composed, rubric, absent.value, [one for _, one in filled], written, graded.notes)
