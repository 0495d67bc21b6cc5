"""The cases of several properties share frames in an order that the seed decides, so that no call tells what it is for."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from grader.audit.fast import FastKernel
from grader.judging import expect
from grader.judging.cases import trial_seed
from grader.judging.engine import Engine
from grader.judging.property import Part, Property, property_of
from grader.kernel.channel import PropertyChannel
from tests.judging.test_evidence import NUMBERS, SEED

CELLS = (
    """
import os
import torch

class Doubler:
    def __call__(self, x):
        return 2 * x

class Picky:
    def __call__(self, x):
        if x.sum() < 0:
            os._exit(3)
        return 2 * x

class Tired:
    calls = 0

    def __call__(self, x):
        Tired.calls += 1
        return (2 if Tired.calls < 20 else 3) * x

class Unfinished:
    def __call__(self, x):
        raise NotImplementedError("to do")
""",
)


@pytest.fixture(scope="module")
def kernel() -> Iterator[FastKernel]:
    with FastKernel(CELLS) as kernel:
        yield kernel


def properties(count: int, name: str = "Doubler", wrong: int | None = None, crashes: int | None = None) -> list[Property]:
    def made(number: int) -> Property:
        def program(student, case):
            x = -case.x if number == crashes else case.x
            value = yield getattr(student, name)()(x)
            expect.close(value, (3.0 if number == wrong else 2.0) * x, "y", "y is not what it has to be")

        program.__name__ = f"test_{number}"
        program.__doc__ = "A property of the tests."
        return property_of(Part("9a", name, family=name), NUMBERS, examples=6)(program).prop

    return [made(number) for number in range(count)]


class Watched:
    """A kernel that notes the seeds of the trials in each frame."""

    def __init__(self, kernel: FastKernel) -> None:
        self._kernel = kernel
        self.frames: list[list[int]] = []
        self.children = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernel, name)

    @contextlib.contextmanager
    def property(self, world: dict[str, Any]) -> Iterator[PropertyChannel]:
        self.children += 1
        with self._kernel.property(world) as channel:
            run = channel.connection.run

            def watched(trials, **options):
                self.frames.append([recording.seed for _, recording, _ in trials])
                return run(trials, **options)

            channel.connection.run = watched
            yield channel


def test_the_cases_of_several_properties_are_mixed(kernel):
    given, watched = properties(4), Watched(kernel)
    with Engine(watched, SEED) as engine:
        found = engine.judge(given)
    assert {verdict.status for verdict in found.values()} == {"passed"}
    owner = {trial_seed(one, SEED) + n: one.name for one in given for n in range(6)}
    (frame,) = watched.frames
    names = [owner[seed] for seed in frame]
    assert sorted(names) == sorted(owner.values())
    changes = sum(one != other for one, other in itertools.pairwise(names))
    assert changes > 8, "they do not stand side by side"


def test_the_order_depends_on_the_seed_alone(kernel):
    given, watched = properties(4), Watched(kernel)
    for order, seed in ((given, SEED), (given[::-1], SEED), (given, b"another seed")):
        with Engine(watched, seed) as engine:
            engine.judge(order)
    first, again, other = watched.frames
    assert first == again
    numbers = [sorted(frame) for frame in (first, other)]
    assert [numbers[0].index(seed) for seed in first] != [numbers[1].index(seed) for seed in other]


@pytest.mark.parametrize("number", range(4))
def test_a_property_that_fails_among_others_fails_alone(kernel, number):
    with Engine(kernel, SEED) as engine:
        found = engine.judge(properties(4, wrong=number))
    failed = [name for name, verdict in found.items() if verdict.status == "failed"]
    assert [name.rpartition(".")[2] for name in failed] == [f"test_{number}"]
    assert all(verdict.status == "passed" for name, verdict in found.items() if name not in failed)


def test_a_property_that_fails_takes_one_more_child(kernel):
    watched = Watched(kernel)
    with Engine(watched, SEED) as engine:
        engine.judge(properties(4, wrong=2))
    assert watched.children == 2


def test_properties_of_a_function_that_can_only_raise_share_one_more_child(kernel):
    given, watched = properties(4, "Unfinished"), Watched(kernel)
    line = CELLS[0].splitlines().index('        raise NotImplementedError("to do")') + 1
    with Engine(watched, SEED, can_only_raise=lambda place: place.line == line) as engine:
        sharing = engine.judge(given)
    assert watched.children == 2
    with Engine(watched, SEED) as engine:
        alone = engine.judge(given)
    assert watched.children == 2 + 5
    assert sharing == alone
    assert {verdict.status for verdict in alone.values()} == {"failed"}


def test_what_fails_only_after_other_properties_holds(kernel):
    watched = Watched(kernel)
    with Engine(watched, SEED) as engine:
        found = engine.judge(properties(4, "Tired"))
    assert len(watched.frames[0]) == 24, "together they call it more than 20 times"
    assert [verdict.status for verdict in found.values()] == ["passed"] * 4


def test_the_case_that_fails_first_among_others_is_where_shrinking_begins(kernel):
    """So a counterexample is the same whether a property is judged among others or alone."""
    given = properties(4, wrong=1)
    with Engine(kernel, SEED) as engine:
        together = engine.judge(given)
    with Engine(kernel, SEED) as engine:
        engine._held_together = lambda properties: (set(), {})
        alone = engine.judge(given)
    assert together == alone


def test_a_property_that_crashes_among_others_fails_alone(kernel):
    with Engine(kernel, SEED) as engine:
        found = engine.judge(properties(4, "Picky", crashes=2))
    assert {name.rpartition(".")[2]: verdict.status for name, verdict in found.items()} == {
        "test_0": "passed", "test_1": "passed", "test_2": "failed", "test_3": "passed",
    }  # fmt: skip


def test_a_property_that_stands_back_says_the_same_as_when_judged_alone(kernel):
    def stands_back_once(student, case):
        value = yield student.Doubler()(case.x)
        if case.value <= 1:
            expect.stand_back("other.test_it", "it is small")
        expect.close(value, 2.0 * case.x, "y", "y is not 2 x")

    stands_back_once.__doc__ = "A property of the tests."
    given = [*properties(2), property_of(Part("9a", "Doubler"), NUMBERS, examples=6)(stands_back_once).prop]
    with Engine(kernel, SEED) as engine:
        together = engine.judge(given)
    with Engine(kernel, SEED) as engine:
        alone = engine.judge(given[2:])
    assert together[given[2].name] == alone[given[2].name]
    assert [together[one.name].status for one in given[:2]] == ["passed", "passed"]
