"""Runs the calls of a property's trials on the student's objects.

It keeps its own references to what it calls, since a submission may patch torch.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import absent
import numpy as np
import standins
import torch
from values import TENSORS, Encoder, as_tuple, type_name

_cos, _arange = torch.cos, torch.arange
_from_numpy, _grad = torch.from_numpy, torch.autograd.grad
# Not torch.manual_seed: that formats a stack trace each time, in case CUDA starts later.
_manual_seed, _no_grad = torch.default_generator.manual_seed, torch.no_grad
_named_parameters, _train = torch.nn.Module.named_parameters, torch.nn.Module.train


class Trial:
    """The objects of one trial, by slot number, alive until the property ends."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.slots: dict[int, Any] = {}
        self.recorder = standins.Recorder()
        self.round = 0

    def enter(self) -> None:
        """Seed each round anew from its number, which is much cheaper than keeping the random states between rounds."""
        seed = (self.seed + 0x9E3779B1 * self.round) % 2**32
        self.round += 1
        _manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        standins.RECORDER = self.recorder


class Interpreter:
    """Runs a trial's operations; each is a list whose head names a method below."""

    def __init__(self, namespace: Mapping[str, Any], buffers: list[bytes] | None = None) -> None:
        self.namespace = namespace
        self.buffers = buffers or []
        self.trials: dict[int, Trial] = {}

    def run(
        self,
        number: int,
        seed: int,
        operations: list[Any],
        wanted: list[Any],
        buffers: list[bytes],
        encoder: Encoder,
    ) -> list[Any]:
        """Run one round of a trial and encode the values of ``wanted``."""
        trial = self.trials.get(number)
        if trial is None:
            trial = self.trials[number] = Trial(seed)
        trial.enter()
        self.slots, self.buffers = trial.slots, buffers
        for slot, name, *arguments in operations:
            self.slots[slot] = getattr(self, f"op_{name}")(*arguments)
        return [encoder(self.decode(item)) for item in wanted]

    def decode(self, item: list[Any]) -> Any:
        """Rebuild a value that the judge sent."""
        tag, *rest = item
        if tag == "r":
            return self.slots[rest[0]]
        if tag == "n":
            return None
        if tag == "f":
            return float.fromhex(rest[0])
        if tag == "a":
            dtype, shape, index = rest
            array = np.frombuffer(bytearray(self.buffers[index]), dtype=np.dtype(dtype)).reshape(shape)
            return _from_numpy(array)
        if tag in ("t", "l"):
            values = [self.decode(value) for value in rest[0]]
            return tuple(values) if tag == "t" else values
        if tag == "d":
            return {key: self.decode(value) for key, value in rest[0]}
        return rest[0]

    def op_let(self, value: list[Any], requires_grad: bool) -> Any:
        """A value of the judge's; a tensor may be a leaf whose gradient is asked for."""
        made = self.decode(value)
        return made.requires_grad_() if requires_grad else made

    def op_new(self, name: str, args: list[Any], kwargs: list[Any]) -> Any:
        """Build an object of the student's class ``name``."""
        return defined(self.namespace, name)(*self.decode(args), **self.decode(kwargs))

    def op_call(self, target: list[Any], method: str | None, args: list[Any], kwargs: list[Any]) -> Any:
        """Call an object or one of its methods."""
        function = self.decode(target)
        if method is not None:
            function = getattr(function, method)
        return function(*self.decode(args), **self.decode(kwargs))

    def op_call_any(self, target: list[Any], ways: list[Any]) -> Any:
        """Call an object in the first of several ways that raises nothing. If all raise, raise what the first one did."""
        function, first = self.decode(target), None
        for way in ways[1]:
            known = len(standins.RECORDER.calls)
            try:
                arguments = self.decode(way)
                by_keyword = arguments[-1] if type(arguments[-1]) is dict else {}
                return function(*arguments[: len(arguments) - bool(by_keyword)], **by_keyword)
            except Exception as error:
                first = first or error
                del standins.RECORDER.calls[known:], standins.RECORDER.inputs[known:]
        raise first or Unfit("there is no way to call it")

    def op_item(self, target: list[Any], key: Any) -> Any:
        """An element of a tuple, list or dict."""
        return as_tuple(self.decode(target))[key]

    def op_tensor_of(self, target: list[Any], shape: list[int]) -> Any:
        """The tensor of a shape among returned values, or else the first of them."""
        value = as_tuple(self.decode(target))
        values = value if isinstance(value, tuple | list) and value else [value]
        return next((v for v in values if type(v) in TENSORS and list(v.shape) == shape), values[0])

    def op_attribute(self, target: list[Any], name: str) -> Any:
        """An attribute of a student's object, None where it has none."""
        return getattr(self.decode(target), name, None)

    def op_parameters(self, target: list[Any]) -> dict[str, Any]:
        """Parameters by name, without those of stand-ins and without frozen single numbers, which are constants."""
        foreign = {id(standin.weight) for standin in standins.RECORDER.built}
        named = _named_parameters(self.decode(target))
        return {name: p for name, p in named if id(p) not in foreign and not _constant(p)}

    def op_registered(self, target: list[Any]) -> list[int]:
        """Indices of the stand-ins whose weight is a registered parameter of the module."""
        own = {id(parameter) for _, parameter in _named_parameters(self.decode(target))}
        return [standin.index for standin in standins.RECORDER.built if id(standin.weight) in own]

    def op_standins(self) -> list[dict[str, Any]]:
        """How each stand-in of the trial was built, in order."""
        return [{"class": type(s).__name__, **s.settings} for s in standins.RECORDER.built]

    def op_standin(self, index: int) -> Any:
        """The stand-in with this index."""
        return standins.RECORDER.built[index]

    def op_calls(self) -> list[dict[str, Any]]:
        """How the stand-ins of the trial were called, in order: which, with what input and what mask."""
        return list(standins.RECORDER.calls)

    def op_call_inputs(self) -> Any:
        """The inputs of the stand-ins' calls, concatenated, to ask for gradients of."""
        return torch.cat(standins.RECORDER.inputs)

    def op_forget_calls(self) -> None:
        """Start a new list of calls."""
        standins.RECORDER.calls.clear()
        standins.RECORDER.inputs.clear()

    def op_load(self, target: list[Any], weights: list[Any]) -> None:
        """Set parameters by name, in place."""
        parameters = dict(_named_parameters(self.decode(target), remove_duplicate=False))
        with _no_grad():
            for name, value in self.decode(weights).items():
                parameters[name].copy_(value)

    def op_mode(self, target: list[Any], training: bool) -> Any:
        """Set training or evaluation mode, if the object is a module."""
        module = self.decode(target)
        return _train(module, training) if isinstance(module, torch.nn.Module) else None

    def op_gradients(self, output: list[Any], cotangent: list[Any], inputs: list[Any]) -> list[Any]:
        """Gradients of sum(cotangent * output) by each input; None where the output does not depend on it."""
        return gradients(self.decode(output), self.decode(cotangent), [self.decode(item) for item in inputs])

    def op_parameter_gradients(
        self, output: list[Any], cotangent: list[Any], target: list[Any]
    ) -> dict[str, Any]:
        """The same by each parameter of a module, stand-ins' included."""
        named = dict(_named_parameters(self.decode(target)))
        found = gradients(self.decode(output), self.decode(cotangent), list(named.values()))
        return dict(zip(named, found, strict=True))


