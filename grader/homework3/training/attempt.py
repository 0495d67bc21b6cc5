"""What a Vision Transformer is trained and measured by, and what becomes of it: settings, looks, attempts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from grader.homework3.training import views
from grader.homework3.training.data import Cifar10
from grader.homework3.training.stated import stated
from grader.scoring.rubric import Budget

RECIPES = {
    # Many small steps: an image costs the same in any batch, and more of them teach more.
    "cpu": {"batch": 64, "rate": 2e-3, "matrix_rate": 4e-3, "warm_up": 50, "constant": 200},
    # A replayed step of 128 images costs little more than one of 64.
    "cuda": {"batch": 128, "rate": 7e-4, "warm_up": 100},
}
LOOK_EVERY = 12_800
"""Training images between two looks at the validation images."""
Status = Literal["passed", "failed", "pending"]


@dataclass(frozen=True)
class Settings:
    """How a network is trained and looked at.

    Args:
        recipes: batch, rates and warm-up, by device; see `training_run.Run`.
        look_every: training images between two looks at the validation images.
        sizes: what the Vision Transformer is built with; by default what the notebook states.
        views: how views are made, and what is plausible.
        clock: seconds, from any beginning.
    """

    recipes: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: RECIPES)
    look_every: int = LOOK_EVERY
    sizes: Mapping[str, int] | None = None
    views: views.Settings = views.CIFAR10
    clock: Callable[[], float] = time.monotonic

    @property
    def model(self) -> dict[str, int]:
        """What the Vision Transformer is built with."""
        return dict(stated().vit if self.sizes is None else self.sizes)


@dataclass(frozen=True)
class Task:
    """What a network is measured on, by which budget and seed, and how."""

    data: Cifar10
    budget: Budget
    seed: bytes
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True)
class Look:
    """A count of right answers: after how many training images and seconds, how many of how many."""

    images: int
    seconds: float
    right: int
    of: int

    @property
    def accuracy(self) -> float:
        """A fraction."""
        return self.right / self.of


@dataclass(frozen=True)
class Attempt:
    """One run and what became of it."""

    status: Status
    message: str
    looks: tuple[Look, ...] = ()
    losses: tuple[float, ...] = ()
    images: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    """By stage: steps, looks."""
    notes: tuple[str, ...] = ()
    raised: bool = False
    """Whether the student's code raised an exception."""
    implausible: bool = False
    """Whether it is pending because a person has to look at it, which another run would not change."""


class Stopped(Exception):
    """The run is over; carries its status and the words for it."""

    def __init__(self, status: Status, message: str, *, implausible: bool = False) -> None:
        super().__init__(message)
        self.status: Status = status
        self.message, self.implausible = message, implausible


def decided(attempts: tuple[Attempt, ...]) -> Attempt:
    """The attempt that counts, its message saying so where it was not the first."""
    last = attempts[-1]
    if len(attempts) == 1:
        return last
    return replace(
        last, notes=(*last.notes, f"the first of {len(attempts)} attempts failed: {attempts[0].message}")
    )
