"""Steps that are recorded on a GPU: when they are replayed and when the code itself runs, with a made-up recorder."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

RECIPE = {"batch": 4, "rate": 1e-2, "warm_up": 2}
COUNT = 10


@pytest.fixture(scope="module")
def training_run(inside: Any) -> Any:
    """The kernel's module, as the kernel imports it."""
    return inside("training_run")


class Replay:
    """Stands for a recording: takes the step anew, and counts that."""

    def __init__(self, step: Callable[[Tensor], Tensor], differs_after: int) -> None:
        self.step, self.differs_after = step, differs_after
        self.replayed = 0

    def replay(self, chosen: Tensor) -> Tensor:
        self.replayed += 1
        loss = self.step(chosen)
        return loss * 2 if self.replayed > self.differs_after else loss


class Recorder:
    """Records without a GPU. A replay's loss is wrong after ``differs_after`` replays; ``fails`` says that none can be made."""

    def __init__(self, *, differs_after: int = 1000, fails: bool = False) -> None:
        self.differs_after, self.fails = differs_after, fails
        self.tried = 0
        self.recordings: list[Replay] = []

    @property
    def replayed(self) -> int:
        return sum(recording.replayed for recording in self.recordings)

    def beside(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def record(self, step: Callable[[Tensor], Tensor], chosen: Tensor) -> Replay:
        self.tried += 1
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.recordings.append(Replay(step, self.differs_after))
        return self.recordings[-1]

    def is_recording(self) -> bool:
        return False

    def abandon(self) -> None:
        pass


Taken = tuple[list[float], Any]
Take = Callable[..., Taken]


@pytest.fixture
def take(training_run: Any) -> Take:
    """Take steps with a recorder, or none, two at a time; the losses and the run."""

    def steps(recorder: Recorder | None, loss_of: Callable[[Tensor], Tensor] = torch.mean) -> Taken:
        torch.manual_seed(0)
        data = torch.randn(20, 3)
        model = nn.Linear(3, 1)
        order = training_run.batches(20, RECIPE["batch"], 0, torch.device("cpu"))
        run = training_run.Run(
            model, RECIPE, order, lambda chosen: loss_of(model(data[chosen]) ** 2), recorder=recorder
        )
        return [loss for _ in range(COUNT // 2) for loss in run.steps(2)], run

    return steps


def test_steps_are_replayed_after_a_few_that_run_as_they_are(take: Take, training_run: Any) -> None:
    expected, _ = take(None)
    recorder = Recorder()
    losses, run = take(recorder)
    assert losses == expected
    assert (recorder.tried, recorder.replayed) == (1, COUNT - training_run.RECORD_AFTER)
    assert run.recording is not None


def test_code_that_cannot_be_recorded_runs_as_it_is(take: Take) -> None:
    expected, _ = take(None)
    recorder = Recorder(fails=True)
    losses, run = take(recorder)
    assert losses == expected
    assert recorder.tried == 1, "it is tried once"
    assert run.recording is None and run.recorder is None


def test_a_recording_that_differs_from_the_code_is_dropped(take: Take) -> None:
    recorder = Recorder(differs_after=2)
    losses, run = take(recorder)
    assert run.recording is None and run.recorder is None
    assert recorder.tried == 1 and recorder.replayed < COUNT - 3
    assert all(loss > 0 for loss in losses)


def test_code_that_differs_each_time_is_not_replayed(take: Take) -> None:
    calls = itertools.count(1)
    recorder = Recorder()
    _, run = take(recorder, lambda squares: squares.mean() * next(calls))
    assert run.recording is None and recorder.replayed == 1, "the first replay is compared with the code"


def test_nothing_is_recorded_on_the_cpu(training_run: Any) -> None:
    run = training_run.Run(nn.Linear(3, 1), RECIPE, iter(()), torch.mean, same_each_time=True)
    assert run.recorder is None
