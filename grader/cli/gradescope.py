"""The commands ``grader gradescope build`` and ``grader gradescope try``."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Annotated

import typer

from grader.cli.options import RubricFile

app = typer.Typer(
    help="Build the zip that Gradescope runs, and try it on this machine.", no_args_is_help=True
)

CURRENT = (3, 12)
"""The oldest Python whose syntax students may expect: Colab's."""
_CPU_INDEX = "--index-url https://download.pytorch.org/whl/cpu"


@app.command()
def build(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The zip to write.")] = Path(
        "autograder.zip"
    ),
    seed_file: Annotated[
        Path | None,
        typer.Option(
            "--seed-file", metavar="FILE", help="Secret seed of the assignment; it travels in the zip."
        ),
    ] = None,
    public_seed: Annotated[
        bool, typer.Option("--public-seed", help="Use the public seed; students can then predict the test cases.")
    ] = False,
    rubric: RubricFile = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="The platform's time limit for this assignment; by default the rubric's.", min=2, max=40
        ),
    ] = None,
    wheel: Annotated[
        Path | None,
        typer.Option(
            "--wheel", metavar="FILE", help="The grader's wheel, where its sources are not at hand."
        ),
    ] = None,
    pip_args: Annotated[str, typer.Option(help="Arguments for pip in setup.sh, such as a mirror.")] = "",
    torch_args: Annotated[str, typer.Option(help="Arguments for pip when it installs torch.")] = _CPU_INDEX,
    skip_check: Annotated[
        bool, typer.Option("--skip-check", help="For development only: do not try the zip before writing it.")
    ] = False,
) -> None:
    """Build autograder.zip, and refuse unless the master notebook scores full and the untouched template zero with it.

    Build it with Python 3.12 or later, as students write its syntax: setup.sh installs the Python and the package
    versions that built the zip.
    """
    from grader.gradescope.build import Options, digest
    from grader.gradescope.build import build as build_zip

    options = Options(seed_file, public_seed, rubric, minutes, wheel, pip_args, torch_args, skip_check)
    built = build_zip(out, options, lambda line: typer.echo(line, err=True))
    for name, size in built.contents:
        typer.echo(f"{size:>10}  {name}")
    typer.echo(f"{built.size:>10}  {built.path}, SHA-256 {digest(built.path)[:16]}")
    if public_seed:
        typer.echo("warning: built with the public seed, so students can predict the test cases")
    if warning := syntax_warning(platform.python_version()):
        typer.echo(warning)
    if not built.checked:
        typer.echo(
            "warning: NOT CHECKED (--skip-check): nobody knows whether this zip grades; do not upload it"
        )


def syntax_warning(python: str) -> str | None:
    """That a Python of this version is older than the syntax that students may expect; None if it is not."""
    if tuple(map(int, python.split(".")[:2])) >= CURRENT:
        return None
    return (
        f"warning: built with Python {python}, so newer syntax in a notebook is an error; build with "
        f"Python {CURRENT[0]}.{CURRENT[1]} or later"
    )


@app.command("try")
def try_zip(
    submission: Annotated[
        Path, typer.Argument(help="A notebook, or a folder that stands for what was handed in.")
    ],
    archive: Annotated[Path, typer.Option("--zip", metavar="FILE", help="The zip to try.")] = Path(
        "autograder.zip"
    ),
    metadata: Annotated[
        Path | None,
        typer.Option("--metadata", metavar="FILE", help="A submission_metadata.json, for due dates."),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write results.json to FILE as well."),
    ] = None,
    instructor: Annotated[
        bool, typer.Option("--instructor", help="Show hidden tests and the log as well.")
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep", metavar="DIR", help="Keep what setup.sh installs in DIR, so that the next run starts at once."
        ),
    ] = None,
) -> None:
    """Run a built zip on this machine as Gradescope would, and show what the student sees.

    Everything that the run installs is deleted when it ends, unless --keep says where it stays. An installation takes
    about 2 GB.
    """
    from grader.errors import UsageError
    from grader.gradescope.trial import fresh
    from grader.gradescope.view import print_view

    for path in (submission, archive, *([metadata] if metadata else [])):
        if not path.exists():
            raise UsageError(f"{path} does not exist")
    with fresh(archive, lambda line: typer.echo(line, err=True), keep) as trial:
        results = trial.run(submission, metadata)
        if json_file is not None:
            json_file.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print_view(results, instructor=instructor)
        if instructor:
            typer.echo(f"\nThe log, which only instructors see:\n{trial.log}")
