"""What commands print: results, errors, and how isolation was weaker than it should be."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from grader.cli.options import IsolationLevel, TrainingMode
from grader.text.safe_text import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from grader.homework import Homework
    from grader.kernel.confinement import Host, Level
    from grader.report.terminal import Unchecked
    from grader.scoring.result import Result


def complain(message: str) -> None:
    """Print an error, one line for each fault that it lists."""
    for line in message.splitlines() or [""]:
        print(f"grader: {one_line(line)}", file=sys.stderr)


def print_or_complain(result: Result, unchecked: Unchecked | None = None) -> None:
    """Print a result. Where nothing could be judged, print one line and exit with status 3."""
    from grader.report.terminal import print_result

    if result.error is not None:
        complain(result.error)
        raise typer.Exit(3)
    print_result(result, unchecked=unchecked)


def require_folder(option: str, file: Path | None) -> None:
    """Refuse a file whose folder does not exist, before anything is judged."""
    if file is not None and not file.parent.is_dir():
        raise typer.BadParameter(f"{option} {file}: the folder does not exist")


def write_report(file: Path | None, result: Result, unchecked: Unchecked | None = None) -> None:
    """Write the report for the student where one is asked for; raises `GraderError` if it cannot be written."""
    if file is None:
        return
    from grader.files.atomic import write_atomically
    from grader.report.student import Reader, student_report

    write_atomically(file, student_report(result, Reader(unchecked=unchecked or {})))


def required_isolation(
    level: IsolationLevel | None, *, own: bool = False, host: Host | None = None, elsewhere: bool = False
) -> Level | None:
    """The lowest isolation level to grade with: the one asked for, or strong; None for a notebook of one's own.

    ``host`` is what this machine offers, by default `confinement.probe`; it does not matter where submissions run
    ``elsewhere``. Raises `GraderError` where it gives less, or where no submission could be run at all.
    """
    from grader.kernel import confinement

    if not elsewhere:
        confinement.require_kernels()
    if own and level is None:
        return None
    least: Level = level.value if level is not None else "strong"
    if not elsewhere:
        confinement.require(least, host)
    return least


def report_no_training(homework: Homework, mode: TrainingMode | None) -> None:
    """Say that training was asked for where the homework trains nothing."""
    if homework.training is None and mode in (TrainingMode.always, TrainingMode.verify):
        complain(f"{homework.name} trains no models, so --training {mode.value} does nothing")


def report_weaker_isolation(level: Level | None, host: Host | None = None) -> None:
    """Exit with status 4 where isolation was weaker than strong, which only --require-isolation allows."""
    from grader.kernel import confinement

    host = host or confinement.probe()
    if level is not None and (weak := confinement.weaknesses(host)):
        complain(f"graded at isolation level {host.level}, below strong: {weak}")
        raise typer.Exit(4)
