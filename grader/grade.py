"""The way of one submission: read, plan, run, judge, score."""

from __future__ import annotations

import codecs
import functools
import platform
import tempfile
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Literal

from threadpoolctl import threadpool_limits

from grader import __version__
from grader.errors import GraderError, HostError, KernelError, NothingToGrade, UsageError, host_error
from grader.homework import Homework, load_homework
from grader.judging.cases import cases_for
from grader.judging.engine import SHRINK_CALLS, Engine
from grader.judging.property import Property
from grader.judging.provided import provided_methods
from grader.kernel import confinement
from grader.kernel.process import WarmLink
from grader.kernel.session import Limits, Session
from grader.scoring.compose import Facts, Findings, compose_result, rubric_version
from grader.scoring.evidence import collect
from grader.scoring.remarks import (
    cell_of,
    definition_flags,
    definition_notes,
    loss_flags,
    reasons_not_defined,
)
from grader.scoring.result import Flag, Isolation, Result, Versions
from grader.scoring.rubric import Rubric, load_rubric
from grader.scoring.score import Verdict
from grader.submission.definitions import Definition, definitions_of
from grader.submission.handin import HandIn, find_named
from grader.submission.planning import Plan, make_plan
from grader.submission.reading import Submission
from grader.submission.template import Template, altered_provided, load_template
from grader.tokenizer_data import tokenizer_data_hash
from grader.training import checkpoint
from grader.training.plan import Job, Options, Outcome
from grader.training.plan import plan as plan_training

PUBLIC_SEED = b"hw3 public seed"
PUBLIC_SEED_WARNING = "graded with the public seed, so students can predict the test cases; for a class, pass --seed-file"
NO_TRAINING = Options()
RETRY_SECONDS = 1.0
"""How long to wait for the machine to recover."""
Progress = Callable[[str, int, int], None]
Partial = Callable[[Result], None]
"""Takes a result of which some items are not judged yet."""


@dataclass(frozen=True)
class Assignment:
    """What all submissions of a class are graded by."""

    rubric: Rubric
    template: Template
    seed: bytes = PUBLIC_SEED
    limits: Limits = field(default_factory=Limits)
    homework: Homework = field(default_factory=load_homework)
    most_cases: int | None = None
    """Of a property; by default as many as it asks for."""
    shrink_calls: int = SHRINK_CALLS
    """How many cases may be tried to make a counterexample smaller."""
    least_isolation: confinement.Level | None = "strong"
    """The least level of isolation at which a kernel starts; None for a person's own notebook, which is never refused."""

    def __getstate__(self) -> dict[str, object]:
        """Without the properties, which another process finds by the homework."""
        return {name: value for name, value in vars(self).items() if name != "properties"}

    @cached_property
    def properties(self) -> tuple[Property, ...]:
        """The properties that the rubric names, in its order."""
        named = (self.homework.properties[name] for name in self.rubric.properties)
        most = self.most_cases
        return tuple(prop if most is None else replace(prop, examples=min(prop.examples, most)) for prop in named)

    @property
    def provided_methods(self) -> dict[str, list[tuple[str, str, str]]]:
        """Methods of the template that take the place of the student's, by class."""
        return provided_methods(self.template, self.homework.provided_methods)

    @property
    def seed_kind(self) -> Literal["public", "secret"]:
        """Whether anyone who has the grader can predict the cases."""
        return "public" if self.seed == PUBLIC_SEED else "secret"


def load_assignment(
    rubric: Path | None = None,
    seed_file: Path | None = None,
    limits: Limits | None = None,
    homework: Homework | None = None,
) -> Assignment:
    """The assignment of a rubric file and a seed file; raises `RubricError` or `UsageError`."""
    homework = homework or load_homework()
    loaded = load_rubric(rubric or homework.rubric, known_properties=homework.properties)
    seed = PUBLIC_SEED if seed_file is None else read_seed(seed_file)
    template = load_template(homework.template, homework.provided_classes)
    return Assignment(loaded, template, seed, limits or Limits(), homework)


