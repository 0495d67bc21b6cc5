"""Trains a model: steps, the running average of its weights, and steps that are recorded on a GPU."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from interpreter import Unfit
from muon import Muon, matrices
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

AVERAGE_EVERY = 4
AVERAGING = 0.96
"""Share of the average weights that stays at each update."""
MAX_GRADIENT = 1.0
"""Norm to which gradients are cut. In a model without a norm before attention, one large step can undo all training."""
LEAST_SLICE = 8
RECORD_AFTER = 3
"""Steps before one is recorded; libraries initialize themselves in them."""
SAME = 0.02
"""How far the loss of a recorded step may be from what the code computes: bfloat16 sums in another order differ so much."""


class Run:
    """Trains a model for as many steps as the judge asks for, and keeps a running average of its weights to evaluate.

    The average is at any moment as good as the end of a schedule that cools down, so a run can stop as soon as its verdict is
    certain.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Mapping[str, Any],
        order: Iterator[Tensor],
        loss: Callable[[Tensor], Tensor],
        *,
        same_each_time: bool = False,
        recorder: Recorder | None = None,
    ) -> None:
        """``recipe`` has ``batch``, ``rate``, ``warm_up`` in steps and, if Muon is to train matrices, ``matrix_rate``.

        With ``constant``, rates fall with the inverse square root of the steps after so many steps. At constant rates, a long
        run can become unstable.

        ``same_each_time``: whether the loss of any batch is computed by the same operations on the same shapes. Then steps on a
        GPU are recorded, by ``recorder`` if one is given.
        """
        self.model, self.order, self.loss = model, order, loss
        self.warm_up, self.constant = int(recipe["warm_up"]), float(recipe.get("constant", math.inf))
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.average: list[Tensor] | None = [weight.detach().clone() for weight in self.weights]
        on_gpu = bool(self.weights) and all(weight.is_cuda for weight in self.weights)
        self.optimizers = optimizers(model, recipe, on_gpu=on_gpu)
        self.rates = [float(optimizer.param_groups[0]["lr"]) for optimizer in self.optimizers]
        self.taken, self.slices = 0, 1
        self.recorder = recorder or (Recorder() if on_gpu and same_each_time else None)
        self.recording: Recording | None = None

    def steps(self, count: int) -> list[float]:
        """Take so many steps and return their losses. Nothing waits for the device until all steps are under way."""
        if not self.weights:
            raise Unfit("the model has no trainable parameters")
        losses = []
        with self.recorder.beside() if self.recorder else contextlib.nullcontext():
            for number in range(count):
                self.taken += 1
                self._set_rates(min(1.0, self.taken / self.warm_up, math.sqrt(self.constant / self.taken)))
                losses.append(self._recorded_step(next(self.order), compare=number == 0))
                if self.taken % AVERAGE_EVERY == 0:
                    self._follow()
        return [float(value) for value in torch.stack(losses).tolist()]

    def _set_rates(self, share: float) -> None:
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            group = optimizer.param_groups[0]
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(share * rate)
            else:
                group["lr"] = share * rate

    def _recorded_step(self, chosen: Tensor, *, compare: bool) -> Tensor:
        """A step by the recording, as long as it does what the code does; else by the code itself."""
        if self.recorder is None or self.taken <= RECORD_AFTER:
            return self._step(chosen)
        if self.recording is None:
            compare = True
            try:
                self.recording = self.recorder.record(self._step, chosen)
            except Exception:  # code that waits for the GPU cannot be recorded, and torch says so in many ways
                self.recorder.abandon()
                self.recorder = None
                return self._step(chosen)
        if not compare:
            return self.recording.replay(chosen)
        with torch.no_grad():
            now = self.loss(chosen).float()
        loss = self.recording.replay(chosen)
        if not torch.allclose(now, loss.float(), rtol=SAME, atol=SAME):
            self.recording = self.recorder = None
        return loss

    def _step(self, chosen: Tensor) -> Tensor:
        """One step on a batch, in as many slices as memory asks for."""
        while True:
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            parts = chosen.chunk(self.slices)
            total = torch.zeros((), device=self.weights[0].device)
            try:
                for part in parts:
                    loss = self.loss(part) * (len(part) / len(chosen))
                    loss.backward()
                    total += loss.detach()
            except (torch.cuda.OutOfMemoryError, RuntimeError, MemoryError) as error:
                recording = self.recorder is not None and self.recorder.is_recording()
                if recording or not is_out_of_memory(error) or len(chosen) < LEAST_SLICE * self.slices:
                    raise
                self.slices *= 2
                continue
            nn.utils.clip_grad_norm_(self.weights, MAX_GRADIENT)
            for optimizer in self.optimizers:
                optimizer.step()
            return total

    def _follow(self) -> None:
        if self.average is None:
            return
        updates = self.taken // AVERAGE_EVERY
        stays = min(AVERAGING, updates / (updates + 3))
        get_ema_multi_avg_fn(stays)(self.average, self.weights, None)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The model with its average weights, for the time being."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for average, weight in zip(self.average or (), self.weights, strict=False):
            held = weight.clone()
            weight.copy_(average)
            average.copy_(held)


