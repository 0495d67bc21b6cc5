"""Commands on a class: demo, batch, report, rescore."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grader.cli.cluster import cluster_at, report_weaker_workers
from grader.cli.options import DataFolder, RequireIsolation, Rerun, RubricFile, SeedFile, TrainingMode
from grader.cli.output import complain, report_no_training, report_weaker_isolation, required_isolation

if TYPE_CHECKING:
    from grader.batch.recheck import Asked


def demo(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to create.")],
    students: Annotated[int, typer.Option(help="Number of students.", min=1, max=1000)] = 6,
) -> None:
    """Write a small made class to try the grader with.

    It looks like an export of Canvas: a notebook for each student, with mistakes of the homework's corpus in it, and the
    gradebook. It holds solutions, so keep it from students.
    """
    from grader.audit.demo import write_demo

    made = write_demo(folder, students)
    for name, mistakes in made.mistakes.items():
        print(f"{name}: {', '.join(mistakes) or 'no mistake'}")
    print(f"wrote {made.submissions} and {made.gradebook}")
    print(f"try:  grader batch {made.submissions} --out {folder / 'results'}")


def batch(
    context: typer.Context,
    submissions: Annotated[
        list[Path],
        typer.Argument(
            help="Folders, notebooks or archives, also as Canvas, Gradescope, Moodle, Blackboard and Brightspace "
            "export them."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Output folder. An existing one is resumed.")],
    jobs: Annotated[int, typer.Option(help="Number of workers; 0 means one per core.", min=0)] = 0,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="ITEM", help="Judge this item only (may be given several times)."),
    ] = None,
    rerun: Annotated[
        Rerun | None,
        typer.Option(help="Judge again what the grader could not judge."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Judge at most this many submissions now.", min=1),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(help="Time limit for each submission, in seconds; 900 for a new class.", min=10),
    ] = None,
    roster: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A CSV file with all students, such as the learning platform exports: whoever handed in nothing has a row "
            "too, and so has each member of a group (column group) whose work bears the group's name.",
        ),
    ] = None,
    seed_file: SeedFile = None,
    rubric: RubricFile = None,
    training: Annotated[
        TrainingMode | None,
        typer.Option(
            help="Training check, after everything else. auto (for a new class): verify the checkpoints that were handed "
            "in, train the others on a GPU. always: train. verify: use checkpoints only.",
        ),
    ] = None,
    data: DataFolder = None,
    evidence_seconds: Annotated[
        float | None,
        typer.Option(
            "--evidence-seconds",
            help="Seconds for evidence on manual items from trained models; 0 (for a new class) skips it.",
            min=0,
        ),
    ] = None,
    require_isolation: RequireIsolation = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="Regrade a graded class on purpose with another rubric, seed, homework, grader, timeout or data, or "
            "drop students (may be given several times).",
        ),
    ] = None,
    recheck: Annotated[
        int,
        typer.Option(
            metavar="K",
            help="Judge a sample again with K other seeds, and report which verdicts depend on the seed. No grade changes.",
            min=0,
            max=100,
        ),
    ] = 0,
    recheck_sample: Annotated[
        str | None,
        typer.Option(metavar="N|all", help="How many submissions --recheck judges again; 30 by default."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Grade on the workers of this Dask scheduler instead of this machine; see `grader worker --help`.",
        ),
    ] = None,
) -> None:
    """Grade a class into a folder: results, feedback, grades.csv, summary.md and report.html.

    Run it again to resume; nothing is graded twice. The folder remembers its rubric, seed, homework and options: leave
    them out to keep them. A command that would change grades is refused, and shows what differs. Exit status 0: done. 1:
    the grader could not judge some. 2: wrong usage, or a folder that cannot be written. 4: done, with less isolation than
    strong.
    """
    from grader.kernel.warm import WarmHost

    given = context.obj  # a Backend, where the command is called by a program
    try:
        # It takes seconds to get warm, in which we import what we need, and look around.
        with contextlib.ExitStack() as stack:
            # Kernels start on the workers, if there are some.
            host = stack.enter_context((given and given.host) or WarmHost(fork=False if scheduler else None))
            from grader.assignment import load_assignment
            from grader.batch.jobs import Backend
            from grader.batch.memory import CHANGES, TIMEOUT, TRAINING
            from grader.batch.progress import shown
            from grader.batch.run import Options, run_batch
            from grader.batch.store import remembered
            from grader.batch.terminal import print_batch
            from grader.homework import VARIABLE, load_homework
            from grader.kernel.session import Limits
            from grader.training.plan import Options as Training

            level = required_isolation(require_isolation, elsewhere=scheduler is not None)
            again = _asked(recheck, recheck_sample)
            changing = tuple(change or ())
            if unknown := set(changing) - set(CHANGES):
                raise typer.BadParameter(f"--change {min(unknown)}: takes one of {', '.join(CHANGES)}")
            kept = remembered(out, changing)
            if rubric is None and "rubric" in kept and (out / "rubric.yaml").is_file():
                rubric = out / "rubric.yaml"
            limits = Limits(total=timeout or kept.get("timeout", TIMEOUT))
            homework = load_homework(os.environ.get(VARIABLE) or kept.get("homework_source"))
            assignment = replace(load_assignment(rubric, seed_file, limits, homework), least_isolation=level)
            report_no_training(homework, training)
            trained = Training(
                TrainingMode(training or kept.get("training", TRAINING)).value,
                data or (Path(kept["data"]) if kept.get("data") else None),
                evidence_seconds=kept.get("evidence_seconds", 0.0) if evidence_seconds is None else evidence_seconds,
            )
            options = Options(jobs, tuple(only or ()), rerun is not None, limit, trained, changing, roster, again)
            text = (rubric or assignment.homework.rubric).read_bytes()
            backend = replace(given or Backend(), host=host)
            cluster = stack.enter_context(cluster_at(scheduler, assignment, text)) if scheduler else None
            if cluster is not None:
                backend = replace(backend, cluster=cluster, prepare=lambda assignment, only: None)
            with shown() as progress:
                outcome = run_batch(submissions, out, assignment, text, options, progress, backend)
    except KeyboardInterrupt:
        complain(f"stopped; run the same command again to resume from {out}")
        raise typer.Exit(130) from None
    print_batch(outcome, out)
    if outcome.lost:
        raise typer.Exit(1)
    if cluster is not None:
        report_weaker_workers(cluster)
    else:
        report_weaker_isolation(level)


def _asked(seeds: int, sample: str | None) -> Asked | None:
    """What `--recheck` and `--recheck-sample` ask for; raises `BadParameter`."""
    from grader.batch.recheck import SAMPLE, Asked

    if sample is not None and not seeds:
        raise typer.BadParameter("--recheck-sample: needs --recheck K, the number of other seeds")
    if sample is not None and sample != "all" and not (sample.isdecimal() and int(sample)):
        raise typer.BadParameter(f"--recheck-sample {sample}: takes all, or a number from 1")
    size = SAMPLE if sample is None else None if sample == "all" else int(sample)
    return Asked(seeds, size) if seeds else None


def report(
    folder: Annotated[Path, typer.Argument(metavar="CLASS", help="The folder of a batch.")],
    against: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Compare code with these submissions or public solutions, too, in this report (may be given several times).",
        ),
    ] = None,
) -> None:
    """Write the reports of a class again, from what was judged, the gradebook and the rubric. No code runs."""
    from grader.batch.rescore import rewrite
    from grader.batch.store import Store

    with Store(folder, create=False) as store:
        rewrite(store, against or ())
    print(f"reports: {folder / 'report.html'}, {folder / 'grades.csv'}, {folder / 'summary.md'}")


def rescore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a batch.")],
    rubric: Annotated[Path, typer.Option("--rubric", metavar="FILE", help="The rubric to score by.")],
    yes: Annotated[bool, typer.Option("--yes", help="Apply without asking.")] = False,
) -> None:
    """Rescore a class with a changed rubric, without running any code. Shows whose score changes before it applies them."""
    from grader.batch.rescore import prepare
    from grader.batch.store import Store
    from grader.batch.terminal import imported_lines, print_changes

    with Store(folder, create=False) as store:
        rescoring = prepare(store, rubric)
        print_changes(rescoring.changes, rescoring.total_before, rescoring.total_after)
        if yes or (sys.stdin.isatty() and typer.confirm("Apply this?")):
            for line in imported_lines(rescoring.write()):
                print(line)
            print(f"Rescored: {folder}")
        else:
            print("Nothing written. Pass --yes to apply.")
