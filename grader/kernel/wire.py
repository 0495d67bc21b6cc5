"""The judge's half of the wire: numpy arrays to tagged lists, and replies back to plain values after checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
MAX_TEXT = 1 << 20
MAX_DEPTH = 10
MAX_NUMBERS = 8 << 20
"""Numbers in one reply. Each takes 8 bytes once it is float64, however small it was on the way."""
MAX_REPLY_TEXT = 4 << 20
MAX_REPLY_BYTES = 64 << 20


class WireError(Exception):
    """A reply that the wire's rules do not allow; it is the kernel's fault."""


@dataclass(frozen=True)
class Other:
    """A value of a type that does not cross the wire; only the type's name does."""

    type: str


@dataclass(frozen=True)
class Slot:
    """A value that stays in the kernel, named by the slot that holds it there."""

    number: int


def encode(value: Any, buffers: list[bytes]) -> list[Any]:
    """Write a judge's value as a tagged list; arrays append to ``buffers``."""
    writer = _WRITERS.get(type(value))
    if writer is None:
        # A subclass, such as a named tuple or numpy's float64, is written as what it is derived from.
        base = next((base for base in type(value).__mro__ if base in _WRITERS), None)
        if base is None:
            raise TypeError(f"a {type(value).__name__} cannot be sent to the kernel")
        writer = _WRITERS[base]
    return writer(value, buffers)


def _write_array(value: Array, buffers: list[bytes]) -> list[Any]:
    buffers.append(np.ascontiguousarray(value).tobytes())
    name = _NAMES.get(value.dtype) or value.dtype.name
    return ["a", name, list(value.shape), len(buffers) - 1]


_NAMES = {np.dtype(name): name for name in DTYPES}
_WRITERS: dict[type, Callable[[Any, list[bytes]], list[Any]]] = {
    Slot: lambda value, buffers: ["r", value.number],
    type(None): lambda value, buffers: ["n"],
    bool: lambda value, buffers: ["b", value],
    int: lambda value, buffers: ["i", value],
    float: lambda value, buffers: ["f", value.hex()],
    str: lambda value, buffers: ["s", value],
    np.ndarray: _write_array,
    tuple: lambda value, buffers: ["t", [encode(item, buffers) for item in value]],
    list: lambda value, buffers: ["l", [encode(item, buffers) for item in value]],
    dict: lambda value, buffers: ["d", [[key, encode(item, buffers)] for key, item in value.items()]],
}


def write_as_slot(kind: type, slot_of: Callable[[Any], Slot]) -> None:
    """Let objects of a type stand for a value in the kernel, wherever they are within what is sent."""
    _WRITERS[kind] = lambda value, buffers: ["r", slot_of(value).number]


class Allowance:
    """How many numbers the tensors of one reply may still hold."""

    def __init__(self, numbers: int = MAX_NUMBERS) -> None:
        self.numbers = numbers

    def take(self, count: int) -> None:
        """Count them; raises `WireError` where they are too many."""
        self.numbers -= count
        if self.numbers < 0:
            raise WireError(f"tensors with more than {MAX_NUMBERS} numbers in total, the most it reads at once")


def decode(item: Any, buffers: list[bytes], depth: int = 0, allowance: Allowance | None = None) -> Any:
    """Rebuild a reply. Tensors become numpy arrays of the dtype, shape and bytes given; raises `WireError` otherwise.

    ``allowance`` is shared by the values of one reply, which may name the same buffer many times.
    """
    try:
        return _decode(item, buffers, depth, allowance or Allowance())
    except (
        TypeError,
        ValueError,
        IndexError,
        KeyError,
        OverflowError,
        AttributeError,
        RecursionError,
    ) as error:
        raise WireError(f"a malformed reply ({type(error).__name__})") from None


def _decode(item: Any, buffers: list[bytes], depth: int, allowance: Allowance) -> Any:
    if type(item) is not list or not item or depth > MAX_DEPTH:
        raise ValueError("not a tagged list")
    tag, *rest = item
    if tag == "n" and not rest:
        return None
    if tag == "b" and type(rest[0]) is bool:
        return rest[0]
    if tag == "i" and type(rest[0]) is int:
        return rest[0]
    if tag == "f" and type(rest[0]) is str and len(rest[0]) < 64:
        return float.fromhex(rest[0])
    if tag == "s" and type(rest[0]) is str and len(rest[0]) <= MAX_TEXT:
        return rest[0]
    if tag == "o" and type(rest[0]) is str:
        return Other(rest[0][:200])
    if tag in ("t", "l"):
        values = [_decode(value, buffers, depth + 1, allowance) for value in rest[0]]
        return tuple(values) if tag == "t" else values
    if tag == "d":
        if not all(type(key) is str for key, _ in rest[0]):
            raise ValueError("a key that is no string")
        return {key: _decode(value, buffers, depth + 1, allowance) for key, value in rest[0]}
    if tag == "a":
        array = _array(rest[0], rest[1], rest[2], buffers)
        allowance.take(array.size)
        return array
    raise ValueError("an unknown tag")


def _array(dtype: Any, shape: Any, index: Any, buffers: list[bytes]) -> Array:
    if (
        dtype not in DTYPES
        or type(shape) is not list
        or len(shape) > 8
        or type(index) is not int
        or index < 0
    ):
        raise ValueError("not a tensor")
    if not all(type(size) is int and 0 <= size <= MAX_NUMBERS for size in shape):
        raise ValueError("not a shape")
    buffer = buffers[index]
    kind = np.dtype(dtype)
    if math.prod(shape) * kind.itemsize != len(buffer):
        raise ValueError("shape and buffer disagree")
    # A bool is any byte but 0, as numpy takes other values at their word.
    flat: Array = np.frombuffer(buffer, np.uint8) != 0 if dtype == "bool" else np.frombuffer(buffer, kind)
    return flat.reshape(shape)
