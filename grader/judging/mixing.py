"""Runs the cases of several properties in the same frames, in an order that the seed decides.

A submission that could tell which property a call belongs to could answer each one differently.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from grader.judging.budget import Budget, Spent
from grader.judging.cases import cases_for, trial_seed
from grader.judging.children import Kernel
from grader.judging.expect import StoodBack, Violation
from grader.judging.failures import Failure, failure_of
from grader.judging.property import Property
from grader.judging.trial import Trial
from grader.kernel.remote import Connection, StudentError

MIXED_TIME = 0.25
"""Their share of the time of one property. Submissions that are slower are judged one property at a time."""
NumberedFailure = tuple[int, Failure]
"""How a property fails, and the number of the case that does."""


class Mixed:
    """The cases of properties of one part.

    Args:
        properties: whose cases share frames.
        session: the kernel.
        seed: the assignment's seed.
        new_budget: makes the budget of one property.
    """

    def __init__(
        self,
        properties: Sequence[Property],
        session: Kernel,
        seed: bytes,
        new_budget: Callable[[], Budget],
    ) -> None:
        self._properties, self._session, self._seed = properties, session, seed
        self._failed: dict[str, NumberedFailure] = {}
        self._given_up: set[str] = set()
        self._stood_back: set[str] = set()
        self._trials: list[Trial] = []
        self._number_of: dict[int, int] = {}
        for prop in properties:
            budget = new_budget()
            for number, case in enumerate(cases_for(prop, seed)):
                self._number_of[len(self._trials)] = number
                of_trial = trial_seed(prop, seed) + number
                self._trials.append(Trial(len(self._trials), prop, case, of_trial, budget))

    def run(self, connection: Connection) -> tuple[set[str], dict[str, NumberedFailure]]:
        """Run all cases. Returns the names of the properties that hold, and the first failing case of those that fail.

        Raises `NoReply` if the kernel does not answer.
        """
        connection.begin(self._session.limits.property * MIXED_TIME)
        names = tuple(prop.name for prop in self._properties)
        running = list(self._trials)
        random.Random(self._seed + repr(names).encode()).shuffle(running)
        same: tuple[Any, ...] | None = ("mixed", names, self._seed)
        while running:
            answers = connection.run([trial.row for trial in running], stop=False, same=same)
            same = None
            for trial, answer in zip(running, answers, strict=True):
                if self._matters(trial):
                    self._tell(trial, answer)
            running = [trial for trial in running if self._matters(trial)]
        compared = Counter(trial.prop.name for trial in self._trials if trial.tally.made)
        others = {*self._given_up, *self._stood_back, *self._failed}
        held = {
            prop.name
            for prop in self._properties
            if prop.name not in others and 2 * compared[prop.name] > len(cases_for(prop, self._seed))
        }
        return held, self._failed

    def _matters(self, trial: Trial) -> bool:
        """Whether a case goes on: after one that fails, only those before it do."""
        name = trial.prop.name
        is_later = name in self._failed and self._failed[name][0] < self._number_of[trial.number]
        return not trial.is_over and name not in self._given_up and not is_later

    def _tell(self, trial: Trial, answer: Any) -> None:
        name = trial.prop.name
        try:
            trial.tell(answer)
        except StoodBack:
            self._stood_back.add(name)
        except (Violation, StudentError) as error:
            self._failed[name] = self._number_of[trial.number], failure_of(error, trial.case, self._session)
        except (Exception, Spent):
            # Judged by itself, the property tells whose fault that is.
            self._given_up.add(name)
            self._failed.pop(name, None)
