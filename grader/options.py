"""Options that several commands take, so that they mean and say the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the result to FILE as JSON, pictures in it.")
]
SeedFile = Annotated[
    Path | None,
    typer.Option("--seed-file", metavar="FILE", help="Secret seed of the assignment; same seed, same trials."),
]
RubricFile = Annotated[
    Path | None,
    typer.Option("--rubric", metavar="FILE", help="Another rubric than the one that ships with the grader."),
]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="CIFAR-10, as torchvision keeps it or as train/CLASS/* and test/CLASS/*."
    ),
]
GptSeconds = Annotated[
    float, typer.Option("--gpt-seconds", help="Time for the GPT's evidence (4f, 4g); 0 leaves it out.", min=0)
]
RequireIsolation = Annotated[
    str | None,
    typer.Option(
        "--require-isolation",
        metavar="LEVEL",
        help="Least isolation to grade with: full, strong (the default), basic or none; see `grader doctor`.",
    ),
]