class Recorder:
    """Records steps on a CUDA stream of its own, as a step cannot be recorded on the default one."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """Let the steps within run on that stream."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            yield
        torch.cuda.current_stream().wait_stream(self._stream)

    def record(self, step: Callable[[Tensor], Tensor], chosen: Tensor) -> Recording:
        """Record a step on a batch; raises whatever torch raises if the code cannot be recorded."""
        return Recording(step, chosen, self._stream)

    def is_recording(self) -> bool:
        """Whether a step is being recorded now."""
        return torch.cuda.is_current_stream_capturing()

    def abandon(self) -> None:
        """Wait until the GPU is done with a recording that failed."""
        torch.cuda.synchronize()


class Recording:
    """A step recorded as a CUDA graph. Replaying it does not wait for Python to start each of its thousand small kernels.

    What the student's code does in Python happens only while it is recorded, so its loss is compared now and then with what
    the code itself computes.
    """

    def __init__(self, step: Callable[[Tensor], Tensor], chosen: Tensor, stream: torch.cuda.Stream) -> None:
        """Record ``step`` on a batch, without taking it."""
        self._chosen = chosen.clone()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=stream):
            self._loss = step(self._chosen)

    def replay(self, chosen: Tensor) -> Tensor:
        """Take the step on another batch of the same size and return its loss."""
        self._chosen.copy_(chosen)
        self._graph.replay()
        return self._loss.clone()


def optimizers(model: nn.Module, recipe: Mapping[str, Any], *, on_gpu: bool) -> list[torch.optim.Optimizer]:
    """AdamW for all trainable weights; with a ``matrix_rate``, Muon for the matrices. None for a model without such weights."""
    made: list[torch.optim.Optimizer] = []
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if "matrix_rate" in recipe and (chosen := matrices(model)):
        made.append(Muon(chosen, lr=float(recipe["matrix_rate"])))
        of_muon = set(map(id, chosen))
        weights = [weight for weight in weights if id(weight) not in of_muon]
    if weights:
        rate = float(recipe["rate"])
        # One pass over all weights saves a fifth of a step on a CPU.
        fused = all(weight.is_floating_point() for weight in weights)
        lr = torch.tensor(rate, device=weights[0].device) if on_gpu else rate
        made.append(torch.optim.AdamW(weights, lr=lr, fused=fused, capturable=on_gpu))
    return made


def batches(count: int, size: int, seed: int, device: torch.device) -> Iterator[Tensor]:
    """Indices of batches without end. Each epoch has an order of its own, drawn from ``seed``."""
    generator = torch.Generator().manual_seed(seed)
    for _ in itertools.count():
        order = torch.randperm(count, generator=generator).to(device)
        whole = order.split(size)
        yield from whole if count < size else [batch for batch in whole if len(batch) == size]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on whichever device."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text
