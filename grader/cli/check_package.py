"""Commands on the package with which students check their notebook: check-package build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Build the package with which students check their notebook before they submit.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    """Build the package with which students check their notebook before they submit."""


@app.command("build")
def build(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Output folder; it is made if it is missing.")],
) -> None:
    """Build the check package as a wheel, without the solution, the hidden properties and the seed.

    Students install it with pip and call check() in their notebook. It needs torch, numpy, IPython and hypothesis.
    """
    from grader.check_package.build import build as build_wheel

    path = build_wheel(out)
    print(f"wrote {path} ({path.stat().st_size / 1024:.0f} KB)")
    print(f"Students install it with: pip install {path.name}")
