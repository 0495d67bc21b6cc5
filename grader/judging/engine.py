"""Judges one submission by properties: cases drawn once for a seed, a frame a round, hypothesis only to shrink a failure."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import itertools
import random
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, find
from hypothesis.errors import NoSuchExample, Unsatisfiable

from grader.errors import HostError, KernelError, host_error
from grader.homework import Homework, load_homework
from grader.judging.budget import Budget, Spent
from grader.judging.expect import StoodBack, Tally, Violation, counted_by
from grader.judging.property import Part, Property
from grader.judging.reproducible import make_reproducible
from grader.kernel.remote import (
    BadReply,
    Connection,
    NoReply,
    Recording,
    ReplyTimedOut,
    Student,
    StudentError,
    recording_of,
)
from grader.kernel.session import Limits, PropertyChannel
from grader.scoring.score import Verdict, VerdictStatus
from grader.submission.template import Template

make_reproducible()

SHRINK_CALLS = 120
MIXED_PROPERTIES = 12
"""How many properties share frames."""
MIXED_TIME = 0.25
"""Their share of the time of one property: who is so slow is judged by one property after the other."""
GRADERS_OWN = (OSError, KernelError, HostError, ImportError)
"""Exceptions that are no submission's doing even after a reply arrived; any other one then is the submission's.

Were it the grader's error, whose points wait for a person, a submission could make each failure of its own wait.
"""
NOTHING_COMPARED = "your code returned nothing that this property could compare"


@dataclass(frozen=True)
class Failure:
    """Why a property does not hold, for one case."""

    kind: str
    message: str
    shown: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Unreached:
    """Why a property did not compare all of its cases, and which properties must find the fault that kept it from more.

    ``enough`` says whether it compared most of them nevertheless.
    """

    reasons: tuple[str, ...]
    to: tuple[str, ...]
    enough: bool = False


@dataclass(frozen=True)
class Outcome:
    """What all cases of a property came to: the first failure with its case's number, or how too little was compared."""

    failure: tuple[int, Failure] | None = None
    unreached: Unreached | None = None

    @property
    def is_held(self) -> bool:
        """Whether no case failed and enough of them compared something."""
        return self.failure is None and (self.unreached is None or self.unreached.enough)


class Kernel(Protocol):
    """What the engine asks of a kernel whose cells have run; `Session` is one."""

    @property
    def limits(self) -> Limits:
        """How long a property may take."""

    @property
    def cell_of_execution(self) -> dict[int, int]:
        """Numbers of the notebook's cells by those of their executions."""

    def property(self, world: dict[str, Any]) -> contextlib.AbstractContextManager[PropertyChannel]:
        """A connection to a fresh child."""

    def begin_part(self) -> None:
        """Count the time of a part from now on."""

    def time_is_up(self) -> str | None:
        """Whose time is used up, if any is."""

    def reap(self, channel: PropertyChannel, *, kill: bool = True) -> int | None:
        """End a child; how it ended."""

    def why_ended(self, when: str) -> str:
        """Why the kernel is gone."""


class _Stopped(Exception):
    """A round ended early, at the first error of another trial."""


