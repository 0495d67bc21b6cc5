"""Evidence for 4f and 4g: whether the student's GPT learns ten dialogues by heart, learns Shakespeare, and what it then writes.

Nothing of it is scored. The held-out loss is the judge's own, from logits; the training loss is what the student's code says.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from grader.homework3.shakespeare import shakespeare
from grader.homework3.training.stated import GPT, stated
from grader.kernel.wire import Array
from grader.training.link import NoReply, TrainerLink

BY_HEART = {"batch": 10, "rate": 1e-3, "warm_up": 10}
RECIPE = {"batch": 16, "rate": 1e-3, "warm_up": 20}
CLASSES = {"tokenizer": "MyTokenizer", "dataset": "DialogueDataset", "model": GPT, "loss": "DialogueLoss"}
"""The notebook's classes that the kernel trains with."""
TEN = 10
LEARNT = 0.2
"""Nats a token below which ten dialogues are known by heart; which of them begins cannot be known, so 0 is out of reach."""
HELD_OUT = 16
TOKENS_OF_EACH = 64
"""Dialogues are cut to so many tokens: long ones are few, and cost most of the time."""
LOOKS = 5
TOKENS = 50

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Grown:
    """What came of the training. Losses are in nats a token."""

    by_heart: float
    """Loss on ten dialogues after training on them alone."""
    by_heart_steps: int
    losses: tuple[float, ...]
    """Training loss by step."""
    held_out: tuple[tuple[int, float], ...]
    """(steps, loss) on dialogues that were kept back."""
    unigram: float
    """What word frequencies alone reach on them."""
    samples: tuple[tuple[float, str], ...]
    """(epochs, generated text)."""
    seconds: float

    def notes(self) -> tuple[str, ...]:
        """The figures in words."""
        learnt = "learns ten dialogues by heart" if self.by_heart < LEARNT else "does not learn ten dialogues"
        first, last = self.held_out[0][1], self.held_out[-1][1]
        verdict = "below" if last < self.unigram else "not below"
        return (
            f"trained here: {learnt}: loss {self.by_heart:.3f} after {self.by_heart_steps} steps",
            f"trained here: the loss on held-out dialogues went from {first:.2f} to {last:.2f} in {len(self.losses)} steps, "
            f"{verdict} the {self.unigram:.2f} of word frequencies alone",
        )


def grow(link: TrainerLink, seed: bytes, seconds: float, progress: Progress) -> Grown:
    """Train for about so many seconds, a quarter of them on ten dialogues at most. Raises `StudentError` or `NoReply`."""
    started = time.monotonic()
    number = int.from_bytes(hashlib.sha256(seed + b"/gpt").digest()[:4], "big")
    known, kept = _dialogues()
    lengths = {"max_N": stated().longest, "tokens": TOKENS_OF_EACH}
    data = link.ask("dialogues", 120.0, classes=CLASSES, text=known, held_out=kept, **lengths)
    ids = _padded(data["held_out"])
    unigram = _unigram(data["counts"], ids)

    link.ask("gpt", 60.0, classes=CLASSES, settings=dict(stated().gpt), recipe=BY_HEART, seed=number, only=TEN)
    heart = _Training(link, started + seconds / 4, "GPT: ten dialogues", progress)
    heart.until(lambda losses: losses[-1] < LEARNT)

    link.ask("gpt", 60.0, classes=CLASSES, settings=dict(stated().gpt), recipe=RECIPE, seed=number, only=0)
    held_out = [(0, _held_out_loss(link, ids))]
    whole = _Training(link, started + seconds, "GPT: Shakespeare", progress)
    samples = []
    begun = time.monotonic()
    for look in range(1, LOOKS + 1):
        whole.end = begun + (started + seconds - begun) * look / LOOKS
        whole.until(lambda losses: False)
        steps = len(whole.losses)
        held_out.append((steps, _held_out_loss(link, ids)))
        text = link.ask("generate", 60.0, prompt="", tokens=TOKENS)
        samples.append((steps * RECIPE["batch"] / len(known), text if type(text) is str else ""))
    return Grown(
        heart.losses[-1],
        len(heart.losses),
        tuple(whole.losses),
        tuple(held_out),
        unigram,
        tuple(samples),
        time.monotonic() - started,
    )


