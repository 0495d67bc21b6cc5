"""What the judge may spend on a property: a clock that stops loops, and a bound on memory."""

from __future__ import annotations

import itertools
import sys
import threading
import time

import numpy as np
import pytest

from grader.homework3 import oracles
from grader.judging import budget as budgets
from grader.judging import expect
from grader.judging.budget import Budget, Spent


def test_the_clock_stops_a_loop_that_never_looks_at_it() -> None:
    budget = Budget(seconds=0.1)
    started = time.process_time()
    with pytest.raises(Spent, match=r"0\.1 s"), budget.clock():
        for _ in itertools.count():
            pass
    assert time.process_time() - started < 5
    with pytest.raises(Spent), budget.clock():
        pytest.fail("nothing is run once the time is used up")


def test_the_clock_stops_comparisons_in_any_thread() -> None:
    ends: list[str] = []

    def loop() -> None:
        try:
            with Budget(seconds=0.1).clock():
                while True:
                    expect.compared()
        except Spent:
            ends.append("spent")

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    thread.join(30)
    assert ends == ["spent"]


def test_readings_of_many_weights_are_stopped() -> None:
    weights = {f"w{n}": np.ones((4, 6)) for n in range(3000)} | {f"b{n}": np.ones(4) for n in range(3000)}
    with pytest.raises(Spent), Budget(seconds=0.2).clock():
        sum(1 for _ in itertools.chain.from_iterable(oracles.maps(weights, 4, 6) for _ in range(100)))


def test_time_adds_up_and_costs_nothing_outside() -> None:
    budget = Budget(seconds=60)
    for _ in range(3):
        with budget.clock():
            sum(range(100_000))
    left = budget.left
    assert 0 < left < 60
    sum(range(1_000_000))
    budgets.check()
    assert budget.left == left


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory is in use")
def test_memory_is_bounded_within_and_free_again_after() -> None:
    with Budget(memory=64 << 20).memory():
        np.ones(1 << 20)
        with pytest.raises(MemoryError):
            np.ones(1 << 26)
    assert np.ones(1 << 26).size == 1 << 26