class Engine:
    """Judges the parts of one submission. Use as a context manager; leaving it ends the child that properties share.

    Args:
        session: the kernel, its cells run.
        seed: the assignment's seed; the same seed gives the same cases for every submission.
        provided: methods of the template that take the place of the student's, by part name.
        shrink_calls: how many cases may be tried to make a counterexample smaller.
        homework: whose stand-ins take the place of what a part builds on; by default the one that `load_homework` finds.
    """

    def __init__(
        self,
        session: Kernel,
        seed: bytes,
        provided: dict[str, list[tuple[str, str, str]]] | None = None,
        shrink_calls: int = SHRINK_CALLS,
        homework: Homework | None = None,
    ) -> None:
        self.session, self.seed, self.shrink_calls = session, seed, shrink_calls
        self._stand_ins = (homework or load_homework()).stand_in_source
        self.provided = provided or {}
        self.notes: dict[str, str] = {}
        self._fused: dict[str, bool] = {}
        self._shared = _SharedChild(session)
        self._budget = Budget()
        self._answered = False

    def __enter__(self) -> Engine:
        """Nothing to do: a child is forked when it is needed."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the shared child."""
        self._shared.give_up()

    def judge(
        self, properties: Iterable[Property], progress: Callable[[Property], None] = lambda prop: None
    ) -> dict[str, Verdict]:
        """A verdict for each property, by its name.

        The properties of a part share a child of the kernel, and their cases share frames, in an order that the seed decides: a
        submission that could tell which property a call belongs to could answer each one differently. A property that fails
        there is judged again in a child of its own, and that verdict counts.
        """
        verdicts: dict[str, Verdict] = {}
        by_part = sorted(properties, key=lambda prop: (prop.part.item, prop.part.name, trial_seed(prop, self.seed)))
        for _, group in itertools.groupby(by_part, key=lambda prop: prop.part):
            self.session.begin_part()
            # What is infinite or no number in an answer is for a property to say, not for numpy's warnings.
            with np.errstate(all="ignore"):
                ours = list(group)
                applying = [prop for prop in ours if self.applies(prop)]
                verdicts |= {prop.name: Verdict(prop.name, "inapplicable") for prop in ours if prop not in applying}
                held = self._held_together(applying)
                for prop in applying:
                    progress(prop)
                    passed = Verdict(prop.name, "passed", title=prop.title)
                    verdicts[prop.name] = passed if prop.name in held else self._verdict(prop)
        return verdicts

    def _held_together(self, properties: Sequence[Property]) -> set[str]:
        """Names of the properties of a part that hold when their cases are mixed; the others have to be judged one by one."""
        held: set[str] = set()
        for start in range(0, len(properties), MIXED_PROPERTIES):
            chosen = properties[start : start + MIXED_PROPERTIES]
            self._budget = Budget()
            try:
                with self._budget.memory():
                    channel = self._shared.channel(self._world_of(chosen[0].part))
                    held |= self._run_mixed(chosen, channel.connection)
            except Exception:
                # Each property by itself will find out whose fault that is, and tell it.
                self._shared.give_up()
                break
        if len(held) < len(properties):
            self._shared.give_up()
        return held

    def _run_mixed(self, properties: Sequence[Property], connection: Connection) -> set[str]:
        """Run the cases of several properties in the same frames, shuffled; names of the properties that hold."""
        connection.begin(self.session.limits.property * MIXED_TIME)
        trials: list[_Trial] = []
        for prop in properties:
            budget = Budget()
            for case in cases_for(prop, self.seed):
                seed = trial_seed(prop, self.seed) + sum(trial.prop is prop for trial in trials)
                trials.append(_Trial(len(trials), prop, case, seed, budget))
        names = tuple(prop.name for prop in properties)
        running = list(trials)
        random.Random(self.seed + repr(names).encode()).shuffle(running)
        failed: set[str] = set()
        same: tuple[Any, ...] | None = ("mixed", names, self.seed)
        while running:
            answers = connection.run([trial.row for trial in running], stop=False, same=same)
            same = None
            for trial, answer in zip(running, answers, strict=True):
                try:
                    if trial.prop.name not in failed:
                        trial.tell(answer)
                except (Exception, Spent):
                    # Whether it fails or stands back, that is for the property by itself to tell.
                    failed.add(trial.prop.name)
            running = [trial for trial in running if not trial.is_over and trial.prop.name not in failed]
        compared = Counter(trial.prop.name for trial in trials if trial.tally.made)
        held = (prop for prop in properties if prop.name not in failed)
        return {prop.name for prop in held if 2 * compared[prop.name] > len(cases_for(prop, self.seed))}

    def applies(self, prop: Property) -> bool:
        """Whether a property is about the way in which the student built its part."""
        return prop.world in ("any", "whole" if self.is_fused(prop.part) else "stand-ins")

    def hold_once(self, prop: Property, case: Any) -> Failure | StoodBack | None:
        """Hold a property for one case, in a child of its own; raises `NoReply` when the child falls silent."""
        self._budget = Budget()
        with self.session.property(self._world_of(prop.part)) as channel, self._budget.memory():
            return self._run_one(prop, channel.connection, 0, case, trial_seed(prop, self.seed))

    def is_fused(self, part: Part) -> bool:
        """Whether the student's class is judged whole: it builds no stand-ins, or works with its own classes only.

        Found out once for each part.
        """
        if not part.stand_ins:
            return False
        if part.name not in self._fused:
            why = self._why_whole(part)
            self._fused[part.name] = why is not None
            if why is not None:
                self.notes[part.item] = f"{part.name} {why}, so it is judged whole"
        return self._fused[part.name]

    def _why_whole(self, part: Part) -> str | None:
        answer = self._probe(part, self._world(part, list(part.stand_ins)))
        if isinstance(answer, list):
            return None if answer else f"builds no {part.stand_ins[0]}"
        if isinstance(answer, StudentError) and isinstance(self._probe(part, self._world(part, [])), list):
            return f"uses what only your own {part.stand_ins[0]} has ({answer})"[:200]
        return None

    def _probe(self, part: Part, world: dict[str, Any]) -> Any:
        """Build and call the part in a world: the list of stand-ins that took part, or why that failed."""
        student = Student(0)
        module = getattr(student, part.name)(*part.probe)
        if inputs := part.probe_inputs():
            module(*inputs)
        try:
            connection = self._shared.channel(world).connection
            connection.begin()
            (answer,) = connection.run([(0, recording_of(student), student.standins())], stop=True)
        except (NoReply, KernelError):
            self._shared.give_up()
            return None
        return answer

    def _world_of(self, part: Part) -> dict[str, Any]:
        return self._world(part, [] if self.is_fused(part) else list(part.stand_ins))

    def _world(self, part: Part, stand_ins: list[str]) -> dict[str, Any]:
        return {
            "stand_ins": stand_ins,
            "source": self._stand_ins if stand_ins else "",
            "lenient": part.lenient,
            "provided": [],
            "methods": [list(method) for method in self.provided.get(part.name, [])],
        }

    def _verdict(self, prop: Property) -> Verdict:
        self._budget, self._answered = Budget(), False
        found: Failure | Unreached | None
        try:
            with self._budget.memory():
                found = self._hold(prop)
        except Spent as spent:
            self._shared.give_up()
            found = Failure("budget", str(spent))
        except KernelError:
            self._shared.give_up()
            found = Failure("kernel", self.session.why_ended("before this could be judged"))
        except Exception as error:
            self._shared.give_up()
            if (scarce := host_error(error)) is not None:
                raise scarce from None
            if self._answered and not isinstance(error, GRADERS_OWN):
                return Verdict(prop.name, "failed", _uninterpretable(error), title=prop.title)
            # A defect of ours: said, never scored.
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"the grader failed here ({type(error).__name__}: {error}, {where.name}:{where.lineno})"
            return Verdict(prop.name, "error", text[:500], title=prop.title)
        if found is None:
            return Verdict(prop.name, "passed", title=prop.title)
        if isinstance(found, Unreached):
            message = f"This could not be checked: {'; '.join(found.reasons)}."
            status: VerdictStatus = "passed" if found.enough else "unreached"
            return Verdict(prop.name, status, message, title=prop.title, defers_to=found.to)
        counterexample = "\n".join(f"{label} = {text}" for label, text in found.shown)
        return Verdict(prop.name, "failed", found.message, counterexample or None, title=prop.title)

    def _hold(self, prop: Property) -> Failure | Unreached | None:
        """Judge a property in the child that others held in, if there is one, or else in a new one, where its failure counts.

        A new child in which it holds is the next property's.
        """
        cases = cases_for(prop, self.seed)
        world = self._world_of(prop.part)
        seed = trial_seed(prop, self.seed)
        if self._shared.is_in_use:
            with contextlib.suppress(NoReply):
                outcome = self.run_cases(prop, self._shared.channel(world).connection)
                if outcome.is_held:
                    return outcome.unreached
            self._shared.give_up()
        channel = self._shared.channel(world)
        try:
            found = self.run_cases(prop, channel.connection)
        except NoReply as error:
            silence = self._silence(channel, error)
            self._shared.give_up()
            return self._blame(prop, world, cases, seed, silence)
        if found.failure is None:
            return found.unreached
        self._shared.give_up()
        number, failure = found.failure
        return self._shrunk(prop, world, seed, number, failure) or self._repeated(
            prop, world, cases[number], seed, failure
        )

    def run_cases(self, prop: Property, connection: Connection) -> Outcome:
        """Run all cases in lockstep, a frame a round; the first case that fails, in their order, decides."""
        cases, seed = cases_for(prop, self.seed), trial_seed(prop, self.seed)
        connection.begin()
        failures: dict[int, Failure] = {}
        stood_back: dict[int, StoodBack] = {}
        trials = [_Trial(number, prop, case, seed + number, self._budget) for number, case in enumerate(cases)]
        running = list(trials)
        # No program knows anything of the submission before its first answer.
        same: tuple[str, bytes] | None = (prop.name, self.seed)
        while running:
            answers = connection.run([trial.row for trial in running], stop=not prop.catches, same=same)
            self._answered = True
            same = None
            for trial, answer in zip(running, answers):  # noqa: B905  (the kernel stops at an exception)
                try:
                    trial.tell(answer)
                except StoodBack as reason:
                    stood_back[trial.number] = reason
                except (Violation, StudentError) as error:
                    failures[trial.number] = self._failure(error, trial.case)
                    break
            first = min(failures, default=len(trials))
            running = [trial for trial in running if not trial.is_over and trial.number < first]
        if failures:
            return Outcome(failure=min(failures.items()))
        # Whatever was compared on the way to standing back does not count, unless all of it was.
        compared = [
            stood_back[trial.number].compared if trial.number in stood_back else trial.tally.made > 0
            for trial in trials
        ]
        enough = 2 * sum(compared) > len(cases)
        if enough and not stood_back:
            return Outcome()
        reasons = dict.fromkeys(reason.reason for reason in stood_back.values())
        to = dict.fromkeys(name for reason in stood_back.values() for name in reason.to)
        return Outcome(unreached=Unreached(tuple(reasons)[:3] or (NOTHING_COMPARED,), tuple(to), enough))

    def _run_one(
        self, prop: Property, connection: Connection, number: int, case: Any, seed: int
    ) -> Failure | StoodBack | None:
        trial = _Trial(number, prop, case, seed, self._budget)
        try:
            while not trial.is_over:
                (answer,) = connection.run([trial.row], stop=True)
                self._answered = True
                trial.tell(answer)
        except StoodBack as reason:
            return reason
        except (Violation, StudentError) as error:
            return self._failure(error, case)
        return None

    def _shrunk(
        self, prop: Property, world: dict[str, Any], seed: int, number: int, failure: Failure
    ) -> Failure | None:
        """The smallest case with the same kind of failure, found by hypothesis in a fresh child; None if it does not recur.

        It starts from the case with this number, which it draws again.
        """
        smallest: list[Failure] = []
        calls = 0

        def fails(case: Any) -> bool:
            nonlocal calls
            calls += 1
            if calls > self.shrink_calls:
                return False
            found = self._run_one(prop, channel.connection, calls, case, seed)
            if not isinstance(found, Failure) or found.kind != failure.kind:
                return False
            smallest.append(found)
            return True

        with self.session.property(world) as channel:
            try:
                find(
                    prop.strategy_for(number),
                    fails,
                    settings=_settings(2, Phase.generate, Phase.shrink),
                    random=_random(prop, self.seed, number),
                )
            except GRADERS_OWN:
                raise
            except (Exception, Spent):
                # It shrinks no further: what was found by now stands.
                pass
        return min(
            reversed(smallest), key=lambda found: sum(len(text) for _, text in found.shown), default=None
        )

    def _repeated(self, prop: Property, world: dict[str, Any], case: Any, seed: int, failure: Failure) -> Failure:
        """The failure as it was found, if it recurs on its own; else it is called nondeterministic."""
        with self.session.property(world) as channel:
            try:
                again: object = self._run_one(prop, channel.connection, 0, case, seed)
            except (NoReply, Spent):
                again = failure
        if isinstance(again, Failure):
            return again
        note = (
            "nondeterministic: this failed once and did not fail again for the same input and random seed. "
        )
        return Failure("nondeterministic", note + failure.message, failure.shown)

    def _blame(
        self, prop: Property, world: dict[str, Any], cases: Sequence[Any], seed: int, silence: Failure
    ) -> Failure:
        """The first case at which the child falls silent, run on its own, so that its inputs can be shown."""
        if silence.kind != "died":
            return silence
        with self.session.property(world) as channel:
            for number, case in enumerate(cases):
                try:
                    self._run_one(prop, channel.connection, number, case, seed + number)
                except NoReply as error:
                    again = self._silence(channel, error)
                    return Failure(again.kind, again.message, tuple(case.shown().items()))
        return silence

    def _silence(self, channel: Any, error: NoReply) -> Failure:
        if isinstance(error, ReplyTimedOut):
            if (spent := self.session.time_is_up()) is not None:
                return Failure("timeout", f"{spent} while this was judged")
            return Failure(
                "timeout", f"no answer within {self.session.limits.property:.0f} s, so it was stopped"
            )
        if isinstance(error, BadReply):
            return Failure("unreadable", f"your code returned a value the grader cannot read: {error}")
        status = self.session.reap(channel, kill=False)
        if status is not None and status < 0:
            name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
            return Failure("died", f"the Python process died of {name} while this was judged")
        if status == 0:
            return Failure("died", "the Python process ended (exit) while this was judged")
        return Failure("died", f"the Python process gave no answer while this was judged ({error})")

    def _failure(self, error: Violation | StudentError, case: Any) -> Failure:
        inputs = case.shown()
        if isinstance(error, Violation):
            return Failure("violation", error.message, tuple({**inputs, **error.shown}.items()))
        if error.type_name == "NotDefined":
            return Failure("undefined", error.message)
        if error.type_name == "Unfit":
            return Failure("violation", error.message, tuple(inputs.items()))
        message = f"your code raised {error}"
        if error.places and error.places[-1].cell == 0:
            message = f"the provided `{error.places[-1].function}`, run with your class, raised {error}"
        shown = dict(inputs)
        for place in error.places[-3:]:
            if place.cell == 0:
                shown[f"provided code, in {place.function}"] = place.text
                continue
            number = self.session.cell_of_execution.get(place.cell, place.cell)
            shown[f"code cell {number}, line {place.line}, in {place.function}"] = place.text
        return Failure(f"raised {error.type_name}", message, tuple(shown.items()))


