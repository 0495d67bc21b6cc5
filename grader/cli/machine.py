"""Commands on this machine: doctor, data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

data_app = typer.Typer(help="Get the data that training checks need.", no_args_is_help=True)


def doctor() -> None:
    """Check this machine: isolation layers, dependencies, data.

    Exit status 1: something is missing that grading cannot do without.
    """
    from grader.doctor import essentials_missing, examine, start_a_kernel
    from grader.report.terminal import print_findings

    findings = [*examine(), start_a_kernel()]
    print_findings(findings)
    if missing := essentials_missing(findings):
        print(f"\nThis machine cannot grade; missing: {', '.join(finding.name for finding in missing)}")
        raise typer.Exit(1)


@data_app.command("fetch")
def data_fetch(
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Use the files in this folder instead of downloading them."),
    ] = None,
) -> None:
    """Download the data that the homework trains on, verify it, and cache it.

    Also verifies the data of word_tokenize, which ship with the grader. Set HW3_CACHE to use another cache folder.
    """
    from grader.homework import load_homework
    from grader.report.progress import shown
    from grader.tokenizer_data import tokenizer_data_hash

    homework = load_homework()
    check = homework.training
    if check is None:
        print(f"{homework.name} trains no models, so it needs no data.")
    else:
        with shown(check.data_name) as progress:
            found = check.fetch(data, progress)
        print(f"{check.data_name}: {found}")
    print(f"word_tokenize's data: SHA-256 {tokenizer_data_hash()[:12]}, with the grader")
