"""Steps that are recorded on a GPU: when they are replayed and when the code itself runs, held with a made-up recording."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from grader.kernel import confinement

RECIPE = {"batch": 4, "rate": 1e-2, "warm_up": 2}
COUNT = 10


@pytest.fixture(scope="module")
def trainer() -> Iterator[Any]:
    """The kernel's module, as the kernel imports it."""
    sys.path.insert(0, str(Path(confinement.__file__).parents[1] / "inside"))
    yield importlib.import_module("trainer")
    del sys.path[0]


class Replay:
    """Stands for a recording: takes the step anew, and says what it was made from."""

    made: int = 0
    replayed: int = 0
    off_after: int = 1000
    """Replays after which it is no longer what the code does."""

    def __init__(self, step: Callable[[Tensor], Tensor], chosen: Tensor, stream: object) -> None:
        type(self).made += 1
        self.step = step

    def replay(self, chosen: Tensor) -> Tensor:
        type(self).replayed += 1
        loss = self.step(chosen)
        return loss * 2 if type(self).replayed > type(self).off_after else loss


class Waiting(Replay):
    """Stands for code that waits for the GPU and cannot be recorded."""

    def __init__(self, step: Callable[[Tensor], Tensor], chosen: Tensor, stream: object) -> None:
        type(self).made += 1
        raise RuntimeError("operation not permitted when stream is capturing")


Taken = tuple[list[float], Any]
Take = Callable[..., Taken]


@pytest.fixture
def take(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> Take:
    """Take steps with a kind of recording, or none, two at a time; the losses and the run."""
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)

    def steps(recording: type[Replay] | None, loss_of: Callable[[Tensor], Tensor] = torch.mean) -> Taken:
        torch.manual_seed(0)
        data = torch.randn(20, 3)
        model = nn.Linear(3, 1)
        order = trainer.batches(20, RECIPE["batch"], 0, torch.device("cpu"))
        run = trainer.Run(model, RECIPE, order, lambda chosen: loss_of(model(data[chosen]) ** 2))
        if recording is not None:
            kind = type("Kind", (recording,), {"made": 0, "replayed": 0})
            monkeypatch.setattr(trainer, "Recording", kind)
            run.stream, run.kind = object(), kind
            monkeypatch.setattr(trainer.torch.cuda, "is_current_stream_capturing", lambda: False)
            monkeypatch.setattr(run, "_beside", contextlib.nullcontext)
        return [loss for _ in range(COUNT // 2) for loss in run.steps(2)], run

    return steps


def test_steps_are_replayed_once_libraries_are_set_up(take: Take, trainer: Any) -> None:
    expected, _ = take(None)
    losses, run = take(Replay)
    assert losses == expected
    assert (run.kind.made, run.kind.replayed) == (1, COUNT - trainer.RECORD_AFTER)
    assert run.recording is not None


def test_code_that_cannot_be_recorded_runs_as_it_is(take: Take) -> None:
    expected, _ = take(None)
    losses, run = take(Waiting)
    assert losses == expected
    assert run.kind.made == 1, "it is tried once"
    assert run.recording is None and run.stream is None


def test_a_recording_that_differs_from_the_code_is_dropped(take: Take) -> None:
    off = type("Off", (Replay,), {"off_after": 2})
    losses, run = take(off)
    assert run.recording is None and run.stream is None
    assert run.kind.made == 1 and run.kind.replayed < COUNT - 3
    assert all(loss > 0 for loss in losses)


def test_code_that_is_another_each_time_is_not_replayed(take: Take) -> None:
    calls = itertools.count(1)
    _, run = take(Replay, lambda squares: squares.mean() * next(calls))
    assert run.recording is None and run.kind.replayed == 1, "the first replay is held against the code"


def test_only_losses_that_are_the_same_each_time_are_recorded_and_only_on_a_gpu(trainer: Any) -> None:
    model = nn.Linear(3, 1)
    run = trainer.Run(model, RECIPE, iter(()), torch.mean, same_each_time=True)
    assert run.stream is None
