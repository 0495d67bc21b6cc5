"""The base of stand-ins for the parts that a judged part builds on: same signature, known behavior, no solution.

A homework's stand-ins derive from `StandIn`. Each records how it was built and called, and holds one ``weight`` that the judge
sets. The judge sends their source to the agent, so nothing here knows a homework.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import operator
import sys
import types
from typing import Any

import torch
from torch import Tensor, nn


class Recorder:
    """What the stand-ins of one trial saw, in order."""

    def __init__(self) -> None:
        self.built: list[StandIn] = []
        self.calls: list[dict[str, Any]] = []
        self.inputs: list[Tensor] = []
        """The inputs of the calls as they came, with what they were computed from."""

    def clear(self) -> None:
        """Forget everything, before the next trial."""
        self.built.clear()
        self.calls.clear()
        self.inputs.clear()


RECORDER = Recorder()


class StandIn(nn.Module):
    """Base of all stand-ins: counts itself and holds the one weight.

    ``original`` is the student's class of the same name. What that class takes beyond the homework's parameters, or under
    other names, its stand-in takes too.
    """

    names: tuple[str, ...] = ()
    original: type | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.settings = _by_name(self.names, self._ordered("__init__", self.names, args, kwargs))
        self.index = len(RECORDER.built)
        RECORDER.built.append(self)
        rows, columns = self.shape()
        grid = torch.arange(rows * columns, dtype=torch.float32).reshape(rows, columns)
        self.weight = nn.Parameter(torch.sin(1.0 + grid + 7.0 * self.index))
        self.built_with = (self.weight,)

    def _ordered(
        self, method: str, names: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[Any]:
        """The arguments in the order of ``names``, bound as the student's own class would bind them."""
        own = getattr(self.original, method, None)
        if own is not None:
            with contextlib.suppress(TypeError, ValueError):
                chosen, plainly = _order(own, names)
                if plainly and not kwargs and len(args) == len(names):
                    return list(args)
                if chosen:
                    bound = _signature(own).bind(self, *args, **kwargs)
                    bound.apply_defaults()
                    return [bound.arguments[name] for name in chosen]
        return _bind(f"{type(self).__name__}.{method}", names, args, kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> StandIn:
        """Cloning a module is a common way to build layers; a clone counts as one of its own."""
        clone = type(self)(*self.settings.values())
        memo[id(self)] = clone
        return clone

    def shape(self) -> tuple[int, int]:
        """Rows and columns of ``weight``."""
        raise NotImplementedError

    def record(self, x: Tensor, mask: Any = None) -> None:
        """Note a call with its input and its mask, as copies: what is changed in place later was not given in this call."""
        mask = mask.detach().clone() if isinstance(mask, Tensor) else mask
        RECORDER.calls.append({"index": self.index, "x": x.detach().clone(), "mask": mask})
        RECORDER.inputs.append(x)


@functools.lru_cache(maxsize=64)
def _signature(function: Any) -> inspect.Signature:
    return inspect.signature(function)


@functools.lru_cache(maxsize=64)
def _order(own: Any, names: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """Which of a function's parameters mean ``names``, and whether it takes just these by position, in this order."""
    signature = _signature(own)
    plain = [
        name
        for name, parameter in list(signature.parameters.items())[1:]
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    chosen = tuple(names if set(names) <= set(plain) else plain)[: len(names)]
    if len(chosen) < len(names):
        return (), False
    try:
        bound = signature.bind(None, *names)
    except TypeError:
        return chosen, False
    return chosen, all(bound.arguments.get(name) == meant for name, meant in zip(chosen, names, strict=True))


def _bind(name: str, names: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Bind arguments to the homework's parameter names; more than there are is an error, as in the provided class.

    A call without mask is bound, too: that it is missing is for a property to say.
    """
    if len(args) > len(names):
        raise TypeError(
            f"{name}() takes {len(names)} arguments ({', '.join(names)}) but {len(args)} were given"
        )
    bound: dict[str, Any] = {key: value for key, value in _DEFAULTS.items() if key in names[len(args) :]}
    bound.update(zip(names, args))  # noqa: B905  (fewer arguments than names is the point)
    for key, value in kwargs.items():
        if key not in names or key in names[: len(args)]:
            problem = "got several values for" if key in names else "got an unexpected keyword argument"
            raise TypeError(f"{name}() {problem} {key!r}")
        bound[key] = value
    missing = [key for key in names if key not in bound]
    if missing:
        raise TypeError(f"{name}() is missing {', '.join(repr(key) for key in missing)}")
    return [bound[key] for key in names]


_DEFAULTS = {"attn_mask": None, "return_attn": False}


def _by_name(names: tuple[str, ...], values: list[Any]) -> dict[str, int]:
    """Constructor arguments as whole numbers; a torch or numpy integer will do, a float will not."""
    return {name: operator.index(value) for name, value in zip(names, values, strict=True)}


@functools.lru_cache(maxsize=4)
def stand_ins_of(source: str) -> dict[str, type[StandIn]]:
    """The stand-ins that a homework's source defines, by the name of the class whose place they take."""
    module = types.ModuleType("homework_stand_ins")
    # Submissions cannot import the grader's own modules; this source may import the one it builds on.
    before = sys.modules.get("standins")
    sys.modules["standins"] = offered = types.ModuleType("standins")
    offered.__dict__["StandIn"] = StandIn
    try:
        exec(compile(source, "<stand-ins>", "exec"), module.__dict__)
    finally:
        if before is None:
            del sys.modules["standins"]
        else:
            sys.modules["standins"] = before
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, StandIn) and value is not StandIn
    }
