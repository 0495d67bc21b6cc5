"""The judge's side of the check, against a trainer that is made up: what is counted, and what ends a run."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grader.homework3.training import views, vit
from grader.homework3.training.attempt import LOOK_EVERY, Attempt, Settings, Task, decided
from grader.homework3.training.data import Cifar10
from grader.kernel.inside.frames import send_frame
from grader.kernel.remote import NoReply, ReplyTimedOut, StudentError
from grader.scoring.rubric import Budget
from grader.training.link import TrainerLink

BUDGET = Budget(epochs=2, minutes=10, threshold=0.5)
STEP = 20
"""Levels between the shades that tell the classes apart here."""


def _logits(answers: Any, *, size: int = 10) -> Any:
    return np.eye(size, dtype=np.float32)[answers]


def honest(images: Any) -> Any:
    """Right for every image, perturbed or not."""
    return _logits(np.round(images.reshape(len(images), -1).mean(axis=1) / STEP).astype(int))


def by_table(images: Any) -> Any:
    """Right for images exactly as they are, and for no other."""
    flat = images.reshape(len(images), -1).astype(int)
    known = (flat == flat[:, :1]).all(axis=1)
    return _logits(np.where(known, flat[:, 0] // STEP, 0))


class MadeUp:
    """Answers as a trainer would, which has learned what numbers the classes have here (``learns``)."""

    def __init__(self, classify: Callable[[Any], Any] = honest, *, learns: bool = True, **others: Any) -> None:
        self.classify, self.others, self.learns = classify, others, learns
        self.numbers = np.arange(10)
        self.asked: list[str] = []
        self.images: list[Any] = []
        self.half, self.lost = True, False

    def ask(self, name: str, seconds: float, /, **arguments: Any) -> Any:
        self.asked.append(name)
        if name in self.others:
            return self.others[name](**arguments)
        if name == "classify":
            self.images.append(arguments["images"])
            logits = self.classify(arguments["images"])
            right = isinstance(logits, np.ndarray) and logits.shape[1:] == (10,) and self.learns
            return logits[:, np.argsort(self.numbers)] if right else logits
        if name == "steps":
            return {"losses": [1.5] * arguments["count"], "slices": 1}
        if name == "images":
            self.numbers[SHADES] = arguments["labels"][FIRST]
            return arguments["limit"]
        if name == "precision":
            self.half = arguments["half"]
        return 1.0 if name == "speed" else None


SHADES = np.arange(10)
FIRST = SHADES * 1280


@pytest.fixture
def data() -> Cifar10:
    def images(each: int) -> tuple[Any, Any]:
        labels = np.repeat(np.arange(10, dtype=np.uint8), each)
        shades = np.broadcast_to((labels * STEP)[:, None, None, None], (len(labels), 3, 32, 32))
        return shades.astype(np.uint8), labels

    return Cifar10(Path("none"), *images(1280), *images(200))


LEARNED_PERFECTLY = views.Settings(images=100, light=0.0, most=1.0)
"""These classes are learned perfectly, which CIFAR-10's are not, and how bright an image is tells its class."""


def check(
    link: MadeUp, data: Cifar10, settings: Settings | None = None, **options: Any
) -> tuple[Attempt, ...]:
    made: Any = link
    task = Task(data, BUDGET, b"secret", settings or Settings(views=LEARNED_PERFECTLY))
    return vit.check(made, task, lambda stage, done, total: None, **options)


def test_a_model_that_is_right_passes_at_the_first_look(data: Cifar10) -> None:
    link = MadeUp()
    (attempt,) = check(link, data)
    assert attempt.status == "passed"
    assert "2000 of 2000" in attempt.message
    assert attempt.images == LOOK_EVERY


@pytest.mark.parametrize(("right", "status"), [(1000, "failed"), (1001, "passed")])
def test_more_than_half_of_all_images_must_be_right(data: Cifar10, right: int, status: str) -> None:
    wrong = np.zeros(2000, bool)
    wrong[np.linspace(200, 1999, 2000 - right).astype(int)] = True
    assert wrong.sum() == 2000 - right
    assert not wrong[:200].any()
    # An image that is to be classified wrongly says so in its last pixel, whatever order it comes in.
    images = data.validation_images.copy()
    images[wrong, :, -1, -1] = 255

    def classify(images: Any) -> Any:
        answers = honest(images[:, :, :16]).argmax(axis=1)
        return _logits(np.where(images[:, 0, -1, -1] > 250, 0, answers))

    marked = Cifar10(
        data.train_file, data.train_images, data.train_labels, images, data.validation_labels
    )
    attempts = check(MadeUp(classify), marked, attempts=1)
    assert attempts[0].status == status
    assert f"{right} of 2000" in attempts[0].message