def _dialogues() -> tuple[list[str], list[str]]:
    """The dialogues to train on, and some from all over the text that are kept back."""
    every = [dialogue.strip() for dialogue in shakespeare().split("\n\n") if dialogue.strip()]
    kept = set(range(len(every) // HELD_OUT // 2, len(every), len(every) // HELD_OUT))
    return (
        [line for number, line in enumerate(every) if number not in kept],
        [line for number, line in enumerate(every) if number in kept],
    )


class _Training:
    """Steps of one model until it is good enough or its time is up."""

    def __init__(self, link: TrainerLink, end: float, what: str, progress: Progress) -> None:
        self.link, self.end, self.what, self.progress = link, end, what, progress
        self.losses: list[float] = []
        self._started, self._chunk = time.monotonic(), 1

    def until(self, good: Callable[[list[float]], bool]) -> None:
        """Train; at least one step is taken."""
        while not self.losses or (time.monotonic() < self.end and not good(self.losses)):
            began = time.monotonic()
            reply = self.link.ask("steps", max(self.end - began, 0) + 60.0, count=self._chunk)
            self.losses += _finite(reply)
            took = max(time.monotonic() - began, 1e-3)
            self._chunk = max(1, min(int(self._chunk / took), 4 * self._chunk, 50))
            done, total = int(time.monotonic() - self._started), int(self.end - self._started) + 1
            self.progress(f"{self.what}: loss {self.losses[-1]:.2f}", min(done, total), total)


def _finite(reply: Any) -> list[float]:
    losses = reply.get("losses") if isinstance(reply, dict) else None
    if not isinstance(losses, list) or not losses or any(type(value) is not float for value in losses):
        raise NoReply("a malformed reply")
    if not all(math.isfinite(value) for value in losses):
        raise NoReply("its loss is no finite number any more")
    return losses


def _padded(encoded: Any) -> Array:
    """Ids (B, T) of the held-out dialogues, cut to a length, with -1 where there is none."""
    if not isinstance(encoded, list) or not all(
        isinstance(ids, np.ndarray) and ids.ndim == 1 and ids.dtype == np.int64 for ids in encoded
    ):
        raise NoReply("the tokenizer gives no ids that can be used")
    padded = np.full((len(encoded), TOKENS_OF_EACH), -1, np.int64)
    for row, ids in zip(padded, encoded, strict=True):
        row[: len(ids)] = ids[:TOKENS_OF_EACH]
    return padded


def _unigram(counts: Any, ids: Array) -> float:
    """The loss of predicting each held-out token by its frequency in the training text, each counted once more."""
    if not isinstance(counts, np.ndarray) or counts.ndim != 1 or ids.max() >= len(counts):
        raise NoReply("the tokenizer gives no ids that can be used")
    shares = (counts + 1.0) / (counts.sum() + len(counts))
    targets = ids[:, 1:][ids[:, 1:] >= 0]
    return float(-np.log(shares[targets]).mean())


def _held_out_loss(link: TrainerLink, ids: Array) -> float:
    """The mean cross entropy in float64 of the held-out tokens, from the model's logits."""
    logits = link.ask("logits", 120.0, ids=np.where(ids < 0, 0, ids))
    if not isinstance(logits, np.ndarray) or logits.ndim != 3 or logits.shape[:2] != ids.shape:
        raise NoReply("the logits have a wrong shape")
    wide = logits[:, :-1].astype(np.float64)
    if ids.max() >= wide.shape[2]:
        raise NoReply("the logits have a wrong shape")
    wide -= wide.max(axis=2, keepdims=True)
    picked = np.take_along_axis(wide, np.maximum(ids[:, 1:], 0)[..., None], axis=2)[..., 0]
    losses = np.log(np.exp(wide).sum(axis=2)) - picked
    return float(losses[ids[:, 1:] >= 0].mean())