def _constant(parameter: torch.Tensor) -> bool:
    return not parameter.requires_grad and parameter.dim() == 0


def gradients(
    output: Any, cotangent: torch.Tensor | None, values: list[torch.Tensor]
) -> list[torch.Tensor | None]:
    """Gradients of sum(cotangent * output). It is a plain sum because torch imports sympy if it gets ``grad_outputs``."""
    if type(output) not in TENSORS:
        raise Unfit(f"a {type_name(type(output))} was returned, expected a tensor")
    if cotangent is None:
        if not output.requires_grad:
            return [None] * len(values)
        cotangent = _cos(1.0 + _arange(output.numel(), dtype=output.dtype)).reshape(output.shape)
    if output.shape != cotangent.shape:
        raise Unfit(
            f"a tensor of shape {tuple(output.shape)} was returned, expected {tuple(cotangent.shape)}"
        )
    if not output.requires_grad:
        raise Unfit("the result does not depend on any weight or input, so no gradient flows through it")
    learning = [value for value in values if value.requires_grad]
    if not learning:
        return [None] * len(values)
    found = iter(_grad((output * cotangent).sum(), learning, retain_graph=True, allow_unused=True))
    return [next(found) if value.requires_grad else None for value in values]


def defined(namespace: Mapping[str, Any], name: str) -> Any:
    """What the notebook defines as ``name``; raises `NotDefined`, with the reason where that is known."""
    if name not in namespace:
        raise NotDefined(f"{name} is not defined in the notebook")
    reason = absent.reason_of(namespace[name])
    if reason is not None:
        raise NotDefined(f"{name} is not defined in the notebook: {reason}")
    return namespace[name]


class Unfit(Exception):
    """The student's code returned something that an operation cannot use."""


class NotDefined(Exception):
    """The notebook does not define what a property asks for."""
