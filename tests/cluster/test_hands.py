"""Who of the workers grades what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grader.assignment import Assignment
from grader.batch.jobs import Job
from grader.batch.pool import Lost
from grader.cluster.hands import MOST_DEATHS, Attempt, Desk, Hand
from grader.training.plan import Device, Options, plan


def attempt(name: str, training: Any = None) -> Attempt:
    return Attempt(Job(Path(name), name, b"", None, 1.0, name, training))


def desk_of(*hands: Hand) -> Desk:
    desk = Desk()
    desk.hands = {hand.address: hand for hand in hands}
    return desk


def hand(address: str, threads: int = 1, gpus: float = 0.0, **facts: Any) -> Hand:
    return Hand(address, "accepted", address, threads, gpus, **facts)


def hand_out(desk: Desk) -> list[tuple[str, str]]:
    given = []
    for number, (one, what) in enumerate(desk.handed_out(), 100 * len(desk.waiting)):
        one.tasks[number] = (what, None)
        given.append((one.address, what.job.label))
    return given


def test_each_worker_gets_what_it_has_threads_for() -> None:
    desk = desk_of(hand("a"), hand("b", 2), Hand("c"), Hand("d", "refused"))
    desk.waiting.extend(attempt(name) for name in "123456")
    assert sorted(who for who, _ in hand_out(desk)) == ["a", "b", "b"]
    assert [one.job.label for one in desk.waiting] == list("456")
    assert hand_out(desk) == []


def test_what_a_dead_worker_had_is_tried_again_alone() -> None:
    first, second = hand("a", 2), hand("b", 2)
    desk = desk_of(first, second)
    desk.waiting.extend(attempt(name) for name in "12345678")
    hand_out(desk)
    lost = desk.buried(first)
    assert len(lost) == 2 and first.gone
    assert [desk.after_death(one, "a") for one in lost] == [None, None]
    assert hand_out(desk) == [], "nothing new begins on a worker that a suspect waits for"
    second.tasks.clear()
    ((who, what),) = hand_out(desk)
    assert (who, what) == ("b", lost[0].job.label)
    assert hand_out(desk) == [], "nothing runs beside a suspect"
    second.tasks.clear()
    assert hand_out(desk) == [("b", lost[1].job.label)]


def test_the_third_death_sets_a_submission_aside() -> None:
    desk, one = desk_of(), attempt("evil")
    assert desk.after_death(one, "a") is None and desk.after_death(one, "b") is None
    lost = desk.after_death(one, "c")
    assert isinstance(lost, Lost) and lost.reason == "kills workers: a, b, c died while grading it"


def test_deaths_of_workers_that_die_without_it_are_not_a_submissions_fault() -> None:
    desk, one, other = desk_of(), attempt("fine"), attempt("other")
    for number in range(MOST_DEATHS):
        for what in (other, one):
            worker = hand(f"address {2 * number + (what is one)}")
            worker.name = "shaky"
            desk.hands[worker.address] = worker
            worker.tasks[0] = (what, None)
            assert desk.buried(worker) == [what]
        lost = desk.after_death(one, worker.name_or_address)
        assert (lost is None) == (number < MOST_DEATHS - 1), "but it is not tried forever"


@pytest.fixture
def trainee(assignment: Assignment) -> Any:
    def make(name: str, device: Device) -> Attempt:
        options = Options("always", device=device)
        check = assignment.homework.training
        return attempt(name, plan(check, Path(name), assignment.rubric, options))

    return make


def test_models_train_where_gpus_are_three_at_a_time_and_properties_elsewhere(trainee: Any) -> None:
    desk = desk_of(hand("gpu", 8, 1.0), hand("two", 8, 2.0), hand("cpu", 2))
    desk.waiting.extend(trainee(str(number), "cuda") for number in range(12))
    given = [who for who, _ in hand_out(desk)]
    assert (given.count("gpu"), given.count("two"), given.count("cpu")) == (3, 6, 0)
    desk = desk_of(hand("gpu", 8, 1.0), hand("cpu", 2))
    desk.waiting.extend(attempt(name) for name in "123456")
    assert {who for who, _ in hand_out(desk)} == {"cpu"}
    desk = desk_of(hand("gpu", 2, 1.0))
    desk.waiting.extend(attempt(name) for name in "123")
    assert len(hand_out(desk)) == 2, "where there are GPUs only, they judge properties, too"
    desk = desk_of(hand("gpu", 2, 1.0), Hand("asked"))
    desk.waiting.extend(attempt(name) for name in "123")
    assert hand_out(desk) == [], "a worker that has not answered yet may have no GPU"


def test_a_small_part_of_a_gpu_trains_one(trainee: Any) -> None:
    desk = desk_of(hand("gpu", 8, 0.34))
    desk.waiting.extend(trainee(name, "cuda") for name in "12")
    assert len(hand_out(desk)) == 1


def test_without_gpus_cores_decide(trainee: Any) -> None:
    desk = desk_of(hand("big", 16, cores=16), hand("small", 2, cores=2))
    desk.waiting.extend(trainee(str(number), "cpu") for number in range(12))
    given = [who for who, _ in hand_out(desk)]
    assert (given.count("big"), given.count("small")) == (4, 1)
