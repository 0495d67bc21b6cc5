"""Commands on a homework: homework new, template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

homework_app = typer.Typer(help="Create a homework of your own.", no_args_is_help=True)
template_app = typer.Typer(
    help="Build the students' notebook from the reference, or check it.", no_args_is_help=True
)


@template_app.command("build")
def template_build(
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Output folder; by default the template's own."),
    ] = None,
    master: Annotated[
        bool, typer.Option("--master", help="Also write the master notebook, with solutions.")
    ] = False,
) -> None:
    """Build the students' notebook from the reference."""
    from grader.authoring import notebooks as template
    from grader.homework import load_homework

    written = template.build(out)
    if master:
        written.append(template.write_master(out or load_homework().template.parent))
    for path in written:
        print(f"wrote {path}")


@template_app.command("check")
def template_check() -> None:
    """Check that notebook, reference, rubric, quotes and training settings agree.

    Exit status 1: something does not agree.
    """
    from grader.authoring.consistency import disagreements

    differences = disagreements()
    for line in differences:
        print(line)
    if differences:
        raise typer.Exit(1)
    print("The template is up to date.")


@homework_app.command("new")
def homework_new(
    folder: Annotated[Path, typer.Argument(help="The folder to create; the homework is called after it.")],
) -> None:
    """Create a small working homework to start from: one part, one property, rubric, notebook, corpus."""
    from grader.authoring.skeleton import write_skeleton

    homework = write_skeleton(folder)
    print(f"Created {homework.name} in {folder}. Next:")
    print(f"  read {folder / 'README.md'}")
    print(f"  grader --homework {folder} audit")
