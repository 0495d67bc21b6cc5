"""Draws the cases of a property. One seed gives the same cases for every submission, on any machine."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import random
import threading
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, find
from hypothesis.errors import Flaky, NoSuchExample, Unsatisfiable

from grader.judging.property import Property
from grader.judging.reproducible import make_reproducible

make_reproducible()
ASKING = threading.RLock()
"""Held while hypothesis draws or shrinks: it saves and restores the random state of the process."""

ATTEMPTS = 5
"""How often a case is drawn, if other threads disturb it."""


def trial_seed(prop: Property, seed: bytes) -> int:
    """The seed of the kernel's random state in a property's trials."""
    return int.from_bytes(hashlib.sha256(seed + b"/trial/" + prop.name.encode()).digest()[:4], "big")


_given: dict[tuple[Property, bytes], tuple[Any, ...]] = {}


def keep(prop: Property, seed: bytes, cases: tuple[Any, ...]) -> None:
    """Take over the cases that another process has drawn."""
    _given[prop, seed] = cases
    cases_for(prop, seed)
    _given.pop((prop, seed), None)


@functools.lru_cache(maxsize=512)
def cases_for(prop: Property, seed: bytes) -> tuple[Any, ...]:
    """A property's cases for an assignment seed: the simplest one, and others. Each process draws them once.

    Each case is drawn by itself. If many are drawn at once, hypothesis makes half of them by changing earlier ones a little,
    which tests less.
    """
    if (prop, seed) in _given:
        return _given[prop, seed]
    cases: list[Any] = []
    for number in range(prop.examples):
        drawn = _drawn(prop, seed, number)
        cases += drawn[-1:] if number else drawn[:1]
    return tuple(cases)


def _drawn(prop: Property, seed: bytes, number: int) -> list[Any]:
    """What hypothesis draws for the case with this number: the simplest case and another one, if there are two.

    Where another thread builds syntax trees meanwhile, hypothesis may fail as it reads code (see `tree_of`) and not when it
    tries again, which it calls flaky. The same random state gives the same cases again.
    """
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(SystemError, Flaky):
            return _drawn_once(prop, seed, number)
    return _drawn_once(prop, seed, number)


def _drawn_once(prop: Property, seed: bytes, number: int) -> list[Any]:
    drawn: list[Any] = []

    def record(case: Any) -> bool:
        drawn.append(case)
        return False

    with ASKING, contextlib.suppress(NoSuchExample, Unsatisfiable):
        strategy, chance = prop.strategy_for(number), random_for(prop, seed, number)
        find(strategy, record, settings=settings_for(2, Phase.generate), random=chance)
    return drawn


def random_for(prop: Property, seed: bytes, number: int = 0) -> random.Random:
    """The random state from which hypothesis draws the case with this number."""
    return random.Random(hashlib.sha256(seed + b"/case/%d/" % number + prop.name.encode()).digest())


def settings_for(examples: int, *phases: Phase) -> hypothesis.settings:
    """Settings under which hypothesis neither stores anything nor complains about time."""
    return hypothesis.settings(
        max_examples=examples,
        phases=phases,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
