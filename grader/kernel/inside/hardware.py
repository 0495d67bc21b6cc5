"""Accelerators that a notebook asks for and the grader does not have: their tensors live on the CPU, their tools do nothing."""

from __future__ import annotations

import contextlib
import types
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

ACCELERATORS = frozenset({"cuda", "hip", "mps", "xla", "xpu"})
NAME = "CPU (no accelerator while grading)"
_IDENTITIES = {torch.Tensor.cuda, torch.Tensor.pin_memory}
_TENSOR_TYPES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Byte", "Char", "Bool")


class AcceleratorIsCpu(TorchFunctionMode):
    """Turns every request for an accelerator into one for the CPU."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace devices among the arguments of any torch function."""
        if func in _IDENTITIES:
            return args[0]
        if func is torch.Tensor.to and len(args) > 1 and type(args[1]) is int:
            args = (args[0], "cpu", *args[2:])
        elif func is torch.Tensor.type and any(type(value) is str for value in args):
            args = tuple(_on_cpu(value) if type(value) is str else value for value in args)
        if any(_is_accelerator(value) for value in args):
            args = tuple("cpu" if _is_accelerator(value) else value for value in args)
        if kwargs:
            kwargs = {
                key: "cpu" if _is_accelerator(value) or (key == "device" and type(value) is int) else value
                for key, value in kwargs.items()
                if key != "pin_memory"
            }
        return func(*args, **(kwargs or {}))


def _is_accelerator(value: Any) -> bool:
    if type(value) is str:
        return value.partition(":")[0] in ACCELERATORS
    return type(value) is _device and value.type in ACCELERATORS


def _on_cpu(name: Any) -> Any:
    """The CPU's name of a tensor type such as ``torch.cuda.LongTensor``."""
    return name.replace("torch.cuda.", "torch.") if isinstance(name, str) else name


_device, _Generator = torch.device, torch.Generator


class _StandsFor(type):
    """A class whose instances are those of the class that it stands for."""

    real: type

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.real)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.real)


class _Device(metaclass=_StandsFor):
    """``torch.device``, for which a plain number is a GPU."""

    real = _device

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and type(args[0]) is int and not kwargs:
            return _device("cuda", args[0])
        return _device(*args, **kwargs)


class _AnyGenerator(metaclass=_StandsFor):
    """``torch.Generator``, which is one of the CPU for any device."""

    real = _Generator

    def __new__(cls, device: Any = "cpu") -> Any:
        return _Generator()


class _Idle:
    """Stands for a stream or an event: every method does nothing and returns nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take whatever a stream or event takes."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None

    def elapsed_time(self, end: Any) -> float:
        """No time."""
        return 0.0

    def query(self) -> bool:
        """Everything is done."""
        return True

    def __enter__(self) -> _Idle:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def _constant(value: Any) -> Callable[..., Any]:
    """A function of its own for each use: torch's compiler refuses one function under two names."""
    return lambda *args, **kwargs: value


def _context(*args: Any, **kwargs: Any) -> Any:
    return contextlib.nullcontext()


