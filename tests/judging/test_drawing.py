"""Cases that a fork of the judge draws: they are those that the judge would draw, and it draws what the fork does not."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from grader.assignment import Assignment
from grader.judging import cases, drawing
from grader.judging.drawing import Drawing, Helper, by_item
from grader.judging.property import Property
from grader.kernel.warm import can_fork

pytestmark = pytest.mark.skipif(not can_fork(), reason="needs fork")
SEED = b"drawn in two processes"


@pytest.fixture
def properties(assignment: Assignment) -> Iterator[dict[str, list[Property]]]:
    cases.cases_for.cache_clear()
    yield {item: own for item, own in by_item(assignment.properties).items() if item in ("3a", "4d")}
    cases.cases_for.cache_clear()


def drawn_here(properties: dict[str, list[Property]]) -> dict[str, str]:
    return {prop.name: repr(cases.cases_for(prop, SEED)) for own in properties.values() for prop in own}


def test_they_are_those_that_the_judge_would_draw(
    properties: dict[str, list[Property]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = drawn_here(properties)
    cases.cases_for.cache_clear()
    helper = Helper(properties, SEED)
    monkeypatch.setattr(cases, "_drawn", None)  # so none is drawn here
    with Drawing(properties, SEED, helper) as given:
        for item in properties:
            given.wait_for(item)
        assert drawn_here(properties) == expected


def test_without_the_helper_they_are_drawn_here(properties: dict[str, list[Property]]) -> None:
    helper = Helper(properties, SEED)
    os.kill(helper.pid, signal.SIGKILL)
    with Drawing(properties, SEED, helper) as given:
        for item in properties:
            given.wait_for(item)
    assert all(drawn_here(properties).values())


def test_what_goes_wrong_there_is_reported_here(
    properties: dict[str, list[Property]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise ArithmeticError(f"nothing to draw from in {os.getpid()}")

    monkeypatch.setattr(drawing, "cases_for", refuse)
    helper = Helper(properties, SEED)
    with Drawing(properties, SEED, helper) as given, pytest.raises(ArithmeticError, match=f"in {os.getpid()}"):
        given.wait_for("3a")


def test_nothing_is_left_of_it(properties: dict[str, list[Property]]) -> None:
    before = threading.active_count()
    helper = Helper(properties, SEED)
    pid = helper.pid
    with Drawing(properties, SEED, helper):
        pass
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert threading.active_count() == before
    assert helper.next() is None


def test_it_ends_by_itself(properties: dict[str, list[Property]]) -> None:
    helper = Helper(properties, SEED)
    while helper.next() is not None:
        pass
    assert os.waitpid(helper.pid, 0) == (helper.pid, 0)
    helper.pid = 0


def test_ctrl_c_does_not_reach_it(properties: dict[str, list[Property]]) -> None:
    helper = Helper(properties, SEED)
    first = helper.next()
    os.kill(helper.pid, signal.SIGINT)
    count = 1 + sum(1 for _ in iter(helper.next, None))
    assert first is not None and count == sum(map(len, properties.values()))
    helper.end()


def test_a_warm_up_comes_first(properties: dict[str, list[Property]]) -> None:
    order: list[str] = []
    with Drawing(properties, SEED, warm_up=lambda: order.append("warm")) as given:
        given.wait_for("3a")
    assert order == ["warm"]
