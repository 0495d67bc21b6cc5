"""The ``grader`` command: one module for each group of commands.

Commands import what they need when they run, so that ``grader --help`` is instant.
"""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
from typing import Annotated, Any

import typer

from grader import __version__
from grader.cli import (
    audit,
    check_package,
    classes,
    cluster,
    gradebook,
    grades,
    gradescope,
    homework,
    machine,
    notebooks,
    review,
)
from grader.cli.on_demand import of_interest
from grader.cli.output import complain
from grader.errors import GraderError

# Typer's own, which it imports from click or brings along.
_WrongUsage: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

_INVALID = re.compile(r"^Invalid value(?: for '(?P<option>[^']+)')?: (?:Value error, )?")

app = typer.Typer(
    help="Grades notebooks of a deep-learning homework.\n\n"
    "Start with:  grader grade --example",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help wraps at any width, and is as good in a file as on a terminal
)
app.command()(notebooks.grade)
app.command()(notebooks.train)
app.command()(notebooks.check)
app.command()(classes.demo)
app.command()(classes.batch)
app.command()(classes.report)
app.command()(classes.rescore)
app.command()(grades.grades)
app.command()(review.review)
app.command()(cluster.worker)
app.command()(machine.doctor)
app.add_typer(audit.app, name="audit")
app.add_typer(check_package.app, name="check-package")
app.add_typer(gradebook.app, name="gradebook")
app.add_typer(homework.homework_app, name="homework")
app.add_typer(homework.template_app, name="template")
app.add_typer(machine.data_app, name="data")
app.add_typer(gradescope.app, name="gradescope")


def main() -> None:
    """Run the command line. An expected error prints one line and exits with status 2."""
    # Skips the search for reference cycles at exit, which takes 0.2 s.
    atexit.register(gc.freeze)
    try:
        status = of_interest(app, sys.argv[1:])(standalone_mode=False)
    except GraderError as error:
        complain(str(error))
        sys.exit(2)
    except _WrongUsage as error:
        context = getattr(error, "ctx", None)
        text = error.format_message()
        if len(text.splitlines()) > 1:  # the help of a group that was called without a command
            print(text, file=sys.stderr)
        else:
            help_of = f"; see: {context.command_path} --help" if context else ""
            complain(_INVALID.sub(_named, text).rstrip(".") + help_of)
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        complain("stopped")
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _named(invalid: re.Match[str]) -> str:
    """The option at fault, in place of typer's "Invalid value for"."""
    return f"{invalid['option']}: " if invalid["option"] else ""


def _version(value: bool) -> None:
    if value:
        print(f"grader {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit."),
    ] = None,
    homework: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Grade another homework: a folder with a homework.py, or a module. GRADER_HOMEWORK does the same.",
        ),
    ] = None,
) -> None:
    """Grades notebooks of a deep-learning homework."""
    if homework is not None:
        from grader.homework import VARIABLE, load_homework

        # Workers are processes of their own and find it in the same way.
        os.environ[VARIABLE] = load_homework(homework).source
