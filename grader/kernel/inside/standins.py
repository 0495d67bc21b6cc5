"""Stand-ins for the parts that a judged part builds on: same signature, known linear behaviour, no solution.

Each one mixes tokens by the row-normalised mask that it was given and by a ``weight`` that the judge sets, and records
how it was built and called. Masks may be (T, T), (1, T, T) or (B, T, T), of any dtype, or None.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import operator
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

    def mix(self, x: Tensor, attn_mask: Any) -> Tensor:
        """Token mixing (B, T, T): each row spreads evenly over the tokens that the mask permits."""
        if self.weight is not self.built_with[0]:  # as by torch.func.functional_call
            raise TypeError(f"{type(self).__name__} is called with other parameters than its own")
        batch, tokens = x.shape[0], x.shape[1]
        given = attn_mask is not None
        # Copies: what is changed in place later was not given in this call.
        mask_then = attn_mask.detach().clone() if isinstance(attn_mask, Tensor) else attn_mask
        RECORDER.calls.append({"index": self.index, "x": x.detach().clone(), "mask": mask_then})
        RECORDER.inputs.append(x)
        if not given:
            return x.new_full((batch, tokens, tokens), 1.0 / tokens)
        mask = torch.as_tensor(attn_mask).to(device=x.device, dtype=x.dtype)
        while mask.dim() < 3:
            mask = mask.unsqueeze(0)
        if mask.dim() == 4 and mask.shape[1] == 1:
            mask = mask[:, 0]
        mask = (mask.expand(batch, tokens, tokens) > 0).to(x.dtype)
        # A row that permits nothing mixes nothing: a wrong mask is the mask's law's to find, not that of all which follow.
        return mask / mask.sum(-1, keepdim=True).clamp_min(1.0)

    def marks(self, heads: int, mixing: Tensor, x: Tensor) -> Tensor:
        """Recognizable attention weights (B, heads, T, T): the mixing, tilted by head, by instance and by the tokens."""
        tilt = _tilt(mixing.shape[-1], heads, 3 * self.index).to(mixing)
        # In float64, so that the judge gets the same for inputs of any size.
        seen = x.detach().to(torch.float64) @ _cosines(x.shape[-1]).to(x.device)
        of_token = (1.0 + 0.5 * seen / (1.0 + seen.abs())).to(mixing.dtype)  # (B, T)
        tilted = mixing[:, None] * (tilt * of_token[:, None, None])  # (B, heads, T, T)
        total = tilted.sum(-1, keepdim=True)
        return tilted / torch.where(total > 0, total, 1.0)


class AttentionHead(StandIn):
    """Stands in for the student's AttentionHead where MultiHeadedAttention is judged."""

    names = ("dim", "n_hidden")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.n_hidden = self.settings["n_hidden"]

    def shape(self) -> tuple[int, int]:
        """(dim, n_hidden)."""
        return self.settings["dim"], self.settings["n_hidden"]

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """x (B, T, dim), attn_mask -> (B, T, n_hidden) and (B, T, T)."""
        x, attn_mask = self._ordered("forward", ("x", "attn_mask"), args, kwargs)
        mixing = self.mix(x, attn_mask)
        return mixing @ x @ self.weight, self.marks(1, mixing, x)[:, 0]


class AttentionResidual(StandIn):
    """Stands in for AttentionResidual where Transformer is judged."""

    names = ("dim", "attn_dim", "mlp_dim", "num_heads")

    def shape(self) -> tuple[int, int]:
        """(dim, dim)."""
        return self.settings["dim"], self.settings["dim"]

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """x (B, T, dim), attn_mask -> (B, T, dim) and (B, H, T, T)."""
        x, attn_mask = self._ordered("forward", ("x", "attn_mask"), args, kwargs)
        mixing = self.mix(x, attn_mask)
        return x + mixing @ x @ self.weight, self.marks(self.settings["num_heads"], mixing, x)


class Transformer(StandIn):
    """Stands in for the student's Transformer where DialogueGPT is judged.

    A mask of a shape that it does not take is recorded and does nothing: it is one property's to find, not everyone's.
    """

    names = ("dim", "attn_dim", "mlp_dim", "num_heads", "num_layers")
    pinned: Tensor | None = None

    def pin(self, output: Tensor) -> None:
        """Return ``output`` (1, T, dim) for every sequence from now on, whatever comes in."""
        self.pinned = output

    def mix(self, x: Tensor, attn_mask: Any) -> Tensor:
        """The mixing by a mask that fits."""
        batch, tokens = x.shape[:2]
        shape = tuple(getattr(attn_mask, "shape", (tokens, tokens)))
        if shape in ((tokens, tokens), (1, tokens, tokens), (batch, tokens, tokens)):
            return super().mix(x, attn_mask)
        mixing = super().mix(x, None)
        RECORDER.calls[-1]["mask"] = attn_mask.detach().clone() if isinstance(attn_mask, Tensor) else attn_mask
        return mixing

    def shape(self) -> tuple[int, int]:
        """(dim, dim)."""
        return self.settings["dim"], self.settings["dim"]

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
        """x (B, T, dim), attn_mask, return_attn=False -> (B, T, dim) and None or (B, L, H, T, T)."""
        x, attn_mask, return_attn = self._ordered("forward", ("x", "attn_mask", "return_attn"), args, kwargs)
        mixing = self.mix(x, attn_mask)
        layers, heads = self.settings["num_layers"], self.settings["num_heads"]
        alphas = self.marks(layers * heads, mixing, x).unflatten(1, (layers, heads)) if return_attn else None
        if self.pinned is not None:
            return self.pinned.expand(x.shape), alphas
        return x + mixing @ x @ self.weight, alphas


STAND_INS: dict[str, type[StandIn]] = {
    cls.__name__: cls for cls in (AttentionHead, AttentionResidual, Transformer)
}


@functools.lru_cache(maxsize=256)
def _tilt(tokens: int, heads: int, shift: int) -> Tensor:
    """By what stand-ins' attention weights differ between heads (heads, 1, T)."""
    return 1.0 + ((torch.arange(tokens) + torch.arange(heads)[:, None, None] + shift) % 5).to(torch.float32)


@functools.lru_cache(maxsize=64)
def _cosines(size: int) -> Tensor:
    return torch.cos(torch.arange(size, dtype=torch.float64))


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

    A call without mask is bound, too: that it is missing is for a law to say.
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
