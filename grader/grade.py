"""The way of one submission: read, plan, run, judge, train, compose the result."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from threadpoolctl import threadpool_limits

from grader.assignment import Assignment, load_assignment
from grader.errors import GraderError, HostError, KernelError, NothingToGrade, host_error
from grader.homework import Homework
from grader.judging.cases import cases_for
from grader.judging.drawing import Drawing, Helper, by_item
from grader.judging.engine import Engine
from grader.kernel import confinement
from grader.kernel.process import WarmLink
from grader.kernel.session import Session
from grader.kernel.warm import can_fork
from grader.scoring.compose import Findings, compose_result
from grader.scoring.evidence import collect
from grader.scoring.facts import Run, facts_of_run, facts_of_unjudged
from grader.scoring.remarks import definition_notes, reasons_not_defined
from grader.scoring.result import Result
from grader.scoring.verdict import Verdict
from grader.submission.definitions import definitions_of
from grader.submission.handin import HandIn, find_named
from grader.submission.planning import Plan, make_plan
from grader.submission.reading import Submission
from grader.submission.unfinished import Unfinished
from grader.training import checkpoint
from grader.training.plan import Job, Options, Outcome
from grader.training.plan import plan as plan_training

NO_TRAINING = Options()
Progress = Callable[[str, int, int], None]
Partial = Callable[[Result], None]
"""Takes a result of which some items are not judged yet."""


@dataclass(frozen=True)
class Request:
    """How a submission is judged.

    Args:
        progress: is told the stage, and how much of it is done.
        warm: what kernels are forked from, or a function that waits for it, which is called after the notebook is read. Without
            it kernels start cold, which takes seconds longer and changes no verdict.
        only: the properties to judge, by default all; the others count as not judged.
        partial: gets the result so far when the cells have run, and again after each item.
        training: whether models are trained as well, after all properties were judged.
        retry_seconds: how long to wait until the submission is judged once more, if the machine runs out of something.
            With None, `judge` raises `HostError` instead.
        drawing: draws the cases; by default, `judge` makes one.
    """

    progress: Progress = lambda stage, done, total: None
    warm: WarmLink | Callable[[], WarmLink | None] | None = None
    only: Collection[str] | None = None
    partial: Partial | None = None
    training: Options = NO_TRAINING
    retry_seconds: float | None = 1.0
    drawing: Drawing | None = None


def drawing_of(assignment: Assignment, only: Collection[str] | None = None, *, apart: bool = False) -> Drawing:
    """The drawing of an assignment's cases; ``apart`` in a process of its own, where one can be forked: see `Helper`."""
    properties = by_item(assignment.properties, only)
    if not (apart and properties and can_fork()):
        return Drawing(properties, assignment.seed)
    return Drawing(properties, assignment.seed, Helper(properties, assignment.seed), assignment.homework.warm_up)


