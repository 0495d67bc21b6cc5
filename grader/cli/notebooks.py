"""Commands on one notebook: grade, train, check."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grader.cli.options import (
    DataFolder,
    Device,
    EvidenceSeconds,
    HtmlFile,
    JsonFile,
    RequireIsolation,
    RubricFile,
    SeedFile,
    TrainingMode,
)
from grader.cli.output import (
    print_or_complain,
    report_no_training,
    report_weaker_isolation,
    require_folder,
    required_isolation,
    write_report,
)

if TYPE_CHECKING:
    from grader.assignment import Assignment
    from grader.kernel.process import WarmLink
    from grader.kernel.warm import WarmHost
    from grader.training.plan import Options

UNFINISHED = "grading has not finished: it still runs, or the grader was killed"


def grade(
    submission: Annotated[
        Path | None,
        typer.Argument(
            help="The notebook (.ipynb) to grade, or a folder or archive with it. Of several notebooks, the one of the "
            "homework is graded, and the result says which."
        ),
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Grade the example that ships with the grader.")
    ] = False,
    json_file: JsonFile = None,
    html_file: HtmlFile = None,
    seed_file: SeedFile = None,
    rubric: RubricFile = None,
    cell_seconds: Annotated[float, typer.Option(help="Time limit for each cell, in seconds.", min=1)] = 60.0,
    timeout: Annotated[
        float, typer.Option(help="Time limit for the whole submission, in seconds.", min=10)
    ] = 900.0,
    training: Annotated[
        TrainingMode,
        typer.Option(
            help="Training check. auto: verify a checkpoint beside the notebook, or train on a GPU. always: train. "
            "verify: use a checkpoint or nothing.",
        ),
    ] = TrainingMode.auto,
    data: DataFolder = None,
    require_isolation: RequireIsolation = None,
) -> None:
    """Grade one notebook.

    Exit status 0: graded, whatever the score. 2: wrong usage or a bad rubric. 3: nothing to grade. 4: graded, with less
    isolation than strong.
    """
    from grader.kernel.warm import WarmHost

    if example == (submission is not None):
        raise typer.BadParameter("name one notebook, or give --example")
    # It takes seconds to get warm, in which we import what we need.
    with _without_collections(), WarmHost(for_one=True) as host:
        level = required_isolation(require_isolation, own=example)
        from grader.assignment import load_assignment
        from grader.homework import load_homework
        from grader.kernel.limits import Limits
        from grader.training.plan import Options

        assignment = load_assignment(rubric, seed_file, Limits(cell=cell_seconds, total=timeout))
        path = submission or load_homework().example
        report_no_training(assignment.homework, training)
        options = Options(training.value, data)
        assignment = replace(assignment, least_isolation=level)
        _judge_and_show(path, assignment, json_file, options, host=host, html_file=html_file)
    report_weaker_isolation(level)


def train(
    submission: Annotated[
        Path, typer.Argument(help="The notebook (.ipynb) to train, or a folder or archive that holds it.")
    ],
    json_file: JsonFile = None,
    data: DataFolder = None,
    device: Annotated[Device, typer.Option(help="Where to train. auto: on a GPU if there is one.")] = Device.auto,
    minutes: Annotated[
        float | None,
        typer.Option(help="Time for one attempt; by default the rubric's.", min=0.01),
    ] = None,
    evidence_seconds: EvidenceSeconds = 120.0,
    seed_file: SeedFile = None,
    rubric: RubricFile = None,
    require_isolation: RequireIsolation = None,
) -> None:
    """Train the models of one notebook: judges the training items, and gathers evidence for manual ones.

    The student's own model is trained until it is certain whether it reaches the accuracy that the rubric asks for, or
    until the rubric's time is spent. Exit status 0: judged. 2: wrong usage or a bad rubric. 3: nothing to grade.
    """
    from grader.errors import UsageError
    from grader.homework import load_homework
    from grader.kernel.confinement import require_kernels
    from grader.kernel.warm import WarmHost

    homework = load_homework()
    if homework.training is None:
        raise UsageError(f"{homework.name} trains no models, so there is nothing to train")
    require_kernels()
    homework.training.require(data)
    # It takes seconds to get warm, in which we import what we need.
    with _without_collections(), WarmHost(for_one=True, trains=True) as host:
        from grader.assignment import load_assignment
        from grader.training.plan import Options

        options = Options("always", data, device.value, minutes, evidence_seconds)
        level = required_isolation(require_isolation)
        assignment = replace(load_assignment(rubric, seed_file), least_isolation=level)
        _judge_and_show(submission, assignment, json_file, options, only=(), host=host)
    report_weaker_isolation(level)


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Do not look for garbage until somebody enables that: nearly all that a start imports and draws stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _judge_and_show(
    path: Path,
    assignment: Assignment,
    json_file: Path | None,
    training: Options,
    only: Collection[str] | None = None,
    *,
    host: WarmHost,
    html_file: Path | None = None,
) -> None:
    """Judge one submission with progress, write the result, print it, and exit with 3 where there was nothing to judge.

    While the kernels' warm parent gets ready, all else does.
    """
    from grader.grade import Request, drawing_of, failure, judge
    from grader.report.progress import shown

    require_folder("--html", html_file)
    if json_file is not None:
        require_folder("--json", json_file)
        if json_file.is_file() and not json_file.is_symlink():
            # Whoever finds a result knows that it is of this run.
            json_file.unlink(missing_ok=True)
        failure(path.name, assignment, UNFINISHED).write(json_file)

    # What draws is forked while there is one thread.
    with drawing_of(assignment, only, apart=True) as drawing, shown(path.name) as progress:
        request = Request(progress, lambda: _warm(host), only, training=training, drawing=drawing)
        result = judge(path, assignment, request).result
    if json_file is not None:
        result.write(json_file)
    write_report(html_file, result)
    print_or_complain(result)


def _warm(host: WarmHost) -> WarmLink | None:
    """What forks the kernel, once it is warm; None where kernels start cold. By then, nearly all is imported."""
    from grader.kernel.warm import client_of

    host.ensure()
    gc.freeze()
    gc.enable()
    return client_of(host.address)


def check(
    submission: Annotated[Path, typer.Argument(help="Your notebook (.ipynb).")],
    html_file: HtmlFile = None,
) -> None:
    """Check your own notebook before you hand it in.

    Judges the public criteria, and shows the smallest counterexample for each that fails. The grade depends on more
    criteria than these; the output names the ones that are not checked.
    """
    from grader.kernel.warm import WarmHost

    require_folder("--html", html_file)
    # It takes seconds to get warm, in which we import what we need.
    with _without_collections(), WarmHost(for_one=True) as host:
        from grader.assignment import load_assignment
        from grader.check import check as check_one
        from grader.check import public_part, unchecked_criteria
        from grader.grade import Request, drawing_of
        from grader.report.progress import shown

        assignment = load_assignment()
        # What draws is forked while there is one thread.
        with drawing_of(public_part(assignment), apart=True) as drawing, shown(submission.name) as progress:
            request = Request(progress, lambda: _warm(host), drawing=drawing)
            result = check_one(submission, assignment, request)
    unchecked = unchecked_criteria(assignment.rubric)
    write_report(html_file, result, unchecked)
    print_or_complain(result, unchecked)
