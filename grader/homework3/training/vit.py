"""Item 3c: whether the student's Vision Transformer gets more than half of CIFAR-10's validation images right.

The kernel gets training images and labels, and validation images only, in an order that tells nothing; logits come back, and
the judge counts by labels that never leave it. Training goes on until the count is certain or the rubric's budget is spent.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from grader.homework3.training import views
from grader.homework3.training.attempt import Attempt, Look, Status, Stopped, Task
from grader.homework3.training.data import CLASSES
from grader.homework3.training.stated import VIT
from grader.kernel.wire import Array
from grader.training.link import NoReply, ReplyTimedOut, StudentError, TrainerLink

GLANCE = 1000
"""Validation images after which a look may end."""
NEAR = 0.1
"""The next look comes sooner if the last accuracy was at most this far below the threshold."""
SOONER = 4
"""How many times sooner: on a CPU a look takes a tenth of the time of the steps that it may save."""
HOPELESS = 0.2
"""A run is given up if it is surely below this after an epoch, where right ones are above twice as much."""
ERROR = 1e-4
"""Probability, over all looks of a run, that one is given up which was not below that."""
NOISE = 2
"""Levels of 255 by which each pixel of a perturbed image may differ."""
FALL = 0.1
"""How much accuracy perturbed images may cost; networks that learn lose next to nothing."""
SLOW = 5.0
"""How many times slower than torch's own layers a model may be before that is its own fault."""
CHUNK_SECONDS = 2.0
LATE_SECONDS = 60.0
"""How long steps under way when time is up are waited for, to tell a slow model from a slow machine."""

Progress = Callable[[str, int, int], None]


def check(
    link: TrainerLink,
    task: Task,
    progress: Progress,
    *,
    device: str = "cpu",
    attempts: int = 2,
) -> tuple[Attempt, ...]:
    """Train, and once more by another seed where that failed; the last attempt decides. Raises `NoReply`.

    The classes get other numbers here than CIFAR-10 has them by, none its own, so that only what is learned can be right.
    """
    classes, data = renumbered(task.seed), task.data
    taken = link.ask(
        "images",
        120.0,
        shape=list(data.train_images.shape),
        offset=data.offset,
        labels=classes[data.train_labels],
        limit=len(data.train_images),
    )
    if taken != len(data.train_images):
        raise NoReply("the trainer did not take the images")
    made: list[Attempt] = []
    while len(made) < attempts:
        attempt = _Run(link, task, len(made), classes, progress, device).go()
        if attempt.raised and "bfloat16" in attempt.message.lower() and not made:
            # Code that mixes numbers of its own into the model's is right in full precision.
            link.ask("precision", 10.0, half=False)
            attempt = _Run(link, task, len(made), classes, progress, device).go()
        made.append(attempt)
        if attempt.status != "failed" or link.lost:
            break
    return tuple(made)


def verify(link: TrainerLink, task: Task, weights: Mapping[str, Array]) -> Attempt:
    """Measure a checkpoint in the student's own model. Raises `NoReply`."""
    return _Run(link, task, 0, np.arange(len(CLASSES), dtype=np.uint8)).verify(weights)


def renumbered(seed: bytes) -> Array:
    """A number for each class by its own: a permutation that leaves none in its place."""
    rng = np.random.default_rng(list(hashlib.sha256(seed + b"/classes").digest()))
    while True:
        numbers = rng.permutation(len(CLASSES)).astype(np.uint8)
        if not np.any(numbers == np.arange(len(CLASSES))):
            return numbers


