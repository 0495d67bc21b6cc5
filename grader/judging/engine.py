"""Judges one submission by properties.

All cases of a property run in lockstep, one frame a round. hypothesis is used only to draw them, once for a seed, and to
shrink a failure. `cases` draws, `trial` runs one case, `failures` says what went wrong, `stages` what a part is judged with.
"""

from __future__ import annotations

import contextlib
import itertools
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from grader.errors import KernelError, host_error
from grader.homework import Homework, load_homework
from grader.judging.budget import Budget, Spent
from grader.judging.cases import cases_for, trial_seed
from grader.judging.children import Kernel, SharedChild
from grader.judging.expect import StoodBack, Violation
from grader.judging.explain import explain
from grader.judging.failures import (
    GRADERS_OWN,
    NOTHING_COMPARED,
    Failure,
    Outcome,
    Unreached,
    failure_of,
    silence_of,
    uninterpretable,
)
from grader.judging.mixing import Mixed, NumberedFailure
from grader.judging.property import Part, Property
from grader.judging.shrinking import shrinker
from grader.judging.stages import Stages
from grader.judging.trial import Trial
from grader.kernel.remote import (
    Connection,
    NoReply,
    PropertyChannel,
    StudentError,
)
from grader.kernel.stage import Stage
from grader.scoring.record import CodeLine
from grader.scoring.verdict import Verdict, VerdictStatus

SHRINK_CALLS = 120
MIXED_PROPERTIES = 12
"""How many properties share frames."""