def read_seed(path: Path) -> bytes:
    """The secret in a seed file; raises `UsageError`."""
    try:
        seed = _without_mark(path.read_bytes()).strip()
    except OSError as error:
        raise UsageError(f"cannot read the seed file {path}: {error.strerror or error}") from None
    if len(seed) < 16:
        raise UsageError(
            f"{path}: a secret seed needs at least 16 bytes; make one with: openssl rand -hex 32 > {path}"
        )
    return seed


def _without_mark(data: bytes) -> bytes:
    """The text of a file as UTF-8: editors put a byte order mark before it, and PowerShell writes UTF-16."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        with suppress(UnicodeDecodeError):
            return data.decode("utf-16").encode()
    return data.removeprefix(codecs.BOM_UTF8)


@dataclass(frozen=True)
class Judged:
    """A result and what it was made from, which is enough to score it again by another rubric."""

    result: Result
    verdicts: Mapping[str, Verdict] | None = None
    """By property; None where nothing could be judged."""
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By item."""
    grader_failed: bool = False
    """Nothing could be judged by no fault of the submission's."""
    trained: Outcome = field(default_factory=Outcome)
    """What training found, which is in the result as well."""


def grade(
    path: Path,
    assignment: Assignment,
    progress: Progress = lambda stage, done, total: None,
    warm: WarmLink | None = None,
    training: Options = NO_TRAINING,
) -> Result:
    """Grade one submission. Whatever is wrong with it ends in a result, not in an exception.

    With ``warm`` the kernel is forked from that process, which saves seconds and changes no verdict.
    """
    return judge(path, assignment, progress, warm, training=training).result


def judge(
    path: Path | HandIn,
    assignment: Assignment,
    progress: Progress = lambda stage, done, total: None,
    warm: WarmLink | None = None,
    only: Collection[str] | None = None,
    partial: Partial | None = None,
    training: Options = NO_TRAINING,
    retry: bool = True,
) -> Judged:
    """`grade`, with the verdicts; ``only`` these properties are judged, and the others count as not judged.

    ``path`` is a notebook, or a folder or an archive that holds the homework's, or one that was found already.
    ``partial`` gets the result so far when the cells have run, and again after each item. ``training`` says whether the
    models are trained as well, after all properties were judged. When the machine runs out of something, the submission is
    judged once more, and waits if that fails, too; without ``retry``, `HostError` is raised instead.
    """
    again = functools.partial(_judge, path, assignment, progress, warm, only, partial, training)
    try:
        return again()
    except HostError:
        if not retry:
            raise
    time.sleep(RETRY_SECONDS)
    try:
        return again()
    except HostError as error:
        return _failed(path.name, assignment, _Clock(), str(error))


def _judge(
    path: Path | HandIn,
    assignment: Assignment,
    progress: Progress,
    warm: WarmLink | None,
    only: Collection[str] | None,
    partial: Partial | None,
    training: Options,
) -> Judged:
    """`judge`, once; raises `HostError`."""
    clock = _Clock()
    try:
        with clock.stage("read"):
            found = path if isinstance(path, HandIn) else find_named(path, assignment.template)
            submission = found.submission(path.name)
            plan = make_plan(submission, assignment.template)
    except NothingToGrade as error:
        return _unjudged(path.name, assignment, clock, str(error))
    except Exception as error:
        if (scarce := host_error(error)) is not None:
            raise scarce from None
        return _failed(path.name, assignment, clock, _defect(error))
    try:
        place = path if isinstance(path, Path) else path.place or path.path or Path(path.name)
        # Properties work on small arrays: further threads of BLAS would only wait, and burn the kernels' time with it.
        with _weights_of(found, assignment.homework) as weights, threadpool_limits(1, user_api="blas"):
            check = assignment.homework.training
            if check and weights and training.weights is None and checkpoint.find(place, check.checkpoint) is None:
                training = replace(training, weights=weights)
            job = plan_training(check, place, assignment.rubric, training)
            return _run_and_judge(submission, plan, assignment, clock, progress, warm, only, partial, job)
    except KernelError as error:
        message = f"the grader could not run a kernel: {error}"
        return _failed(path.name, assignment, clock, message)
    except confinement.IsolationError as error:
        return _failed(path.name, assignment, clock, str(error))
    except Exception as error:
        if (scarce := host_error(error)) is not None:
            raise scarce from None
        return _failed(path.name, assignment, clock, _defect(error))