def _stand_ins() -> Iterator[tuple[Any, str, Any]]:
    """What takes the place of what, as (owner, name, replacement)."""
    cuda = torch.cuda
    for name in (
        "current_device", "memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved",
        "memory_cached", "max_memory_cached", "memory_usage", "utilization", "temperature", "power_draw", "clock_rate",
    ):  # fmt: skip
        yield cuda, name, _constant(0)
    for name in (
        "synchronize", "empty_cache", "ipc_collect", "set_device", "init", "reset_peak_memory_stats",
        "reset_max_memory_allocated", "reset_max_memory_cached", "reset_accumulated_memory_stats",
        "set_per_process_memory_fraction", "set_rng_state", "set_rng_state_all", "set_stream",
    ):  # fmt: skip
        yield cuda, name, _constant(None)
    yield cuda, "memory_stats", lambda device=None: defaultdict(int)
    yield cuda, "memory_summary", _constant("")
    yield cuda, "memory_snapshot", lambda *args, **kwargs: []
    yield cuda, "list_gpu_processes", _constant("")
    yield cuda, "mem_get_info", _constant((0, 0))
    yield cuda, "get_device_name", _constant(NAME)
    yield cuda, "get_device_capability", _constant((0, 0))
    properties = {"name": NAME, "major": 0, "minor": 0, "total_memory": 0, "multi_processor_count": 0}
    yield cuda, "get_device_properties", lambda device=None: types.SimpleNamespace(**properties)
    yield cuda, "get_rng_state", lambda device=None: torch.get_rng_state()
    yield cuda, "get_rng_state_all", lambda: []
    for name in ("device", "device_of", "stream"):
        yield cuda, name, _context
    for name in ("Event", "Stream", "ExternalStream"):
        yield cuda, name, _Idle
    for name in ("current_stream", "default_stream"):
        yield cuda, name, _Idle
    for kind in _TENSOR_TYPES:
        yield cuda, f"{kind}Tensor", getattr(torch, f"{kind}Tensor")
    for name in ("range_push", "range_pop", "range_start", "range_end", "mark"):
        yield cuda.nvtx, name, _constant(None)
    yield cuda.nvtx, "range", _context
    for name in ("empty_cache", "synchronize", "set_per_process_memory_fraction", "set_rng_state"):
        yield torch.mps, name, _constant(None)
    for name in ("current_allocated_memory", "driver_allocated_memory", "recommended_max_memory"):
        yield torch.mps, name, _constant(0)
    yield torch.mps, "get_rng_state", lambda device=None: torch.get_rng_state()
    accelerator = getattr(torch, "accelerator", None)
    if accelerator is not None:
        for name in ("synchronize", "set_device_index", "set_device_idx", "empty_cache"):
            yield accelerator, name, _constant(None)
        for name in ("current_device_index", "current_device_idx", "memory_allocated", "max_memory_allocated"):
            yield accelerator, name, _constant(0)
    set_type = torch.set_default_tensor_type
    yield torch, "set_default_tensor_type", lambda kind: set_type(_on_cpu(kind))
    yield torch, "device", _Device
    yield torch, "Generator", _AnyGenerator
    move = torch.nn.Module.to

    def to(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args and type(args[0]) is int:
            args = ("cpu", *args[1:])
        if type(kwargs.get("device")) is int:
            kwargs["device"] = "cpu"
        return move(self, *args, **kwargs)

    yield torch.nn.Module, "to", to


_ABSENT = object()
_PRETENDING: list[tuple[Any, list[tuple[Any, str, Any]]]] = []


def pretend_accelerators() -> None:
    """Let code that is written for a GPU work on a host without one, for the rest of the process."""
    mode: Any = AcceleratorIsCpu()
    before: list[tuple[Any, str, Any]] = []
    for owner, name, replacement in list(_stand_ins()):
        before.append((owner, name, vars(owner).get(name, _ABSENT)))
        setattr(owner, name, replacement)
    mode.__enter__()
    _PRETENDING.append((mode, before))


def stop_pretending_accelerators() -> bool:
    """Give accelerators their meaning back, in a process that has been given a GPU; whether they had another."""
    pretended = bool(_PRETENDING)
    for mode, before in reversed(_PRETENDING):
        mode.__exit__(None, None, None)
        for owner, name, value in reversed(before):
            if value is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
    _PRETENDING.clear()
    return pretended


def leave_uncompiled() -> None:
    """``torch.compile`` gives back what it is given: there is no compiler here, and the numbers are the same."""

    def compile(model: Any = None, **options: Any) -> Any:
        return model if model is not None else lambda decorated: decorated

    library: Any = torch
    library.compile, library.nn.Module.compile = compile, _constant(None)