class _Run:
    """One attempt, from new weights to a verdict."""

    def __init__(
        self,
        link: TrainerLink,
        task: Task,
        number: int,
        classes: Array,
        progress: Progress = lambda stage, done, total: None,
        device: str = "cpu",
    ) -> None:
        self.link, self.progress, self.settings = link, progress, task.settings
        self.data, self.budget = task.data, task.budget
        self.recipe = self.settings.recipes[device]
        self.secret = hashlib.sha256(task.seed + b"/training/%d" % number).digest()
        self.number, self.classes = number, classes
        self.images = 0
        self.losses: list[float] = []
        self.looks: list[Look] = []
        self.seconds = {"steps": 0.0, "looks": 0.0}
        self.notes: list[str] = []
        self.started = self.settings.clock()
        self.per_epoch = len(self.data.train_images)
        self.last_image = self.budget.epochs * self.per_epoch

    def go(self) -> Attempt:
        """Train until the verdict is certain."""
        try:
            self._build()
            for goal in self._goals():
                self._steps(goal)
                self._look()
            raise Stopped("failed", self._too_few(self.looks[-1], f"after {self.budget.epochs} epochs"))
        except Stopped as end:
            return replace(self._attempt(end.status, end.message), implausible=end.implausible)
        except StudentError as error:
            places = "".join(f" (code cell {place.cell}, line {place.line})" for place in error.places[-1:])
            return replace(self._attempt("failed", f"your code raised {error}{places}"), raised=True)
        except KeyboardInterrupt:
            return self._attempt("pending", "the grader was interrupted")

    def verify(self, weights: Mapping[str, Array]) -> Attempt:
        """Count with a checkpoint's weights."""
        try:
            self._build()
            self.link.ask("load", 30.0, weights=dict(weights))
            whole = self._count(is_last=True)
            self._certain(whole)
            raise Stopped("failed", self._too_few(whole, "with the checkpoint's weights"))
        except Stopped as end:
            return replace(self._attempt(end.status, end.message), implausible=end.implausible)
        except StudentError as error:
            return self._attempt("failed", str(error))

    def _attempt(self, status: Status, message: str) -> Attempt:
        return Attempt(
            status,
            message,
            tuple(self.looks),
            tuple(self.losses),
            self.images,
            {name: round(value, 2) for name, value in self.seconds.items()},
            tuple(self.notes),
        )

    def _build(self) -> None:
        number = int.from_bytes(self.secret[:4], "big")
        self.link.ask("vit", 60.0, model_class=VIT, settings=self.settings.model, recipe=self.recipe, seed=number)

    def _left(self) -> float:
        return self.started + self.budget.minutes * 60 - self.settings.clock()

    def _goals(self) -> Iterator[int]:
        """After how many training images to look."""
        while self.images < self.last_image:
            is_near = bool(self.looks) and self.looks[-1].accuracy > self.budget.threshold - NEAR
            images = self.settings.look_every // SOONER if is_near else self.settings.look_every
            yield min(self.images + images, self.last_image)

    def _steps(self, goal: int) -> None:
        """Train up to so many images, a few seconds at a time."""
        chunk = 1
        while self.images < goal:
            left = self._left()
            if left <= 0:
                self._out_of_time()
            count = min(chunk, math.ceil((goal - self.images) / self.recipe["batch"]))
            began = self.settings.clock()
            try:
                reply = self.link.ask("steps", left + LATE_SECONDS, count=int(count))
            except ReplyTimedOut:
                self._out_of_time(lost=True)
            took = self.settings.clock() - began
            self.seconds["steps"] += took
            self.losses += self._checked_losses(reply, int(count))
            self.images += int(count * self.recipe["batch"])
            chunk = max(1, min(int(chunk * CHUNK_SECONDS / max(took, 1e-3)), 4 * chunk))
            self._tell()

    def _checked_losses(self, reply: Any, count: int) -> list[float]:
        """The losses of a reply; one that is no number ends the run."""
        losses = reply.get("losses") if isinstance(reply, dict) else None
        if not isinstance(losses, list) or len(losses) != count or any(type(v) is not float for v in losses):
            raise NoReply("a malformed reply")
        slices = reply.get("slices")
        if type(slices) is int and slices > 1:
            note = f"memory was short: each batch was cut into {slices} slices, which changes no gradient"
            self.notes = [note]
        for number, value in enumerate(losses, 1):
            if not math.isfinite(value):
                step = len(self.losses) + number
                raise Stopped("failed", f"training diverged: the loss was {value} at step {step}")
        return losses

    def _tell(self) -> None:
        recent = self.losses[-50:]
        words = f"training: epoch {self.images / self.per_epoch:.2f}, loss {sum(recent) / len(recent):.2f}"
        if self.looks:
            words += f", {self.looks[-1].accuracy:.1%} right"
        self.progress(words, self.images, self.last_image)

    # -- looks ---------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Count right answers: of some validation images, and of all where that may settle it, or at the end."""
        look = self._count(is_last=self.images >= self.last_image)
        self._tell()
        if look.of == len(self.data.validation_images):
            self._certain(look)
        looks = SOONER * math.ceil(self.last_image / self.settings.look_every)
        margin = math.sqrt(math.log(looks / ERROR) / (2 * min(look.of, GLANCE)))
        if self.images >= self.per_epoch and look.accuracy + margin < HOPELESS:
            raise Stopped(
                "failed",
                f"after {self.images / self.per_epoch:.1f} epochs {look.accuracy:.1%} of {look.of} validation images were "
                f"right, so surely less than {HOPELESS:.0%} of all (wrong once in {1 / ERROR:.0f} runs): given up",
            )

    def _count(self, *, is_last: bool) -> Look:
        """Count the right answers among the validation images in a new order.

        Where it ``is_last`` not, stop as soon as too few will hardly turn out to be enough.
        """
        chosen, right, asked = self._drawn(len(self.data.validation_images)), 0, 0
        while asked < len(chosen):
            part = chosen[asked : asked + GLANCE]
            right += int(self._answered(self.data.validation_images[part], self.data.validation_labels[part]).sum())
            asked += len(part)
            if not is_last and self._is_too_few(right, asked):
                break
        self.looks.append(Look(self.images, self.settings.clock() - self.started, right, asked))
        return self.looks[-1]

    def _is_too_few(self, right: int, asked: int) -> bool:
        """Whether so few are right that the others will hardly make up for it: after a glance none may be lacking, later a
        standard error. A wrong guess only costs time.
        """
        share = right / asked
        doubt = 0.0 if asked <= GLANCE else math.sqrt(share * (1 - share) / asked)
        return share + doubt <= self.budget.threshold

    def _drawn(self, number: int) -> Array:
        """Validation images in an order that tells nothing of their labels, another one for each look."""
        draw = np.random.default_rng([*self.secret, len(self.looks)])
        return draw.permutation(len(self.data.validation_images))[:number]

    def _answered(self, images: Array, labels: Array) -> Array:
        """For each image, whether it is classified as its label says."""
        began, right = self.settings.clock(), []
        for start in range(0, len(images), 1000):
            part = slice(start, start + 1000)
            logits = self.link.ask("classify", max(self._left(), 0) + 60.0, images=images[part])
            right.append(self._right(logits, self.classes[labels[part]]))
        self.seconds["looks"] += self.settings.clock() - began
        return np.concatenate(right)

    @staticmethod
    def _right(logits: Any, labels: Array) -> Array:
        """Which answers are right; an answer without a single largest logit is not."""
        if not isinstance(logits, np.ndarray) or logits.shape != (len(labels), len(CLASSES)):
            shape = getattr(logits, "shape", None)
            raise Stopped(
                "failed", f"for {len(labels)} images the logits have shape {shape}, not ({len(labels)}, 10)"
            )
        if logits.dtype != np.float32 or not np.isfinite(logits).all():
            raise Stopped("failed", "the logits of validation images are not all finite")
        answers = logits.argmax(axis=1)
        ties = (logits == logits.max(axis=1, keepdims=True)).sum(axis=1) > 1
        right: Array = (answers == labels) & ~ties
        return right

    def _certain(self, whole: Look) -> None:
        """End the run if more than the threshold of all validation images are right.

        It fails if that hangs on single pixels, and waits for a person if a network that was trained here would not answer so.
        """
        if whole.right <= self.budget.threshold * whole.of:
            return
        chosen = self._drawn(min(GLANCE, whole.of))
        images, labels = self.data.validation_images[chosen], self.data.validation_labels[chosen]
        noise = np.random.default_rng([*self.secret, 0]).integers(-NOISE, NOISE, images.shape, endpoint=True)
        perturbed = np.clip(images.astype(np.int16) + noise, 0, 255).astype(np.uint8)
        plain, noisy = (float(self._answered(some, labels).mean()) for some in (images, perturbed))
        words = f"{whole.right} of {whole.of} validation images right ({whole.accuracy:.1%})"
        if noisy < plain - FALL:
            raise Stopped(
                "failed",
                f"{words}, but only {noisy:.1%} where each pixel differs by at most {NOISE} of 255: the answers hang on single "
                "pixels, as those of a table would",
            )
        rng, settings = np.random.default_rng([*self.secret, 1]), self.settings.views
        shares = views.measure(self.data, self._answered, rng, settings)
        self.notes.append(
            f"with each pixel changed by at most {NOISE} of 255, {noisy:.1%} of {len(chosen)} are right; unchanged, {plain:.1%}"
        )
        self.notes.append(str(shares))
        if why := views.implausible(whole.accuracy, shares, settings):
            raise Stopped("pending", f"{words}, which needs a person's review: {why}", implausible=True)
        raise Stopped("passed", words)

    def _too_few(self, whole: Look, when: str) -> str:
        return (
            f"{when} {whole.right} of {whole.of} validation images are right ({whole.accuracy:.1%}); more than "
            f"{self.budget.threshold:.0%} are asked for"
        )

    # -- time ----------------------------------------------------------------------------------------------------

    def _out_of_time(self, *, lost: bool = False) -> None:
        """The minutes are spent: the model's fault only if it is far slower than torch's own layers here."""
        epochs = self.images / self.per_epoch
        best = max((look.accuracy for look in self.looks), default=0.0)
        words = f"{self.budget.minutes:g} minutes were enough for {epochs:.2f} of {self.budget.epochs} epochs"
        if best:
            words += f", at most {best:.1%} of the validation images right"
        if lost:
            raise Stopped("failed", f"{words}: a single round of steps took longer than all that was left")
        if not self.images:
            raise Stopped("pending", f"{words}; this machine is too slow for a verdict")
        own = self.images / max(self.seconds["steps"], 1e-9)
        usual = self.link.ask("speed", 60.0, settings=self.settings.model, seconds=3.0)
        if type(usual) is not float or not usual > 0:
            raise NoReply("a malformed reply")
        ratio = usual / max(own, 1e-9)
        speeds = f"{own:.0f} images a second, where torch's own layers train {usual:.0f}"
        if ratio > SLOW:
            raise Stopped("failed", f"{words}: {speeds}")
        raise Stopped("pending", f"{words}; this machine is too slow for a verdict ({speeds})")
