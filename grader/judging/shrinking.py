"""Looks for the smallest case that fails, by hypothesis' rules.

Which case hypothesis tries next depends on the seed and on which of the cases before failed, and on nothing else. So what it
has tried once is kept, as a tree with a branch for each of the two outcomes. A submission that fails like an earlier one is
asked about the same cases without hypothesis. What is kept are inputs that the judge has made, never anything of a submission,
so no result depends on what was judged before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import Phase, find
from hypothesis.errors import NoSuchExample, Unsatisfiable

from grader.judging.cases import ASKING, random_for, settings_for
from grader.judging.property import Property

MOST_BYTES = 16 << 20
"""Of what a process keeps of cases; hypothesis is asked again for what goes beyond."""
STEP_BYTES = 2000
"""What a case takes beside its tensors, about."""


@dataclass(slots=True)
class _Step:
    """A case to try, and what comes next if it fails and if it does not: a step, `_END`, or no entry if nobody knows yet."""

    case: Any = None
    then: dict[bool, _Step] = field(default_factory=dict)


class _Enough(BaseException):
    """Ends hypothesis' search: it takes any `Exception` for a failure that it goes on to shrink."""


class Shrinker:
    """Searches for small cases, and keeps which ones are tried after which."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._starts: dict[tuple[Property, bytes, int], _Step] = {}
        self._smallest: dict[tuple[Property, bytes], Any] = {}
        self._left = most_bytes

    def smallest(self, prop: Property, seed: bytes) -> Any:
        """Of the cases that hypothesis tries if each one fails, the last of those with the least to read."""
        if (prop, seed) not in self._smallest:
            tried: list[Any] = []

            def fails(case: Any) -> bool:
                tried.append(case)
                return True

            settings, chance = settings_for(2, Phase.generate, Phase.shrink), random_for(prop, seed)
            with ASKING:
                find(prop.strategy_for(0), fails, settings=settings, random=chance)
            self._smallest[prop, seed] = min(reversed(tried), key=_to_read)
        return self._smallest[prop, seed]

    def search(
        self, prop: Property, seed: bytes, number: int, fails: Callable[[Any], bool], most: int
    ) -> None:
        """Call ``fails`` with the case that has a number, then with smaller ones, ``most`` times at most.

        Passes on what ``fails`` raises, or what hypothesis makes of it.
        """
        start = self._starts.setdefault((prop, seed, number), _Step())
        step, outcome, known = start, True, list[bool | Exception]()
        while len(known) < most and outcome in step.then:
            step = step.then[outcome]
            if step is _END:
                return
            try:
                outcome = fails(step.case)
            except Exception as error:
                # What hypothesis does next depends on the exception itself.
                known.append(error)
                break
            known.append(outcome)
        if len(known) >= most and known and not isinstance(known[-1], Exception):
            return
        self._ask_hypothesis(prop, seed, number, _Replay(self, step, known, fails, most))

    def _ask_hypothesis(self, prop: Property, seed: bytes, number: int, replay: _Replay) -> None:
        try:
            with ASKING:
                find(
                    prop.strategy_for(number),
                    replay.fails,
                    settings=settings_for(2, Phase.generate, Phase.shrink),
                    random=random_for(prop, seed, number),
                )
        except _Enough:
            return
        except (NoSuchExample, Unsatisfiable):
            pass
        replay.end()

    def keep(self, before: _Step, outcome: bool, case: Any) -> _Step | None:
        """Note that a case comes next; None if there is no room for it."""
        size = STEP_BYTES + _bytes_of(case)
        if size > self._left:
            return None
        self._left -= size
        before.then[outcome] = step = _Step(case)
        return step


class _Replay:
    """Answers hypothesis what is known already, then asks, and notes what it tries beyond."""

    def __init__(
        self,
        shrinker: Shrinker,
        step: _Step,
        known: list[bool | Exception],
        fails: Callable[[Any], bool],
        most: int,
    ) -> None:
        self._shrinker, self._known, self._asked, self._most = shrinker, known, fails, most
        self._step: _Step | None = step
        self._calls, self._has_raised = 0, False

    def fails(self, case: Any) -> bool:
        """The predicate that hypothesis gets."""
        self._calls += 1
        if self._calls <= len(self._known):
            outcome = self._known[self._calls - 1]
            if isinstance(outcome, Exception):
                self._step, self._has_raised = None, True
                raise outcome
            return outcome
        if self._calls > self._most:
            if self._has_raised:
                return False
            self._step = None
            raise _Enough
        if self._step is not None:
            before = self._known[-1] if self._known else True
            self._step = self._shrinker.keep(self._step, bool(before), case)
        try:
            outcome = self._asked(case)
        except Exception:
            self._step, self._has_raised = None, True
            self._known.append(False)
            raise
        self._known.append(outcome)
        return outcome

    def end(self) -> None:
        """Note that hypothesis tries nothing after the last case."""
        if self._step is not None and self._known:
            self._step.then[bool(self._known[-1])] = _END


_END = _Step()
shrinker = Shrinker()
"""What this process has learned; processes forked from it have that too."""


def _to_read(case: Any) -> int:
    return sum(map(len, case.shown().values()))


def _bytes_of(value: Any, depth: int = 4) -> int:
    """What the tensors and texts of a case take."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, str | bytes):
        return len(value)
    inner = list(vars(value).values()) if hasattr(value, "__dict__") else []
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, tuple | list):
        inner = list(value)
    return sum(_bytes_of(item, depth - 1) for item in inner) if depth else 0