class _SharedChild:
    """A child of the kernel that properties share as long as they hold; a new one is forked after a failure."""

    def __init__(self, session: Kernel) -> None:
        self._session = session
        self._stack = contextlib.ExitStack()
        self._channel: PropertyChannel | None = None

    @property
    def is_in_use(self) -> bool:
        """Whether there is a child, in which something was done already."""
        return self._channel is not None

    def channel(self, world: dict[str, Any]) -> PropertyChannel:
        """The channel to the child, which enters ``world`` and is forked if there is none."""
        if self._channel is None:
            self._channel = self._stack.enter_context(self._session.property(world))
        self._channel.connection.enter(world)
        return self._channel

    def give_up(self) -> None:
        """End the child; the next one is forked when it is needed."""
        self._channel = None
        self._stack.close()


@functools.lru_cache(maxsize=8)
def provided_methods(
    template: Template, wanted: tuple[tuple[str, str], ...]
) -> dict[str, list[tuple[str, str, str]]]:
    """Methods, named by ``wanted``, that the template provides within a class that students write, in place of theirs.

    Gives (class, method, source) by the class's name.
    """
    found: dict[str, list[tuple[str, str, str]]] = {}
    for cell in template.cells:
        for owner, method in wanted:
            if f"class {owner}" not in cell.source:
                continue
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.ClassDef) and node.name == owner:
                    sources = [
                        template.with_imports(ast.unparse(part))
                        for part in node.body
                        if isinstance(part, ast.FunctionDef) and part.name == method
                    ]
                    found[owner] = [(owner, method, source) for source in sources]
    return found


