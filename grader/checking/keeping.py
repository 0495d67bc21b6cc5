"""Leaves the notebook's process as it was: random states, torch's settings, streams, names on accelerators."""

from __future__ import annotations

import contextlib
import copy
import itertools
import random
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from grader.checking.inside import kernel_modules


@contextlib.contextmanager
def as_in_a_kernel(namespace: dict[str, Any]) -> Iterator[None]:
    """Judge within as a kernel of the grader would: on the CPU, in float32, with gradients, one thread, and quietly.

    Models, tensors and settings of the notebook are the same afterwards. What its code reads from an accelerator is replaced by
    copies on the CPU meanwhile.
    """
    hardware = kernel_modules()["hardware"]
    quiet = kernel_modules()["rounds"].Quiet()
    with (
        _random_states_kept(),
        _torch_settings_kept(),
        _copies_on_cpu(namespace),
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
    ):
        hardware.pretend_accelerators()
        try:
            yield
        finally:
            hardware.stop_pretending_accelerators()


@contextlib.contextmanager
def _random_states_kept() -> Iterator[None]:
    plain, of_numpy, of_torch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    of_cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        random.setstate(plain)
        np.random.set_state(of_numpy)
        torch.set_rng_state(of_torch)
        if of_cuda is not None:
            torch.cuda.set_rng_state_all(of_cuda)


@contextlib.contextmanager
def _torch_settings_kept() -> Iterator[None]:
    dtype, threads, deterministic = (
        torch.get_default_dtype(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(),
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        if _default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)


def _default_device() -> torch.device:
    return torch.empty(0).device


@contextlib.contextmanager
def _copies_on_cpu(namespace: dict[str, Any]) -> Iterator[None]:
    """Names of the notebook that its classes and functions read, and whose values are on an accelerator, as copies."""
    wanted = _names_read(namespace)
    there = {name: value for name, value in namespace.items() if name in wanted and _is_elsewhere(value)}
    copies = {name: _on_cpu(value) for name, value in there.items()}
    namespace.update(copies)
    try:
        yield
    finally:
        namespace.update({name: value for name, value in there.items() if namespace.get(name) is copies[name]})


def _names_read(namespace: dict[str, Any]) -> set[str]:
    """The global names that functions and methods of the notebook mention."""
    found: set[str] = set()
    owners = [vars(value).values() for value in namespace.values() if isinstance(value, type)]
    waiting: list[Any] = [
        value.__code__
        for value in itertools.chain(list(namespace.values()), *owners)
        if isinstance(value, types.FunctionType) and value.__globals__ is namespace
    ]
    while waiting:
        code = waiting.pop()
        found.update(code.co_names)
        waiting += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return found


def _tensors(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    yield from itertools.chain(module.parameters(), module.buffers())


def _is_elsewhere(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.device.type != "cpu"
    return isinstance(value, torch.nn.Module) and any(each.device.type != "cpu" for each in _tensors(value))


def _on_cpu(value: Any) -> Any:
    """A copy on the CPU; the student's own object stays where it is."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().requires_grad_(value.requires_grad)
    memo: dict[int, Any] = {}
    for each in _tensors(value):
        moved = each.detach().cpu()
        is_parameter = isinstance(each, torch.nn.Parameter)
        memo[id(each)] = torch.nn.Parameter(moved, each.requires_grad) if is_parameter else moved
    return copy.deepcopy(value, memo)
