"""Commands on what people decided about a class."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from grader.gradebook.book import Gradebook
    from grader.scoring.rubric import Rubric

app = typer.Typer(help="What people decided about a class: show it, and export it.", no_args_is_help=True)

Class = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a batch.")]


@app.command()
def log(
    folder: Class,
    submission: Annotated[str | None, typer.Option(metavar="KEY", help="Only this submission.")] = None,
    item: Annotated[str | None, typer.Option(metavar="ITEM", help="Only this item.")] = None,
) -> None:
    """Print all decisions in order: number, time, person, kind, submission, item, data. Undone ones are marked."""
    from grader.text.safe_text import one_line

    with _opened(folder) as book:
        state = book.state()
        for event in book.events(submission, item):
            undone = " (undone)" if state.is_undone(event) else ""
            data = json.dumps(dict(event.data), ensure_ascii=False)
            where = f"{event.submission or '-'} {event.item or '-'}"
            print(one_line(f"{event.id} {event.at:%Y-%m-%d %H:%M:%S} {event.who}: {event.kind.value} {where} {data}{undone}"))


@app.command()
def overrides(
    folder: Class,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write to this file.")] = None,
) -> None:
    """Export all overrides of items as an overrides.yaml, by default to the terminal."""
    from grader.files.atomic import write_atomically
    from grader.gradebook.overrides import overrides_yaml

    with _opened(folder) as book:
        text = overrides_yaml(book.state())
    if out is None:
        print(text, end="")
    else:
        write_atomically(out, text)
        print(f"Written: {out}")


@app.command("rubric")
def export_rubric(
    folder: Class,
    rubric: Annotated[Path, typer.Option("--rubric", metavar="FILE", help="The rubric to update in place.")],
    yes: Annotated[bool, typer.Option("--yes", help="Apply without asking.")] = False,
) -> None:
    """Export rubric entries that were changed while grading into a rubric file. The rest of the file stays as it is."""
    from grader.errors import UsageError
    from grader.files.atomic import write_atomically
    from grader.gradebook.rubric_text import changed_entries, with_entries
    from grader.scoring.rubric import load_rubric
    from grader.text.safe_text import one_line

    given = load_rubric(rubric)
    with _opened(folder, given) as book:
        state = book.state()
    changes = changed_entries(given, state)
    if not changes:
        print(f"{rubric} has all entries already.")
        return
    try:
        text = with_entries(rubric.read_bytes(), state, name=rubric.name).decode("utf-8")
    except OSError as error:
        raise UsageError(f"{rubric}: cannot be read: {error.strerror or error}") from None
    for change in changes:
        entry = change.after or change.before
        assert entry is not None
        sign = "+" if change.before is None else "-" if change.after is None else "~"
        print(one_line(f"{sign} {change.item} {entry.id}: {entry.points:g}, {entry.text}"))
    if yes or (sys.stdin.isatty() and typer.confirm(f"Write this to {rubric}?")):
        write_atomically(rubric, text)
        print(f"Written: {rubric}. Apply it: grader rescore {folder} --rubric {rubric}")
    else:
        print("Nothing written. Pass --yes to apply.")


def _opened(folder: Path, rubric: Rubric | None = None) -> Gradebook:
    """The gradebook of a class, by default with the rubric that the class was scored by last.

    A class without one has had no decisions, which is said and is no error.
    """
    from grader.errors import UsageError
    from grader.gradebook.book import NAME, Gradebook
    from grader.scoring.rubric import load_rubric

    if not (folder / NAME).is_file():
        if (folder / "rubric.yaml").is_file():
            print(f"{folder}: nobody has decided anything here yet.")
            raise typer.Exit
        raise UsageError(f"{folder}: is not a class folder; give the folder that `grader batch` wrote")
    return Gradebook.of_class(folder, rubric or load_rubric(folder / "rubric.yaml"))
