"""Several processes use one gradebook, and are killed at any moment: nothing is lost, doubled or given out twice."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from grader.errors import UsageError
from grader.gradebook.book import Gradebook
from grader.gradebook.events import Decision, Kind
from tests.gradebook.conftest import ITEMS, WORTH, grade, points

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")

CLASS = [f"s{number}" for number in range(40)]
KILLS = 30
GROUP = 3


def opened(folder: Path) -> Gradebook:
    return Gradebook.open(folder, ITEMS, WORTH)


def grade_all(folder: Path, who: str, start: Barrier, told: Connection) -> None:
    """Claim, grade and release until nothing is left; tells which submissions it graded."""
    graded = []
    start.wait()
    with opened(folder) as book:
        while True:
            state = book.state()
            left = [name for name in CLASS if state.grade(name, "1a") is None]
            name = book.claim(who, "1a", left, seen=state.log.last)
            if name is None:
                if not left:
                    break
                continue
            book.record(who, [grade(name, "full")])
            graded.append(name)
            book.release(who, name, "1a")
    told.send(graded)


def test_each_answer_is_graded_by_one_of_several_processes(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    start = fork.Barrier(3)
    pipes = [fork.Pipe() for _ in range(3)]
    workers = [
        fork.Process(target=grade_all, args=(tmp_path, who, start, pipe[1]))
        for who, pipe in zip(("Ada", "Bob", "Cyd"), pipes, strict=True)
    ]
    for worker in workers:
        worker.start()
    graded = [pipe[0].recv() for pipe in pipes]
    for worker in workers:
        worker.join()
    assert sorted(name for names in graded for name in names) == sorted(CLASS)
    with opened(tmp_path) as book:
        assert len(book.events()) == len(CLASS) and not book.locks()
        assert [event.id for event in book.events()] == list(range(1, len(CLASS) + 1))
        assert points(book, CLASS) == [1] * len(CLASS)


def test_threads_share_a_gradebook(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    with opened(tmp_path) as book:

        def work(who: str) -> None:
            try:
                for number in range(20):
                    book.record(who, [grade(f"{who}-{number}", "formula")])
                    assert book.state().grade(f"{who}-{number}", "1a") is not None
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(who,)) for who in ("Ada", "Bob", "Cyd")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures and len(book.events()) == 60


def test_an_act_is_undone_by_one_of_two(tmp_path: Path) -> None:
    with opened(tmp_path) as one, opened(tmp_path) as other:
        act = one.record("Ada", [grade("s1", "full")])
        other.undo("Bob", act)
        with pytest.raises(UsageError, match="undone already"):
            one.undo("Ada", act)
        assert points(one, ["s1"]) == points(other, ["s1"]) == [None]


def record_on(folder: Path, first: int, told: Connection) -> None:
    """Record one act after another, and say of each that it was recorded."""
    with opened(folder) as book:
        for number in range(first, first + 10_000):
            name = f"s{number}"
            book.claim("Ada", "1a", [name])
            decisions = [Decision(Kind.note, f"{name}-{each}", None, {"text": "x" * 500}) for each in range(GROUP)]
            book.record("Ada", decisions, act=f"act-{number}")
            told.send(number)


@pytest.mark.parametrize("seed", range(3))
def test_kills_at_random_moments(tmp_path: Path, seed: int) -> None:
    """What was acknowledged is there once and whole; what was not is there whole or not at all."""
    fork = multiprocessing.get_context("fork")
    chance = random.Random(seed)
    acknowledged = -1
    for _ in range(KILLS // 3):
        receiving, sending = fork.Pipe(duplex=False)
        writer = fork.Process(target=record_on, args=(tmp_path, acknowledged + 1, sending))
        writer.start()
        sending.close()
        for _ in range(chance.randrange(6)):
            acknowledged = receiving.recv()
        time.sleep(chance.random() * 0.02)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        while True:
            try:
                acknowledged = receiving.recv()
            except EOFError:
                break
        with opened(tmp_path) as book:
            acts = [event.act for event in book.events()]
            counts = {act: acts.count(act) for act in acts}
            assert set(counts.values()) <= {GROUP}
            assert set(counts) - {f"act-{acknowledged + 1}"} == {f"act-{number}" for number in range(acknowledged + 1)}
            # Whoever comes after is not kept waiting.
            assert book.lock("Bob", "other", "1a")