@dataclass(frozen=True)
class Judged:
    """A result and what it was made from, which is enough to score it again by another rubric."""

    result: Result
    verdicts: Mapping[str, Verdict] | None = None
    """By property; None if nothing could be judged."""
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By item."""
    grader_failed: bool = False
    """Whether nothing could be judged through no fault of the submission."""
    trained: Outcome = field(default_factory=Outcome)
    """What training found, which is in the result as well."""


def grade(
    path: Path,
    assignment: Assignment,
    progress: Progress = lambda stage, done, total: None,
    warm: WarmLink | None = None,
    training: Options = NO_TRAINING,
) -> Result:
    """Grade one submission. Whatever is wrong with it ends in a result, not in an exception."""
    return judge(path, assignment, Request(progress, warm, training=training)).result


def judge(path: Path | HandIn, assignment: Assignment, request: Request | None = None) -> Judged:
    """`grade`, with the verdicts.

    ``path`` is a notebook, a folder or an archive that holds the homework's, or a notebook that was found already.
    """
    request = request or Request()
    try:
        return _judge(path, assignment, request)
    except HostError:
        if request.retry_seconds is None:
            raise
    time.sleep(request.retry_seconds)
    try:
        return _judge(path, assignment, request)
    except HostError as error:
        return _failed(path.name, assignment, _Clock(), str(error))


def read(path: Path | HandIn, assignment: Assignment) -> tuple[HandIn, Submission]:
    """The notebook that is graded of what was handed in, as it was found and as it was read. Raises `NothingToGrade`."""
    found = path if isinstance(path, HandIn) else find_named(path, assignment.template)
    return found, found.submission(path.name)


def _judge(path: Path | HandIn, assignment: Assignment, request: Request) -> Judged:
    """`judge`, once; raises `HostError`."""
    clock = _Clock()
    try:
        with clock.stage("read"):
            found, submission = read(path, assignment)
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
            job = _training_job(place, assignment, request.training, weights)
            return _Judging(submission, plan, assignment, request, job, clock).run()
    except KernelError as error:
        return _failed(path.name, assignment, clock, f"the grader could not run a kernel: {error}")
    except confinement.IsolationError as error:
        return _failed(path.name, assignment, clock, str(error))
    except Exception as error:
        if (scarce := host_error(error)) is not None:
            raise scarce from None
        return _failed(path.name, assignment, clock, _defect(error))


class _Judging:
    """The judging of one submission that was read and planned."""

    def __init__(
        self,
        submission: Submission,
        plan: Plan,
        assignment: Assignment,
        request: Request,
        job: Job | None,
        clock: _Clock,
    ) -> None:
        self.submission, self.plan, self.assignment = submission, plan, assignment
        self.request, self.job, self.clock = request, job, clock
        self.verdicts: dict[str, Verdict] = {}
        self.trained = Outcome()

    def run(self) -> Judged:
        """Run the cells, judge the properties and train; raises `KernelError`, `IsolationError` and `HostError`."""
        with ExitStack() as stack:
            # A kernel takes seconds to start cold, in which the judge has nothing else to do.
            drawing = self.request.drawing or stack.enter_context(drawing_of(self.assignment, self.request.only))
            with self.clock.stage("kernel"):
                session = self._session()
                stack.enter_context(_ended_in_any_case(session))
            self._run_cells(session)
            self._judge_properties(session, drawing)
            self._train(session)
        return self._so_far()

    def _session(self) -> Session:
        assignment, job, warm = self.assignment, self.job, self.request.warm
        return Session(
            self.plan,
            replace(assignment.limits, training=job.seconds if job else 0.0),
            warm() if callable(warm) else warm,
            gpu=job is not None and job.device == "cuda",
            isolation_level=assignment.least_isolation,
            files=assignment.homework.files,
        )

    def _run_cells(self, session: Session) -> None:
        with self.clock.stage("cells"):
            session.run_cells(lambda done, total: self.request.progress("running cells", done, total))
            definitions = definitions_of(self.submission, self.plan)
            session.explain(reasons_not_defined(definitions))
        self.cells_run = Run(self.submission, self.plan, session, definitions)

    def _judge_properties(self, session: Session, drawing: Drawing) -> None:
        assignment = self.assignment
        self.engine = Engine(
            session,
            assignment.seed,
            assignment.provided_methods,
            assignment.shrink_calls,
            assignment.homework,
            can_only_raise=Unfinished(self.plan).ends_at,
        )
        wanted = by_item(assignment.properties, self.request.only)
        total = sum(map(len, wanted.values()))
        done = 0

        def count(prop: object) -> None:
            nonlocal done
            done += 1
            self.request.progress("judging properties", done, total)

        with self.engine:
            for item, properties in wanted.items():
                self._tell_partial()
                with self.clock.stage("properties"):
                    drawing.wait_for(item)
                    self.verdicts |= self.engine.judge(properties, count)

    def _train(self, session: Session) -> None:
        assignment, check = self.assignment, self.assignment.homework.training
        if self.job is None or check is None:
            return
        self._tell_partial()
        with self.clock.stage("training"):
            self.trained = check.run(
                self.job, session, assignment.template, assignment.seed, self.request.progress
            )

    def _tell_partial(self) -> None:
        if self.request.partial is not None:
            self.request.partial(self._so_far().result)

    def _so_far(self) -> Judged:
        """What is known by now."""
        assignment, trained = self.assignment, self.trained
        notes: dict[str, Sequence[str]] = {item: [note] for item, note in self.engine.notes.items()}
        notes |= trained.notes
        for item, note in definition_notes(self.cells_run.definitions, assignment.properties).items():
            notes[item] = [*notes.get(item, ()), note]
        evidence = collect(self.submission, assignment.rubric, assignment.homework.text_calls)
        for item, shown in trained.evidence.items():
            evidence[item] = [*evidence.get(item, []), *shown]
        facts = facts_of_run(self.cells_run, assignment, self.verdicts, self.clock.seconds)
        found = Findings(self.verdicts, trained.verdicts, evidence, notes)
        return Judged(compose_result(assignment.rubric, facts, found), self.verdicts, notes, trained=trained)


def _training_job(place: Path, assignment: Assignment, training: Options, weights: Path | None) -> Job | None:
    """What to train, with the checkpoint that was handed in; None if the homework trains nothing."""
    check = assignment.homework.training
    if check and weights and training.weights is None and checkpoint.find(place, check.checkpoint) is None:
        training = replace(training, weights=weights)
    return plan_training(check, place, assignment.rubric, training)


@contextmanager
def _weights_of(found: HandIn, homework: Homework) -> Iterator[Path | None]:
    """The checkpoint that lies in an archive with the notebook, as a file for a while; None if there is none."""
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
    for properties in by_item(assignment.properties, only).values():
        for prop in properties:
            cases_for(prop, assignment.seed)


@contextmanager
def _ended_in_any_case(session: Session) -> Iterator[None]:
    """A session. If a part of it cannot be ended, that costs no verdict, but becomes a warning."""
    session.__enter__()
    try:
        yield
    finally:
        try:
            session.__exit__()
        except (GraderError, OSError) as error:
            session.warnings.append(f"something of this submission may be left on this machine: {error}")


def failure(name: str, assignment: Assignment, reason: str) -> Result:
    """The result of a submission that could not be judged at all; everything in it is pending."""
    return _failed(name, assignment, _Clock(), reason).result


def _unjudged(name: str, assignment: Assignment, clock: _Clock, error: str) -> Judged:
    """What comes of a submission that holds nothing to judge."""
    return Judged(compose_result(assignment.rubric, facts_of_unjudged(name, assignment, error, clock.seconds)))


def _failed(name: str, assignment: Assignment, clock: _Clock, error: str) -> Judged:
    """What comes of a submission that could not be judged through no fault of its own."""
    return replace(_unjudged(name, assignment, clock, error), grader_failed=True)


def _defect(error: Exception) -> str:
    """A failure of the grader's own, in one line for whoever looks into it."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"the grader failed ({type(error).__name__}: {error}, {where.name}:{where.lineno})"[:500]


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


__all__ = ["Assignment", "Drawing", "Judged", "Request", "failure", "grade", "judge", "load_assignment", "prepare", "read"]