@contextmanager
def _weights_of(found: HandIn, homework: Homework) -> Iterator[Path | None]:
    """The checkpoint that lies in an archive with the notebook, as a file for a while; None where there is none."""
    wanted = homework.training.checkpoint if homework.training else None
    named = [data for name, data in found.weights if PurePosixPath(name).name == wanted]
    if wanted is None or len(named) != 1:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="hw3w-") as folder:
        path = Path(folder) / wanted
        path.write_bytes(named[0])
        yield path


def prepare(assignment: Assignment, only: Collection[str] | None = None) -> None:
    """Draw the cases of the properties and read the template, once a process; processes forked after it have them too."""
    _ = assignment.provided_methods
    for prop in _wanted(assignment, only):
        cases_for(prop, assignment.seed)


def _wanted(assignment: Assignment, only: Collection[str] | None) -> list[Property]:
    return [prop for prop in assignment.properties if only is None or prop.name in only]


def _defect(error: Exception) -> str:
    """A failure of the grader's own, in one line that helps who looks into it."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"the grader failed ({type(error).__name__}: {error}, {where.name}:{where.lineno})"[:500]


def failure(name: str, assignment: Assignment, reason: str) -> Result:
    """The result of a submission that could not be judged at all; everything in it waits."""
    return _failed(name, assignment, _Clock(), reason).result


@dataclass(frozen=True)
class _Run:
    """A submission whose cells have run."""

    submission: Submission
    plan: Plan
    session: Session
    definitions: Mapping[str, Sequence[Definition]]


def _run_and_judge(
    submission: Submission,
    plan: Plan,
    assignment: Assignment,
    clock: _Clock,
    progress: Progress,
    warm: WarmLink | None,
    only: Collection[str] | None,
    partial: Partial | None,
    job: Job | None,
) -> Judged:
    verdicts: dict[str, Verdict] = {}
    trained = Outcome()
    limits = replace(assignment.limits, training=job.seconds if job else 0.0)
    with ExitStack() as stack:
        # A kernel takes seconds to start cold, in which the judge has nothing else to do.
        drawing = stack.enter_context(ThreadPoolExecutor(1)).submit(prepare, assignment, only)
        with clock.stage("kernel"):
            gpu = job is not None and job.device == "cuda"
            session = Session(
                plan,
                limits,
                warm,
                gpu=gpu,
                isolation_level=assignment.least_isolation,
                files=assignment.homework.files,
            )
            stack.enter_context(_ended_in_any_case(session))
        with clock.stage("cells"):
            session.run_cells(lambda done, total: progress("running cells", done, total))
            definitions = definitions_of(submission, plan)
            session.explain(reasons_not_defined(definitions))
        run = _Run(submission, plan, session, definitions)
        with clock.stage("properties"):
            wait([drawing])
        engine = Engine(
            session, assignment.seed, assignment.provided_methods, assignment.shrink_calls, assignment.homework
        )
        wanted = _wanted(assignment, only)
        items = sorted({prop.part.item for prop in wanted})
        done = 0

        def count(prop: object) -> None:
            nonlocal done
            done += 1
            progress("judging properties", done, len(wanted))

        def so_far() -> Judged:
            notes = {item: [note] for item, note in engine.notes.items()} | dict(trained.notes)
            for item, note in definition_notes(definitions, assignment.properties).items():
                notes[item] = [*notes.get(item, ()), note]
            result = _composed(assignment, clock, run, verdicts, notes, trained)
            return Judged(result, verdicts, notes, trained=trained)

        with engine:
            for item in items:
                if partial is not None:
                    partial(so_far().result)
                with clock.stage("properties"):
                    verdicts |= engine.judge((prop for prop in wanted if prop.part.item == item), count)
        check = assignment.homework.training
        if job is not None and check is not None:
            if partial is not None:
                partial(so_far().result)
            with clock.stage("training"):
                trained = check.run(job, session, assignment.template, assignment.seed, progress)
    return so_far()


@contextmanager
def _ended_in_any_case(session: Session) -> Iterator[None]:
    """A session; that something of it cannot be ended costs no verdict, but is said."""
    session.__enter__()
    try:
        yield
    finally:
        try:
            session.__exit__()
        except (GraderError, OSError) as error:
            session.warnings.append(f"something of this submission may be left on this machine: {error}")


def _unjudged(name: str, assignment: Assignment, clock: _Clock, error: str) -> Judged:
    """What comes of a submission that holds nothing to judge."""
    facts = Facts(
        name,
        versions(assignment.rubric),
        error,
        warnings=tuple(_warnings(assignment)),
        seed=assignment.seed_kind,
        tokenizer_data=tokenizer_data_hash(),
        seconds=clock.seconds,
    )
    return Judged(compose_result(assignment.rubric, facts))


def _failed(name: str, assignment: Assignment, clock: _Clock, error: str) -> Judged:
    """What comes of a submission that could not be judged by no fault of its own."""
    return replace(_unjudged(name, assignment, clock, error), grader_failed=True)


def _warnings(assignment: Assignment) -> Iterator[str]:
    if assignment.seed_kind == "public":
        yield PUBLIC_SEED_WARNING


def _composed(
    assignment: Assignment,
    clock: _Clock,
    run: _Run,
    verdicts: Mapping[str, Verdict],
    notes: Mapping[str, Sequence[str]],
    trained: Outcome,
) -> Result:
    """The result of a submission whose cells have run."""
    session, submission = run.session, run.submission
    warnings = [*submission.warnings, *_warnings(assignment)]
    if assignment.least_isolation is not None and (weak := confinement.weaknesses()):
        warnings.append(f"graded at isolation level {confinement.probe().level}, below strong: {weak}")
    evidence = collect(submission, assignment.rubric)
    for item_id, shown in trained.evidence.items():
        evidence[item_id] = [*evidence.get(item_id, []), *shown]
    facts = Facts(
        submission.name,
        versions(assignment.rubric),
        warnings=(*warnings, *session.warnings),
        flags=tuple(_flags(assignment, run, verdicts)),
        cells=tuple(cell_of(outcome) for outcome in session.outcomes),
        isolation=tuple(Isolation(**row) for row in confinement.describe(session.layers)),
        seed=assignment.seed_kind,
        tokenizer_data=tokenizer_data_hash(),
        seconds=clock.seconds,
    )
    return compose_result(assignment.rubric, facts, Findings(verdicts, trained.verdicts, evidence, notes))


def _flags(assignment: Assignment, run: _Run, verdicts: Mapping[str, Verdict]) -> Iterator[Flag]:
    """What a person should look at: it costs no points by itself."""
    for found in altered_provided(run.submission, assignment.template):
        message = f"{found.name} differs from the template's, which is used"
        yield Flag(kind="provided code altered", message=message, cell=found.number)
    for used in run.plan.from_scratch_flags:
        yield Flag(kind="not from scratch?", message=f"uses {used.name}", cell=used.number, line=used.line)
    yield from definition_flags(run.definitions, assignment.properties)
    session = run.session
    yield from loss_flags(run.plan, session.outcomes, session.missing, verdicts, assignment.rubric)


def versions(rubric: Rubric) -> Versions:
    """What judges here, and by which rubric."""
    return Versions(
        grader=__version__,
        rubric=rubric_version(rubric),
        python=platform.python_version(),
        torch=_version_of("torch"),
        hypothesis=_version_of("hypothesis"),
        nltk=_version_of("nltk"),
    )


@functools.cache
def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


class _Clock:
    """Wall seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens within as ``name``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - started, 3)


__all__ = ["Assignment", "GraderError", "Judged", "failure", "grade", "judge", "load_assignment", "versions"]