class Engine:
    """Judges the parts of one submission. Use as a context manager; leaving it ends the child that properties share.

    Args:
        session: the kernel, after its cells have run.
        seed: the assignment's seed; the same seed gives the same cases for every submission.
        provided: methods of the template that take the place of the student's, by part name.
        shrink_calls: how many cases may be tried to make a counterexample smaller.
        homework: its stand-ins replace what a part builds on; by default the one that `load_homework` finds.
        budget: makes the budget of one property.
        can_only_raise: whether a function of the notebook that ends at a line never returns.
    """

    def __init__(
        self,
        session: Kernel,
        seed: bytes,
        provided: dict[str, list[tuple[str, str, str]]] | None = None,
        shrink_calls: int = SHRINK_CALLS,
        homework: Homework | None = None,
        budget: Callable[[], Budget] = Budget,
        can_only_raise: Callable[[CodeLine], bool] = lambda line: False,
    ) -> None:
        self.session, self.seed, self.shrink_calls = session, seed, shrink_calls
        self._shared, self._of_unfinished = SharedChild(session), SharedChild(session)
        self._can_only_raise = can_only_raise
        source = (homework or load_homework()).stand_in_source
        self._stages = Stages(self._shared, source, provided or {})
        self._new_budget = budget
        self._budget = budget()
        self._answered = False

    @property
    def notes(self) -> dict[str, str]:
        """By item, what a person should know about how it was judged."""
        return self._stages.notes

    def applies(self, prop: Property) -> bool:
        """Whether a property is about the way in which the student built its part."""
        return self._stages.applies(prop)

    def is_judged_whole(self, part: Part) -> bool:
        """Whether a part is judged with the student's own classes rather than with stand-ins."""
        return self._stages.is_judged_whole(part)

    def __enter__(self) -> Engine:
        """Nothing to do: a child is forked when it is needed."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the shared children."""
        self._shared.give_up()
        self._of_unfinished.give_up()

    def judge(
        self, properties: Iterable[Property], progress: Callable[[Property], None] = lambda prop: None
    ) -> dict[str, Verdict]:
        """A verdict for each property, by its name.

        The properties of a part share a child of the kernel, and their cases share frames, in an order that the seed decides: a
        submission that could tell which property a call belongs to could answer each one differently. A property that fails
        there is judged again in a child of its own, and that verdict counts: by the case that failed, and if that holds there,
        by all. Those that fail because a function can only raise an exception share one child, as nothing else can change that.
        """
        verdicts: dict[str, Verdict] = {}
        by_part = sorted(properties, key=lambda prop: (prop.part.item, prop.part.name, trial_seed(prop, self.seed)))
        for _, group in itertools.groupby(by_part, key=lambda prop: prop.part):
            self.session.begin_part()
            # Properties report infinite values and NaN in an answer themselves, so numpy need not warn of them.
            with np.errstate(all="ignore"):
                ours = list(group)
                applying = [prop for prop in ours if self.applies(prop)]
                verdicts |= {prop.name: Verdict(prop.name, "inapplicable") for prop in ours if prop not in applying}
                held, failed = self._held_together(applying)
                for prop in applying:
                    progress(prop)
                    passed = Verdict(prop.name, "passed", title=prop.title)
                    verdicts[prop.name] = (
                        passed if prop.name in held else self._verdict(prop, failed.get(prop.name))
                    )
            self._of_unfinished.give_up()
        return verdicts

    def _held_together(self, properties: Sequence[Property]) -> tuple[set[str], dict[str, NumberedFailure]]:
        """Names of the properties of a part that hold when their cases are mixed, and the first failing case of others.

        All that do not hold are then judged one by one.
        """
        held: set[str] = set()
        failed: dict[str, NumberedFailure] = {}
        for start in range(0, len(properties), MIXED_PROPERTIES):
            chosen = properties[start : start + MIXED_PROPERTIES]
            self._budget = self._new_budget()
            try:
                with self._budget.memory():
                    channel = self._shared.channel(self._stages.of(chosen[0].part))
                    mixed = Mixed(chosen, self.session, self.seed, self._new_budget)
                    held_here, failed_here = mixed.run(channel.connection)
                held |= held_here
                failed |= failed_here
            except Exception:
                # Judged by itself, each property finds out whose fault that is.
                self._shared.give_up()
                break
        if len(held) < len(properties):
            self._shared.give_up()
        return held, failed

    def hold_once(self, prop: Property, case: Any) -> Failure | StoodBack | None:
        """Judge a property by one case, in a child of its own; raises `NoReply` if the child gives no answer."""
        self._budget = self._new_budget()
        with self.session.property(self._stages.of(prop.part)) as channel, self._budget.memory():
            return self._run_one(prop, channel.connection, 0, case, trial_seed(prop, self.seed))

    def _verdict(self, prop: Property, failed: NumberedFailure | None = None) -> Verdict:
        self._budget, self._answered = self._new_budget(), False
        found: Failure | Unreached | None
        try:
            with self._budget.memory():
                found = self._fails_again(prop, *failed) if failed else None
                found = found or self._hold(prop)
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
                return Verdict(prop.name, "failed", uninterpretable(error), title=prop.title)
            # A defect of ours is reported, never scored.
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
        return Verdict(
            prop.name,
            "failed",
            found.message,
            counterexample or None,
            title=prop.title,
            pictures=found.explanation.pictures,
            snippet=found.explanation.snippet,
            places=found.places,
        )

    def _fails_again(self, prop: Property, number: int, failure: Failure) -> Failure | None:
        """The smallest case that fails like the one that failed among other properties' cases; None if it holds on its own."""
        with contextlib.suppress(NoReply):
            return self._shrunk(
                prop, self._stages.of(prop.part), trial_seed(prop, self.seed), number, failure
            )
        return None

    def _hold(self, prop: Property) -> Failure | Unreached | None:
        """Judge a property in the shared child, if there is one. A failure counts only in a new child.

        A new child in which the property holds becomes the shared one.
        """
        cases = cases_for(prop, self.seed)
        stage = self._stages.of(prop.part)
        seed = trial_seed(prop, self.seed)
        if self._shared.is_in_use:
            with contextlib.suppress(NoReply):
                outcome = self.run_cases(prop, self._shared.channel(stage).connection)
                if outcome.is_held:
                    return outcome.unreached
            self._shared.give_up()
        channel = self._shared.channel(stage)
        try:
            found = self.run_cases(prop, channel.connection)
        except NoReply as error:
            silence = silence_of(channel, error, self.session)
            self._shared.give_up()
            return self._blame(prop, stage, cases, seed, silence)
        if found.failure is None:
            return found.unreached
        self._shared.give_up()
        number, failure = found.failure
        return self._shrunk(prop, stage, seed, number, failure) or self._repeated(
            prop, stage, cases[number], seed, failure
        )

    def run_cases(self, prop: Property, connection: Connection) -> Outcome:
        """Run all cases in lockstep, one frame a round. The first case that fails, in their order, decides."""
        cases, seed = cases_for(prop, self.seed), trial_seed(prop, self.seed)
        connection.begin()
        failures: dict[int, Failure] = {}
        stood_back: dict[int, StoodBack] = {}
        trials = [Trial(number, prop, case, seed + number, self._budget) for number, case in enumerate(cases)]
        running = list(trials)
        # Before its first answer, a program depends on nothing of the submission.
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
                    failures[trial.number] = failure_of(error, trial.case, self.session)
                    break
            first = min(failures, default=len(trials))
            running = [trial for trial in running if not trial.is_over and trial.number < first]
        if failures:
            return Outcome(failure=min(failures.items()))
        # What a case compared before it stood back counts only if it compared everything.
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
        trial = Trial(number, prop, case, seed, self._budget)
        try:
            while not trial.is_over:
                (answer,) = connection.run([trial.row], stop=True)
                self._answered = True
                trial.tell(answer)
        except StoodBack as reason:
            return reason
        except (Violation, StudentError) as error:
            return failure_of(error, case, self.session)
        return None

    @contextlib.contextmanager
    def _child_for(self, stage: Stage, failure: Failure) -> Iterator[PropertyChannel]:
        """A child to see a failure again: a new one, unless nothing that ran before can have caused it."""
        if len(failure.places) != 1 or not self._can_only_raise(failure.places[0]):
            with self.session.property(stage) as channel:
                yield channel
        else:
            channel = self._of_unfinished.channel(stage)
            channel.connection.begin()
            yield channel

    def _shrunk(
        self, prop: Property, stage: Stage, seed: int, number: int, failure: Failure
    ) -> Failure | None:
        """The smallest case with the same kind of failure, found by hypothesis; None if it does not recur.

        It starts from the case with this number, which it draws again. Where that is the simplest, the smallest of all is tried
        first, and the search ends if it fails.
        """
        smallest: tuple[Failure, Any] | None = None
        calls = 0

        def fails(case: Any) -> bool:
            nonlocal calls, smallest
            calls += 1
            found = self._run_one(prop, channel.connection, calls, case, seed)
            if not isinstance(found, Failure) or found.kind != failure.kind:
                return False
            if smallest is None or _size(found) <= _size(smallest[0]):
                smallest = found, case
            return True

        with self._child_for(stage, failure) as channel:
            try:
                is_simplest = number == 0 and self.shrink_calls > 1
                if not (is_simplest and fails(shrinker.smallest(prop, self.seed))):
                    shrinker.search(prop, self.seed, number, fails, self.shrink_calls - calls)
            except GRADERS_OWN:
                raise
            except (Exception, Spent):
                # It shrinks no further, so what was found by now stands.
                pass
            if smallest is None:
                return None
            found, case = smallest
            return self._explained(prop, channel.connection, calls + 1, case, seed, found)

    def _explained(
        self, prop: Property, connection: Connection, number: int, case: Any, seed: int, failure: Failure
    ) -> Failure:
        """The failure with its pictures and its snippet."""
        remarks = []
        if prop.part.stand_ins and not self._stages.is_judged_whole(prop.part):
            names = " and ".join(prop.part.stand_ins)
            remarks.append(f"Here your own {names} is used; the grader puts a simple one in its place.")
        explanation = explain(prop, connection, number, case, seed, self._new_budget(), remarks)
        return replace(failure, explanation=explanation)

    def _repeated(self, prop: Property, stage: Stage, case: Any, seed: int, failure: Failure) -> Failure:
        """The failure as it was found, if it recurs on its own; else a failure that is called nondeterministic."""
        with self.session.property(stage) as channel:
            try:
                again: object = self._run_one(prop, channel.connection, 0, case, seed)
            except (NoReply, Spent):
                again = failure
            if isinstance(again, Failure):
                return self._explained(prop, channel.connection, 1, case, seed, again)
        note = (
            "nondeterministic: this failed once and did not fail again for the same input and random seed. "
        )
        return Failure("nondeterministic", note + failure.message, failure.shown)

    def _blame(
        self, prop: Property, stage: Stage, cases: Sequence[Any], seed: int, silence: Failure
    ) -> Failure:
        """The first case at which the child gives no answer, run on its own, so that its inputs can be shown."""
        if silence.kind != "died":
            return silence
        with self.session.property(stage) as channel:
            for number, case in enumerate(cases):
                try:
                    self._run_one(prop, channel.connection, number, case, seed + number)
                except NoReply as error:
                    again = silence_of(channel, error, self.session)
                    return Failure(again.kind, again.message, tuple(case.shown().items()))
        return silence


def _size(failure: Failure) -> int:
    """How much there is to read of a counterexample."""
    return sum(len(text) for _, text in failure.shown)