def _uninterpretable(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"[:300]
    return f"your code returned a value the grader cannot interpret ({text})"


class _Trial:
    """A property's program for one case, run to its first question, with the comparisons that it makes."""

    def __init__(self, number: int, prop: Property, case: Any, seed: int, budget: Budget) -> None:
        self.number, self.prop, self.case = number, prop, case
        self.tally = Tally()
        self.is_over = False
        self._budget = budget
        student = Student(seed)
        self._recording = recording_of(student)
        self._program = prop.program(student, case)
        with budget.clock(), counted_by(self.tally):
            self._wanted = next(self._program)

    @property
    def row(self) -> tuple[int, Recording, Any]:
        """What to send to the kernel: whose it is, the calls, and what the program wants to know of them."""
        return self.number, self._recording, self._wanted

    def tell(self, answer: Any) -> None:
        """Give the program its answer, or raise in it what the student's code raised, and take its next question.

        An answer that a property stumbles over is a wrong one, whoever made it.
        """
        program = self._program
        try:
            with self._budget.clock(), counted_by(self.tally):
                self._wanted = (
                    program.throw(answer) if isinstance(answer, StudentError) else program.send(answer)
                )
        except StopIteration:
            self.is_over = True
        except (Violation, StoodBack, StudentError, *GRADERS_OWN):
            self.is_over = True
            raise
        except Exception as error:
            self.is_over = True
            raise Violation(_uninterpretable(error)) from error


def trial_seed(prop: Property, seed: bytes) -> int:
    """The seed of the kernel's random state in a property's trials."""
    return int.from_bytes(hashlib.sha256(seed + b"/trial/" + prop.name.encode()).digest()[:4], "big")


@functools.lru_cache(maxsize=512)
def cases_for(prop: Property, seed: bytes) -> tuple[Any, ...]:
    """A property's cases for an assignment seed, drawn once a process: the simplest, and others drawn apart from each other.

    Of many that are drawn at once, hypothesis makes half by changing earlier ones a little, which shows less.
    """
    cases: list[Any] = []

    def record(case: Any) -> bool:
        drawn.append(case)
        return False

    for number in range(prop.examples):
        drawn: list[Any] = []
        with contextlib.suppress(NoSuchExample, Unsatisfiable):
            strategy, chance = prop.strategy_for(number), _random(prop, seed, number)
            find(strategy, record, settings=_settings(2, Phase.generate), random=chance)
        cases += drawn[-1:] if number else drawn[:1]
    return tuple(cases)


def _random(prop: Property, seed: bytes, number: int = 0) -> random.Random:
    return random.Random(hashlib.sha256(seed + b"/case/%d/" % number + prop.name.encode()).digest())


def _settings(examples: int, *phases: Phase) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=examples,
        phases=phases,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
