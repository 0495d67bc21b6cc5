"""Options that several commands take, so that they mean and say the same everywhere."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from grader.errors import UsageError


class TrainingMode(str, Enum):
    """When the training check runs."""

    auto = "auto"
    never = "never"
    always = "always"
    verify = "verify"


class Device(str, Enum):
    """Where models are trained."""

    auto = "auto"
    cuda = "cuda"
    cpu = "cpu"


class IsolationLevel(str, Enum):
    """Levels of isolation, strongest first."""

    full = "full"
    strong = "strong"
    basic = "basic"
    none = "none"


class Rerun(str, Enum):
    """Which submissions of a class are judged again."""

    failed = "failed"


def _existing_folder(folder: Path | None) -> Path | None:
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--data {folder}: there is no such folder")
    return folder


JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the result to FILE as JSON, pictures included.")
]
HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write the report for the student to FILE: one HTML page with pictures."),
]
SeedFile = Annotated[
    Path | None,
    typer.Option("--seed-file", metavar="FILE", help="Secret seed of the assignment. The same seed draws the same cases."),
]
RubricFile = Annotated[
    Path | None,
    typer.Option("--rubric", metavar="FILE", help="Rubric to use instead of the homework's own."),
]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        callback=_existing_folder,
        help="Folder with the homework's training data. An image data set is read in torchvision's layout or as "
        "train/CLASS/* and test/CLASS/*.",
    ),
]
EvidenceSeconds = Annotated[
    float,
    typer.Option("--evidence-seconds", help="Seconds for evidence on manual items from trained models. 0 skips it.", min=0),
]
RequireIsolation = Annotated[
    IsolationLevel | None,
    typer.Option(
        "--require-isolation",
        help="Lowest isolation level to grade with; strong by default. See `grader doctor`.",
    ),
]
