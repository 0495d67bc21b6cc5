"""The ``grader`` command: parses arguments, shows progress, prints what the modules behind it found."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grader import __version__
from grader.audit.commands import app as audit_app
from grader.errors import GraderError
from grader.gradescope.commands import app as gradescope_app
from grader.options import DataFolder, GptSeconds, JsonFile, RequireIsolation, RubricFile, SeedFile
from grader.report.safe_text import one_line

if TYPE_CHECKING:
    from grader.grade import Assignment
    from grader.homework3.training.check import Mode, Options
    from grader.kernel.isolation import Level
    from grader.kernel.process import WarmLink
    from grader.report.terminal import Unchecked
    from grader.scoring.result import Result

# Typer's own, which it imports from click or brings along.
_WrongUsage: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
UNFINISHED = "grading has not finished: it still runs, or the grader was killed"

app = typer.Typer(
    help="Grades homework notebooks on attention, Transformers, a Vision Transformer and a GPT.\n\n"
    "Start with:  grader grade --example",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help wraps at any width, and is as good in a file as on a terminal
)
template_app = typer.Typer(
    help="Make the students' notebook from the reference, or check it.", no_args_is_help=True
)
data_app = typer.Typer(help="Get CIFAR-10 for training checks.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")
app.add_typer(template_app, name="template")
app.add_typer(data_app, name="data")
app.add_typer(gradescope_app, name="gradescope")


def main() -> None:
    """Run the command line; errors that the grader foresees are one line and exit status 2."""
    try:
        status = app(standalone_mode=False)
    except GraderError as error:
        _complain(str(error))
        sys.exit(2)
    except _WrongUsage as error:
        context = getattr(error, "ctx", None)
        text = error.format_message()
        if len(text.splitlines()) > 1:  # the help of a group that was called without a command
            print(text, file=sys.stderr)
        else:
            help_of = f"; see: {context.command_path} --help" if context else ""
            _complain(text.removeprefix("Invalid value: ").rstrip(".") + help_of)
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _complain("stopped")
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _complain(message: str) -> None:
    """Print an error; one that lists several faults has a line for each."""
    for line in message.splitlines() or [""]:
        print(f"grader: {one_line(line)}", file=sys.stderr)


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
            help="Another homework than the one that ships with the grader: a folder with a homework.py, or a module. "
            "GRADER_HOMEWORK does the same.",
        ),
    ] = None,
) -> None:
    """Grades homework notebooks on attention, Transformers, a Vision Transformer and a GPT."""
    if homework is not None:
        from grader.homework import VARIABLE, load_homework  # noqa: PLC0415

        # Workers are processes of their own and find it in the same way.
        os.environ[VARIABLE] = load_homework(homework).source


@app.command()
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
    seed_file: SeedFile = None,
    rubric: RubricFile = None,
    cell_seconds: Annotated[float, typer.Option(help="Time limit for each cell, in seconds.", min=1)] = 60.0,
    timeout: Annotated[
        float, typer.Option(help="Time limit for the whole submission, in seconds.", min=10)
    ] = 900.0,
    training: Annotated[
        str,
        typer.Option(
            metavar="WHEN",
            help="Item 3c. auto: verify a checkpoint beside the notebook, or train on a GPU; always: train; "
            "verify: a checkpoint or nothing; never.",
        ),
    ] = "auto",
    data: DataFolder = None,
    require_isolation: RequireIsolation = None,
) -> None:
    """Grade one notebook.

    Exit status 0: graded, whatever the score. 2: wrong usage or a bad rubric. 3: nothing to grade. 4: graded, with less
    isolation than strong.
    """
    # Each command loads what it needs: `grader --help` is instant.
    from grader.grade import load_assignment  # noqa: PLC0415
    from grader.homework import load_homework  # noqa: PLC0415
    from grader.homework3.training.check import Options  # noqa: PLC0415
    from grader.kernel.session import Limits  # noqa: PLC0415

    if example == (submission is not None):
        raise typer.BadParameter("name one notebook, or give --example")
    mode = _mode(training)
    _given_folder(data)
    level = _isolation(require_isolation, own=example)
    assignment = load_assignment(rubric, seed_file, Limits(cell=cell_seconds, total=timeout))
    path = submission or load_homework().examples / "honest_mistakes.ipynb"
    _judge_and_show(path, replace(assignment, least_isolation=level), json_file, Options(mode, data))
    _say_what_was_weaker(level)


@app.command()
def train(
    submission: Annotated[
        Path, typer.Argument(help="The notebook (.ipynb) to train, or a folder or archive that holds it.")
    ],
    json_file: JsonFile = None,
    data: DataFolder = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cuda or cpu.")] = "auto",
    minutes: Annotated[
        float | None,
        typer.Option(help="Time for one attempt at 3c; by default the rubric's.", min=0.01),
    ] = None,
    gpt_seconds: GptSeconds = 120.0,
    seed_file: SeedFile = None,
    rubric: RubricFile = None,
    require_isolation: RequireIsolation = None,
) -> None:
    """Train the models of one notebook: judges 3c, and gathers evidence for 3d, 4f and 4g.

    The student's own Vision Transformer is trained on CIFAR-10 until it is certain whether more than half of the validation
    images are right. Exit status 0: judged. 2: wrong usage or a bad rubric. 3: nothing to grade.
    """
    from grader.homework3.training.data import require  # noqa: PLC0415
    from grader.kernel.warm import WarmHost, client_of  # noqa: PLC0415

    _given_folder(data)
    require(data)
    with WarmHost() as host:  # it takes seconds to get warm, in which we import what we need
        from grader.grade import load_assignment  # noqa: PLC0415
        from grader.homework3.training.check import DEVICES, Options  # noqa: PLC0415

        chosen = next((name for name in DEVICES if name == device), None)
        if chosen is None:
            raise typer.BadParameter(f"--device takes one of {', '.join(DEVICES)}")
        options = Options("always", data, chosen, minutes, gpt_seconds)
        level = _isolation(require_isolation)
        assignment = replace(load_assignment(rubric, seed_file), least_isolation=level)
        host.ensure()
        warm = client_of(host.address)
        _judge_and_show(submission, assignment, json_file, options, only=(), warm=warm)
    _say_what_was_weaker(level)


def _judge_and_show(
    path: Path,
    assignment: Assignment,
    json_file: Path | None,
    training: Options,
    only: Collection[str] | None = None,
    warm: WarmLink | None = None,
) -> None:
    """Judge one submission with progress, write the result, print it, and exit with 3 where there was nothing to judge."""
    from grader.grade import failure, judge  # noqa: PLC0415
    from grader.report.progress import shown  # noqa: PLC0415

    if json_file is not None:
        if not json_file.parent.is_dir():
            raise typer.BadParameter(f"--json {json_file}: the folder does not exist")
        if json_file.is_file() and not json_file.is_symlink():
            # Whoever finds a result knows that it is of this run.
            json_file.unlink(missing_ok=True)
        failure(path.name, assignment, UNFINISHED).write(json_file)
    with shown(path.name) as progress:
        result = judge(path, assignment, progress, warm, only=only, training=training).result
    if json_file is not None:
        result.write(json_file)
    _print_or_complain(result)


def _print_or_complain(result: Result, unchecked: Unchecked | None = None) -> None:
    """Print a result; one without anything judged is a single line, and exit status 3."""
    from grader.report.terminal import print_result  # noqa: PLC0415

    if result.error is not None:
        _complain(result.error)
        raise typer.Exit(3)
    print_result(result, unchecked=unchecked)


def _given_folder(data: Path | None) -> None:
    if data is not None and not data.is_dir():
        raise typer.BadParameter(f"--data {data}: there is no such folder")


@app.command()
def check(
    submission: Annotated[Path, typer.Argument(help="Your notebook (.ipynb).")],
) -> None:
    """Check your own notebook before you hand it in.

    Judges the public criteria, and shows the smallest counterexample for each that fails. The grade depends on more
    criteria than these; the output names the ones that are not checked.
    """
    from grader.check import check as check_one  # noqa: PLC0415
    from grader.check import unchecked_criteria  # noqa: PLC0415
    from grader.grade import load_assignment  # noqa: PLC0415
    from grader.report.progress import shown  # noqa: PLC0415

    assignment = load_assignment()
    with shown(submission.name) as progress:
        result = check_one(submission, assignment, progress)
    _print_or_complain(result, unchecked_criteria(assignment.rubric))


def _mode(name: str) -> Mode:
    from grader.homework3.training.check import MODES  # noqa: PLC0415

    mode = next((mode for mode in MODES if mode == name), None)
    if mode is None:
        raise typer.BadParameter(f"--training takes one of {', '.join(MODES)}")
    return mode


def _isolation(level: str | None, *, own: bool = False) -> Level | None:
    """The least level of isolation to grade at, as given or strong; None for a notebook of one's own.

    Raises `GraderError` where this machine gives less.
    """
    from grader.kernel import isolation  # noqa: PLC0415

    least = "strong" if level is None else next((known for known in isolation.LEVELS if known == level), None)
    if least is None:
        raise typer.BadParameter(f"--require-isolation takes one of {', '.join(isolation.LEVELS)}")
    if own and level is None:
        return None
    isolation.require(least)
    return least


def _say_what_was_weaker(level: Level | None) -> None:
    """Exit with 4 where isolation was weaker than strong, which only --require-isolation allows."""
    from grader.kernel import isolation  # noqa: PLC0415

    if level is not None and (weak := isolation.weaknesses()):
        print(f"grader: graded at isolation level {isolation.probe().level}, below strong: {weak}", file=sys.stderr)
        raise typer.Exit(4)


@app.command()
def batch(
    submissions: Annotated[
        list[Path],
        typer.Argument(
            help="Folders, notebooks or archives, also as Canvas, Gradescope, Moodle, Blackboard and Brightspace "
            "export them."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where results go, and go on from.")],
    jobs: Annotated[int, typer.Option(help="Workers at a time; 0: one a core.", min=0)] = 0,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="ITEM", help="Judge this item only (may be given several times)."),
    ] = None,
    rerun: Annotated[
        str | None,
        typer.Option(metavar="failed", help="Judge again what the grader could not judge."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Judge at most so many submissions now.", min=1),
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
        str | None,
        typer.Option(
            metavar="WHEN",
            help="Item 3c, after all else. auto: count with the checkpoints handed in, train the others on a GPU; "
            "always: train; verify: checkpoints only; never. auto for a new class.",
        ),
    ] = None,
    data: DataFolder = None,
    gpt_seconds: Annotated[
        float | None,
        typer.Option(
            "--gpt-seconds",
            help="Time for the GPT's evidence (4f, 4g); 0, as for a new class, leaves it out.",
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
) -> None:
    """Grade a class into a folder: results, feedback, grades.csv and summary.md.

    Run it again to resume; nothing is graded twice. The folder remembers its rubric, seed, homework and options: leave
    them out to keep them. A command that would change grades is refused, and shows what differs. Exit status 0: done. 1:
    the grader could not judge some. 2: wrong usage, or a folder that cannot be written. 4: done, with less isolation than
    strong.
    """
    from grader.kernel.warm import WarmHost  # noqa: PLC0415

    if rerun not in (None, "failed"):
        raise typer.BadParameter("--rerun takes: failed")
    _given_folder(data)
    try:
        with (
            WarmHost() as host
        ):  # it takes seconds to get warm, in which we import what we need, and look around
            from grader.batch.memory import CHANGES, TIMEOUT, TRAINING  # noqa: PLC0415
            from grader.batch.progress import shown  # noqa: PLC0415
            from grader.batch.run import Options, run_batch  # noqa: PLC0415
            from grader.batch.store import remembered  # noqa: PLC0415
            from grader.batch.terminal import print_batch  # noqa: PLC0415
            from grader.grade import load_assignment  # noqa: PLC0415
            from grader.homework import VARIABLE, load_homework  # noqa: PLC0415
            from grader.homework3.training.check import Options as Training  # noqa: PLC0415
            from grader.kernel.session import Limits  # noqa: PLC0415

            level = _isolation(require_isolation)
            changing = tuple(change or ())
            if unknown := set(changing) - set(CHANGES):
                raise typer.BadParameter(f"--change {min(unknown)}: takes one of {', '.join(CHANGES)}")
            kept = remembered(out, changing)
            if rubric is None and "rubric" in kept and (out / "rubric.yaml").is_file():
                rubric = out / "rubric.yaml"
            limits = Limits(total=timeout or kept.get("timeout", TIMEOUT))
            homework = load_homework(os.environ.get(VARIABLE) or kept.get("homework_source"))
            assignment = replace(load_assignment(rubric, seed_file, limits, homework), least_isolation=level)
            trained = Training(
                _mode(training or kept.get("training", TRAINING)),
                data or (Path(kept["data"]) if kept.get("data") else None),
                gpt_seconds=kept.get("gpt_seconds", 0.0) if gpt_seconds is None else gpt_seconds,
            )
            options = Options(jobs, tuple(only or ()), rerun is not None, limit, trained, changing, roster)
            text = (rubric or assignment.homework.rubric).read_bytes()
            with shown() as progress:
                outcome = run_batch(submissions, out, assignment, text, options, progress, host=host)
    except KeyboardInterrupt:
        print(f"grader: stopped; the same command goes on, and {out} holds what was done", file=sys.stderr)
        raise typer.Exit(130) from None
    print_batch(outcome, out)
    if outcome.lost:
        raise typer.Exit(1)
    _say_what_was_weaker(level)


@app.command()
def rescore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a batch.")],
    rubric: Annotated[Path, typer.Option("--rubric", metavar="FILE", help="The rubric to score by.")],
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
) -> None:
    """Score a batch by a changed rubric without running anything; says who changes before it writes."""
    from grader.batch.rescore import prepare  # noqa: PLC0415
    from grader.batch.store import Store  # noqa: PLC0415
    from grader.batch.terminal import print_changes  # noqa: PLC0415

    with Store(folder, create=False) as store:
        rescoring = prepare(store, rubric)
        print_changes(rescoring.changes, rescoring.total_before, rescoring.total_after)
        if yes or (sys.stdin.isatty() and typer.confirm("Write this?")):
            rescoring.write()
            print(f"scored anew: {folder}")
        else:
            print("nothing was written; --yes writes")


@app.command()
def doctor() -> None:
    """Say which layers of isolation this host gives, and whether everything that grading needs is in order.

    Exit status 1: something is missing without which nothing can be graded.
    """
    from grader.doctor import essentials_missing, examine, start_a_kernel  # noqa: PLC0415
    from grader.report.terminal import print_findings  # noqa: PLC0415

    findings = [*examine(), start_a_kernel()]
    print_findings(findings)
    if missing := essentials_missing(findings):
        print(f"\nNothing can be graded here: {', '.join(finding.name for finding in missing)}")
        raise typer.Exit(1)


@data_app.command("fetch")
def data_fetch(
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Take it from this folder instead of downloading it."),
    ] = None,
) -> None:
    """Put CIFAR-10 into this user's cache, verified and decoded, where all training checks find it.

    Shakespeare's text and word_tokenize's data travel with the grader and are verified here, too. HW3_CACHE names another
    place for the cache.
    """
    from grader.homework3.training.data import fetch, load  # noqa: PLC0415
    from grader.report.progress import shown  # noqa: PLC0415
    from grader.tokenizer_data import tokenizer_data_hash  # noqa: PLC0415

    with shown("CIFAR-10") as progress:
        place = fetch(data, say=progress)
        found = load()
    print(
        f"CIFAR-10: {len(found.train_images)} and {len(found.validation_images)} images in {place}\n"
        f"word_tokenize's data: SHA-256 {tokenizer_data_hash()[:12]}, with the grader"
    )


@template_app.command("build")
def template_build(
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to write; by default where the template lies."),
    ] = None,
    master: Annotated[
        bool, typer.Option("--master", help="Write the master notebook, with solutions, as well.")
    ] = False,
) -> None:
    """Make the students' notebook from the reference."""
    from grader.authoring import notebooks as template  # noqa: PLC0415
    from grader.homework import load_homework  # noqa: PLC0415

    written = template.build(out)
    if master:
        written.append(template.write_master(out or load_homework().template.parent))
    for path in written:
        print(f"wrote {path}")


@template_app.command("check")
def template_check() -> None:
    """Check that notebook, reference, rubric, quotes and training settings agree.

    Exit status 1: something does not agree.
    """
    from grader.authoring.consistency import disagreements  # noqa: PLC0415

    differences = disagreements()
    for line in differences:
        print(line)
    if differences:
        raise typer.Exit(1)
    print("the template is up to date")