def test_answers_by_place_in_the_batch_fail(data: Cifar10) -> None:
    def by_place(images: Any) -> Any:
        return _logits(np.arange(len(images)) * 10 // len(images))

    link = MadeUp(by_place)
    attempts = check(link, data)
    assert [attempt.status for attempt in attempts] == ["failed", "failed"]
    assert all(look.accuracy < 0.2 for attempt in attempts for look in attempt.looks)
    shades = [tuple(batch[:50, 0, 0, 0]) for batch in link.images]
    assert len(set(shades)) == len(shades), "each look has an order of its own"


def test_a_table_of_answers_fails(data: Cifar10) -> None:
    attempts = check(MadeUp(by_table), data)
    assert attempts[-1].status == "failed"
    assert "as those of a table would" in attempts[-1].message


def test_answers_that_were_not_learned_here_are_wrong(data: Cifar10) -> None:
    attempts = check(MadeUp(learns=False), data)
    assert attempts[-1].status == "failed"
    assert attempts[-1].looks[-1].right == 0


@pytest.mark.parametrize("seed", [b"a" * 16, b"b" * 16, b"hw3 public seed"])
def test_no_class_keeps_its_number(seed: bytes) -> None:
    numbers = vit.renumbered(seed)
    assert sorted(numbers) == list(range(10))
    assert not np.any(numbers == np.arange(10))
    assert np.array_equal(numbers, vit.renumbered(seed))


def test_more_than_is_plausible_is_pending(data: Cifar10) -> None:
    (attempt,) = check(MadeUp(), data, Settings(views=replace(LEARNED_PERFECTLY, most=0.75)))
    assert (attempt.status, attempt.implausible) == ("pending", True)
    assert "100.0% is more than" in attempt.message


def test_a_table_that_withstands_noise_is_pending(data: Cifar10) -> None:
    """It knows the mean of each image in coarse blocks, which a pixel more or less does not change, but a fresh view does."""
    draw = np.random.default_rng(0)
    marks = draw.integers(0, 60, (2000, 3, 4, 4)).repeat(8, axis=2).repeat(8, axis=3).astype(np.uint8)
    known = Cifar10(
        data.train_file, data.train_images, data.train_labels, marks, data.validation_labels
    )
    table = marks.reshape(2000, 3, 4, 8, 4, 8).mean(axis=(3, 5)).reshape(2000, -1)

    def classify(images: Any) -> Any:
        means = images.reshape(len(images), 3, 4, 8, 4, 8).mean(axis=(3, 5)).reshape(len(images), -1)
        gaps = (means**2).sum(1)[:, None] - 2 * means @ table.T + (table**2).sum(1)
        found = np.where(gaps.min(axis=1) < 200, data.validation_labels[gaps.argmin(axis=1)], 0)
        plain = np.ptp(images.reshape(len(images), -1), axis=1) == 0
        return _logits(np.where(plain, images[:, 0, 0, 0] // STEP, found))

    (attempt,) = check(MadeUp(classify), known)
    assert (attempt.status, attempt.implausible) == ("pending", True), attempt
    assert "in fresh views" in attempt.message


def test_validation_images_do_not_fare_better_than_others(data: Cifar10) -> None:
    shares = views.Shares(validation=0.6, validation_views=0.55, training=0.5, training_views=0.45)
    assert "fare better" in str(views.implausible(0.6, shares))
    assert "came alone" in str(views.implausible(0.7, shares))
    assert views.implausible(0.56, replace(shares, validation=0.56)) is None


def test_views_differ_and_show_the_same_image(data: Cifar10) -> None:
    rng = np.random.default_rng(1)
    smooth = np.cumsum(rng.normal(size=(1500, 3, 32, 32)), axis=-1).clip(-60, 60).astype(np.int64) + 120
    images = smooth.astype(np.uint8)
    first, second = views.fresh_views(images, rng), views.fresh_views(images, rng)
    assert first.shape == images.shape and first.dtype == np.uint8
    assert not np.array_equal(first[0], second[0])
    assert np.abs(first.mean(axis=(1, 2, 3)) - images.mean(axis=(1, 2, 3))).mean() < 25


def test_views_without_any_change_are_the_images() -> None:
    unchanged = views.Settings(shift=0.0, turn=0.0, zoom=1.0, light=0.0)
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32)).astype(np.uint8)
    seen = views.fresh_views(images, np.random.default_rng(0), unchanged)
    for image, view in zip(images, seen, strict=True):
        assert np.array_equal(view, image) or np.array_equal(view, image[:, :, ::-1])


@pytest.mark.parametrize(
    ("classify", "why"),
    [
        (lambda images: _logits(np.zeros(len(images), int)) * np.nan, "not all finite"),
        (lambda images: np.zeros((len(images), 9), np.float32), "shape"),
        (lambda images: np.zeros((1, 10), np.float32), "shape"),
        (lambda images: "0" * len(images), "shape"),
        (lambda images: honest(images).astype(np.float64), "finite"),
    ],
)
def test_malformed_logits_fail(data: Cifar10, classify: Callable[[Any], Any], why: str) -> None:
    attempts = check(MadeUp(classify), data)
    assert attempts[-1].status == "failed"
    assert why in attempts[-1].message


def test_a_tie_is_no_right_answer(data: Cifar10) -> None:
    attempts = check(MadeUp(lambda images: np.zeros((len(images), 10), np.float32)), data)
    assert attempts[-1].status == "failed"
    assert attempts[-1].looks[-1].right == 0


def test_a_hopeless_run_is_given_up_with_its_probability(data: Cifar10) -> None:
    link = MadeUp(lambda images: _logits(np.zeros(len(images), int)))
    attempts = check(link, data)
    assert len(attempts) == 2
    assert "surely less than 20%" in attempts[0].message
    assert "10000 runs" in attempts[0].message
    assert attempts[0].images == LOOK_EVERY


def test_a_slow_start_is_not_hopeless(data: Cifar10) -> None:
    def improving() -> Callable[[Any], Any]:
        looks = 0

        def classify(images: Any) -> Any:
            nonlocal looks
            looks += 1
            return honest(images) if looks > 1 else _logits(honest(images).argmax(axis=1) // 4 * 4)

        return classify

    (attempt,) = check(MadeUp(improving()), data)
    assert attempt.status == "passed"
    assert len(attempt.looks) >= 2


def test_divergence_is_named(data: Cifar10) -> None:
    link = MadeUp(steps=lambda count: {"losses": [float("nan")] * count, "slices": 1})
    attempts = check(link, data)
    assert "training diverged: the loss was nan at step 1" in attempts[-1].message


def test_a_failure_is_tried_once_more_by_another_seed(data: Cifar10) -> None:
    seeds = []
    link = MadeUp(
        lambda images: _logits(np.zeros(len(images), int)), vit=lambda **given: seeds.append(given["seed"])
    )
    attempts = check(link, data)
    assert len(set(seeds)) == 2
    last = decided(attempts)
    assert any("the first of 2 attempts failed" in note for note in last.notes)


def test_full_precision_is_tried_if_half_does_not_work(data: Cifar10) -> None:
    def steps(count: int) -> Any:
        if link.half:
            raise StudentError("RuntimeError", "expected mat1 and mat2 to be Float and BFloat16")
        return {"losses": [1.0] * count, "slices": 1}

    link = MadeUp(steps=steps)
    (attempt,) = check(link, data)
    assert attempt.status == "passed"


def test_an_exception_in_training_fails_with_its_message(data: Cifar10) -> None:
    def steps(count: int) -> Any:
        raise StudentError("ValueError", "no such thing")

    attempts = check(MadeUp(steps=steps), data)
    assert attempts[-1].raised
    assert "your code raised ValueError: no such thing" in attempts[-1].message


def test_a_note_says_that_memory_was_short(data: Cifar10) -> None:
    (attempt,) = check(MadeUp(steps=lambda count: {"losses": [1.0] * count, "slices": 4}), data)
    assert attempt.status == "passed"
    assert any("memory was short" in note for note in attempt.notes)


@pytest.mark.parametrize(("usual", "status"), [(5.0, "pending"), (1e9, "failed")])
def test_time_is_the_models_fault_only_if_it_is_slower_than_others(
    data: Cifar10, usual: float, status: str
) -> None:
    now = 0.0

    def steps(count: int) -> Any:
        nonlocal now
        now += 50.0 * count
        return {"losses": [1.0] * count, "slices": 1}

    link = MadeUp(steps=steps, speed=lambda **given: usual)
    settings = Settings(views=LEARNED_PERFECTLY, clock=lambda: now)
    attempts = check(link, data, settings, attempts=1)
    assert attempts[0].status == status
    assert "10 minutes were enough for 0." in attempts[0].message


def test_a_machine_too_slow_for_a_single_step_fails_nobody(data: Cifar10) -> None:
    times = iter([0.0, *[1000.0] * 10])
    settings = Settings(views=LEARNED_PERFECTLY, clock=lambda: next(times))
    (attempt,) = check(MadeUp(), data, settings)
    assert attempt.status == "pending"
    assert "this machine is too slow" in attempt.message


def test_after_a_reply_that_did_not_come_there_is_no_second_attempt(data: Cifar10) -> None:
    link = MadeUp()

    def steps(count: int) -> Any:
        link.lost = True
        raise ReplyTimedOut

    link.others["steps"] = steps
    (attempt,) = check(link, data)
    assert attempt.status == "failed"
    assert "a single round of steps took longer than all that was left" in attempt.message


def test_a_late_reply_answers_no_later_question() -> None:
    mine, trainers = socket.socketpair()
    with mine, trainers:
        link = TrainerLink(mine)
        with pytest.raises(ReplyTimedOut):
            link.ask("steps", 0.01, count=1)
        send_frame(trainers, {"value": 34474}, [])
        with pytest.raises(NoReply, match="an earlier reply"):
            link.ask("vit", 1.0)


def test_an_interruption_costs_nothing(data: Cifar10) -> None:
    def steps(count: int) -> Any:
        raise KeyboardInterrupt

    (attempt,) = check(MadeUp(steps=steps), data)
    assert attempt.status == "pending"


@pytest.mark.parametrize("reply", [None, {"losses": []}, {"losses": [1]}, {"losses": "1.0"}, [1.0]])
def test_a_malformed_reply_is_no_answer(data: Cifar10, reply: Any) -> None:
    with pytest.raises(NoReply):
        check(MadeUp(steps=lambda count: reply), data)
