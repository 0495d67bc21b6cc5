"""The command on grading by people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grader.errors import UsageError


def review(
    folder: Annotated[Path, typer.Argument(metavar="CLASS", help="The folder of a batch.")],
    pdfs: Annotated[
        Path | None,
        typer.Option(
            metavar="ARCHIVE",
            help="The students' PDFs: a folder or an archive, also as Gradescope, Canvas and Moodle export them. Each answer "
            "is shown with its page.",
        ),
    ] = None,
    graders: Annotated[
        int, typer.Option(help="Addresses to print, one for each grader.", min=1, max=50)
    ] = 1,
    port: Annotated[
        int, typer.Option(help="Port to serve on; 0 takes the last one of this class, or a free one.", min=0, max=65535)
    ] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the browser.")] = True,
    sign_out: Annotated[
        bool, typer.Option("--sign-out", help="End all sign-ins of earlier runs.")
    ] = False,
) -> None:
    """Grade the answers of a class in the browser.

    Serves on this machine only, at an address that works once. Every decision is in CLASS/gradebook.sqlite before the page says
    "saved". Safe to stop at any moment, and several people can grade at once.

    Start it again and pages that are open go on: sign-ins of the last 24 hours still count.

    On a remote machine, pass --port 8000 --no-browser, and forward the port from yours with ssh -L 8000:127.0.0.1:8000 HOST.

    Exit status 0: stopped with Ctrl-C. 2: wrong usage, or a folder that cannot be read.

    Examples:

      grader review hw3 --pdfs submissions.zip

      grader review hw3 --graders 4
    """
    try:
        from grader.review.serve import serve
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("grader"):
            raise
        raise UsageError(f'grading in the browser needs {error.name}; run pip install "hw3-grader[review]"') from None
    serve(
        folder,
        pdfs,
        port=port,
        graders=graders,
        browser=browser,
        sign_out=sign_out,
        show=lambda line: print(line, flush=True),
    )
