"""Trains and evaluates the student's models for the judge, in the kernel's main thread.

It holds no validation label and no verdict.

Requests and replies are frames of tagged values, as for properties. The judge decides how long to train and when to look.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import random
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import frames
import hardware
import numpy as np
import rounds
import torch
from interpreter import Interpreter, Unfit, defined
from torch import Tensor, nn
from torch.nn import functional
from training_run import Run, batches
from values import Encoder


def serve(connection: socket.socket, files: list[int], namespace: dict[str, Any]) -> None:
    """Answer the judge until it hangs up; ``files`` are descriptors of arrays that the judge opened for reading."""
    trainer = Trainer(files, namespace)
    quiet = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = rounds.Quiet()
    try:
        while True:
            try:
                (name, arguments), buffers = frames.receive_frame(connection)
            except frames.FrameError:
                return
            encoder = Encoder()
            reply: dict[str, Any]
            try:
                decode = Interpreter(namespace, buffers).decode
                made = getattr(trainer, f"on_{name}")(**decode(arguments))
                reply = {"value": encoder(made)}
            except BaseException as error:
                reply = {"error": rounds.describe(error)}
            with contextlib.suppress(frames.FrameError):
                frames.send_frame(connection, reply, encoder.buffers)
    finally:
        sys.stdout, sys.stderr = quiet


class Trainer:
    """Does what the judge asks for; each request has a method."""

    def __init__(self, files: list[int], namespace: dict[str, Any]) -> None:
        self.files, self.namespace = files, namespace
        self.device, self.half = torch.device("cpu"), True
        self.moved: list[str] = []
        self.pretended = False
        # A model whose weights were handed in needs none.
        self.images, self.labels = torch.empty(0, 3, 32, 32), torch.empty(0)
        self.run: Run

    def on_begin(
        self,
        device: str,
        visible: str,
        threads: int,
        half: bool,
        provided: list[list[str]],
        scale: list[list[float]],
    ) -> dict[str, Any]:
        """Prepare the process: a device, threads, and the template's code, by name, instead of the student's.

        ``scale`` holds mean and deviation of each channel.
        """
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        if device == "cuda":
            os.environ["CUDA_VISIBLE_DEVICES"] = visible
            self.pretended = hardware.stop_pretending_accelerators()
            torch.zeros(1, device="cuda")
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        else:
            # Where a GPU was tried first and could not be used, torch must not go on looking for it.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
            torch.set_num_threads(threads)
            if self.pretended:  # a GPU was tried first
                hardware.pretend_accelerators()
                self.pretended = False
        self._move_devices(device)
        self.device, self.half = torch.device(device), half
        # Made once: a tensor of Python numbers makes the GPU wait each time.
        self.scale = torch.tensor(scale, device=device).view(2, 1, -1, 1, 1).unbind()
        # A scope of its own: what it imports is no name of the notebook's.
        scope = dict(self.namespace)
        for name, source in provided:
            exec(compile(source, "<provided>", "exec"), scope)
            self.namespace[name] = scope[name]
        return {"device": torch.cuda.get_device_name(0) if device == "cuda" else f"CPU, {threads} threads"}

    def _move_devices(self, device: str) -> None:
        """Rebind names that mean the CPU: a notebook that ran without a GPU has chosen the CPU as its device."""
        if device == "cuda":
            self.moved = [
                name
                for name, value in self.namespace.items()
                if (type(value) is torch.device and value.type == "cpu") or (type(value) is str and value == "cpu")
            ]
        for name in self.moved:
            kind = type(self.namespace[name])
            self.namespace[name] = kind(device)

    def on_precision(self, half: bool) -> None:
        """Choose whether to compute in bfloat16 where torch's autocast does."""
        self.half = half

    def on_images(self, shape: list[int], offset: int, labels: Tensor, limit: int) -> int:
        """Take the training images, uint8 (N, C, height, width) in the first file, and their labels (N,)."""
        mapped = mmap.mmap(self.files[0], 0, prot=mmap.PROT_READ)
        array = np.frombuffer(mapped, np.uint8, math.prod(shape), offset).reshape(shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it cannot be written to
            images = torch.from_numpy(array)
        self.images = images[:limit].to(self.device)
        self.labels = labels[:limit].long().to(self.device)
        return len(self.images)

    def on_vit(self, model_class: str, settings: dict[str, int], recipe: dict[str, Any], seed: int) -> int:
        """A new image classifier of the student's parts; the number of its parameters."""
        model = self._build(model_class, settings, seed)
        images, labels = self.images, self.labels

        def loss(chosen: Tensor) -> Tensor:
            with self._precision():
                logits = first_of(model(self._normal(images[chosen])))
            return functional.cross_entropy(logits.float(), labels[chosen])

        order = batches(len(images), recipe["batch"], seed, self.device)
        self.run = Run(model, recipe, order, loss, same_each_time=len(images) >= recipe["batch"])
        return sum(parameter.numel() for parameter in model.parameters())

    def _build(self, name: str, settings: Mapping[str, int], seed: int) -> nn.Module:
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        model = defined(self.namespace, name)(**settings)
        if not isinstance(model, nn.Module):
            raise Unfit(f"{name} is not an nn.Module")
        return model.to(self.device)

    def _normal(self, images: Tensor) -> Tensor:
        """Normalize uint8 images as the homework's transform does."""
        mean, deviation = self.scale
        return (images.float() / 255 - mean) / deviation

    def on_steps(self, count: int) -> dict[str, Any]:
        """Take so many steps; their losses, and whether batches had to be cut for want of memory."""
        return {"losses": self.run.steps(count), "slices": self.run.slices}

    def on_speed(self, settings: dict[str, int], seconds: float) -> float:
        """Images a second at which torch's own layers train here."""
        return speed(self.device, settings, seconds, self._precision)

    def on_load(self, weights: dict[str, Tensor]) -> None:
        """Load weights by name into the model. Each must be there, with its shape."""
        own = self.run.model.state_dict()
        if missing := sorted(set(own) - set(weights)) or sorted(set(weights) - set(own)):
            raise Unfit(f"the checkpoint and the model do not have the same weights: {missing[:3]}")
        for name, value in weights.items():
            if own[name].shape != value.shape:
                shapes = f"{tuple(value.shape)}, but the model's has {tuple(own[name].shape)}"
                raise Unfit(f"the checkpoint's {name} has shape {shapes}")
        self.run.model.load_state_dict(weights)
        self.run.average = None

    def on_classify(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of uint8 images."""
        with self._evaluating():
            parts = [
                first_of(self.run.model(self._normal(part.to(self.device)))) for part in images.split(500)
            ]
            return torch.cat([part.float().cpu() for part in parts])

    def on_class_attention(self, images: Tensor) -> Tensor:
        """What the class token gives to each patch, over all layers and heads: (N, L, H, patches)."""
        with self._evaluating():
            _, alphas = self.run.model(self._normal(images.to(self.device)), return_attn=True)
            heat: Tensor = alphas[:, :, :, 0, 1:].float().cpu()
            return heat

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Evaluate the model within: average weights, evaluation mode, no gradients."""
        self.run.model.eval()
        with self.run.averaged(), torch.no_grad(), self._precision():
            yield
        self.run.model.train()

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        """Autocast for one forward pass: within it weights are converted once, so a step must not lie inside."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    # -- the language model --------------------------------------------------------------------------------------

    def on_dialogues(
        self, classes: dict[str, str], text: list[str], held_out: list[str], max_N: int, tokens: int
    ) -> dict[str, Any]:
        """Encode dialogues by the student's tokenizer, each cut to so many tokens; the ids of those held out, and counts."""
        self.tokenizer = self.namespace[classes["tokenizer"]]("\n\n".join([*text, *held_out]))
        self.dialogues = self.namespace[classes["dataset"]](self.tokenizer, text, tokens)
        self.max_N = max_N
        encoded = [self.tokenizer.encode(line)[:tokens] for line in held_out]
        counts = torch.zeros(self.tokenizer.vocab_size, dtype=torch.int64)
        for ids in (self.dialogues[number][1:] for number in range(len(self.dialogues))):
            counts += torch.bincount(ids.long(), minlength=len(counts))
        return {"held_out": encoded, "counts": counts}

    def on_gpt(
        self, classes: dict[str, str], settings: dict[str, int], recipe: dict[str, Any], seed: int, only: int
    ) -> int:
        """A new language model, to be trained on the first ``only`` dialogues, or on all (0)."""
        whole = {"vocab_size": self.tokenizer.vocab_size, "max_N": self.max_N, **settings}
        model = self._build(classes["model"], whole, seed)
        criterion = self.namespace[classes["loss"]]()
        count = min(only or len(self.dialogues), len(self.dialogues))

        def loss(chosen: Tensor) -> Tensor:
            batch = self.dialogues.collate_fn([self.dialogues[number] for number in chosen.tolist()])
            ids, mask = batch["input_ids"].to(self.device), batch["input_mask"].to(self.device)
            with self._precision():
                logits = first_of(model(ids))
            value: Tensor = criterion(logits.float(), ids, mask)
            return value

        self.run = Run(model, recipe, batches(count, recipe["batch"], seed, torch.device("cpu")), loss)
        return sum(parameter.numel() for parameter in model.parameters())

    def on_logits(self, ids: Tensor) -> Tensor:
        """Logits (B, T, V) for ids (B, T)."""
        with self._evaluating():
            logits: Tensor = first_of(self.run.model(ids.to(self.device))).float().cpu()
            return logits

    def on_generate(self, prompt: str, tokens: int) -> str:
        """A prompt, continued greedily, as the student's tokenizer decodes it."""
        with self._evaluating():
            ids = self.tokenizer.encode(prompt)[None].to(self.device)
            text = self.tokenizer.decode(self.run.model.generate(ids, tokens)[0].cpu())
        return str(text)


def first_of(value: Any) -> Any:
    """What a model returns, or the first of several values."""
    return value[0] if isinstance(value, tuple | list) else value


def speed(
    device: torch.device,
    settings: Mapping[str, int],
    seconds: float,
    precision: Callable[[], contextlib.AbstractContextManager[Any]],
) -> float:
    """Images a second at which torch's own layers of the same size train here, to compare a slow model with."""
    heads = math.gcd(settings["dim"], 4)  # torch's layers need a size that is divisible by them
    layer = nn.TransformerEncoderLayer(
        settings["dim"], heads, settings["mlp_dim"], dropout=0.0, batch_first=True, norm_first=True
    )
    model = nn.TransformerEncoder(layer, settings["num_layers"], enable_nested_tensor=False).to(device)
    tokens = (settings["img_size"] // settings["patch_size"]) ** 2 + 1
    x = torch.randn(64, tokens, settings["dim"], device=device)
    done, started = 0, time.monotonic()
    while time.monotonic() - started < seconds:
        with precision():
            total = model(x).sum()
        total.backward()
        done += len(x)
    return done / (time.monotonic() - started)
