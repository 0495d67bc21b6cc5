"""Writes the calls of a counterexample as Python code that a student runs in the notebook."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grader.judging.transcript import Found, Operation, Transcript
from grader.kernel.remote import Remote, slot_of
from grader.kernel.wire import Array

LONGEST = 3400
"""Characters of a snippet."""
MOST_NUMBERS = (72, 24)
"""Numbers of a tensor that are written out; fewer where the snippet would be too long otherwise."""
MOST_WHOLE_NUMBERS = 400
_WIDTH = 96
_MOST_PRINTED = 3
_BLANK_LINES = re.compile(r"\n\s*\n")


def snippet(
    transcript: Transcript,
    found: Sequence[Found],
    names: Mapping[str, Array],
    ways: Mapping[int, int],
    remarks: Sequence[str] = (),
) -> str:
    """Code that makes the values in ``found`` and prints them; empty where the notebook cannot, or where it is too long.

    Args:
        transcript: the calls of the trial.
        found: the values to print; without any, everything that the last round asked for is made, as one call raises.
        names: how a case calls its tensors.
        ways: by slot, in which of several ways a call works.
        remarks: sentences to put at the end as comments.
    """
    wanted = found or transcript.asked(len(transcript.replies))
    able = [each for each in wanted if transcript.needed_for([each.slot]) is not None]
    operations = transcript.needed_for([each.slot for each in able]) if able else None
    if not operations or all(each.name not in ("new", "call", "call_any") for each in operations):
        return ""
    for most in MOST_NUMBERS:
        writer = _Writer(names, ways, most)
        try:
            for operation in operations:
                writer.write(operation)
        except _Unwritable:
            continue
        printed = [f"print({writer.expression(each)})" for each in able[:_MOST_PRINTED]] if found else []
        random = ["Tensors of many numbers are random here, so the numbers differ from the report's."]
        comments = as_comments([*remarks, *(random if writer.is_random else ())])
        text = written([*writer.lines, *printed, *comments])
        if len(text) <= LONGEST:
            return text
    return ""


def written(lines: Sequence[str]) -> str:
    """Lines of code as a whole that runs below the student's class."""
    return "\n".join(["import torch", "", *lines])


def as_comments(sentences: Sequence[str]) -> list[str]:
    """Sentences as comments of ordinary width."""
    return [f"# {line}" for sentence in sentences for line in textwrap.wrap(sentence, _WIDTH - 2)]


class _Unwritable(Exception):
    """Something of the calls has no spelling in a notebook."""


@dataclass
class _Writer:
    """Lines of code for operations, and the variables that hold their results."""

    names: Mapping[str, Array]
    ways: Mapping[int, int]
    most: int
    lines: list[str] = field(default_factory=list)
    is_random: bool = False
    variables: dict[int, str] = field(default_factory=dict)
    tensors: list[tuple[Array, str]] = field(default_factory=list)
    taken: set[str] = field(default_factory=lambda: {"torch"})

    def write(self, operation: Operation) -> None:
        """Append the lines of one operation."""
        line = getattr(self, f"_{operation.name}")(operation, *operation.arguments)
        if line is not None:
            self.lines += line if isinstance(line, list) else [line]

    def expression(self, found: Found) -> str:
        """The code that gives a value that came back."""
        return self.variables[found.slot] + "".join(f"[{key!r}]" for key in found.path)

    def _name(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self.taken:
            number += 1
            name = f"{wanted}_{number}"
        self.taken.add(name)
        return name

    def _assign(self, operation: Operation, name: str, value: str) -> str:
        self.variables[operation.slot] = self._name(name)
        return f"{self.variables[operation.slot]} = {value}"

    def _value(self, value: Any) -> str:
        """An argument; a tensor gets a variable of its own first."""
        if isinstance(value, Remote):
            return self.variables[slot_of(value)]
        if isinstance(value, np.ndarray):
            return self._tensor(value)
        if isinstance(value, tuple | list):
            inner = ", ".join(self._value(item) for item in value)
            return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key!r}: {self._value(item)}" for key, item in value.items()) + "}"
        if value is None or isinstance(value, bool | int | float | str):
            return repr(value)
        raise _Unwritable

    def _tensor(self, value: Array) -> str:
        for known, name in self.tensors:
            if known.dtype == value.dtype and np.array_equal(known, value):
                return name
        wanted = next((name for name, array in self.names.items() if np.array_equal(array, value)), "value")
        name = self._name(wanted)
        self.lines.append(f"{name} = {self._literal(value, len(name) + 16)}")
        self.tensors.append((value, name))
        return name

    def _literal(self, value: Array, indent: int = 0) -> str:
        shape = ", ".join(str(size) for size in value.shape)
        if value.size > self.most and value.dtype.kind == "f":
            self.is_random = True
            return f"torch.randn({shape})"
        if value.size > MOST_WHOLE_NUMBERS or not np.all(np.isfinite(value)):
            raise _Unwritable
        if value.size == 0:
            return f"torch.zeros({shape or '()'}, dtype=torch.{value.dtype})"
        text = np.array2string(
            value,
            separator=", ",
            formatter={"float_kind": str},
            max_line_width=_WIDTH,
            threshold=10**6,
            prefix=" " * indent,
        )
        dtype = "" if value.dtype in (np.float32, np.int64, np.bool_) else f", dtype=torch.{value.dtype}"
        return f"torch.tensor({_BLANK_LINES.sub(chr(10), text)}{dtype})"

    def _arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        given = [self._value(argument) for argument in args]
        return ", ".join([*given, *(f"{name}={self._value(value)}" for name, value in kwargs.items())])

    # -- operations, by name ---------------------------------------------------------------------------------------

    def _new(self, operation: Operation, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
        arguments = self._arguments(args, kwargs)
        return self._assign(operation, snake if snake != name else f"{snake}_object", f"{name}({arguments})")

    def _let(self, operation: Operation, value: Any, requires_grad: bool) -> str | None:
        self.variables[operation.slot] = variable = self._value(value)
        return f"{variable} = {variable}.clone().requires_grad_()" if requires_grad else None

    def _call(
        self, operation: Operation, target: Remote, method: str | None, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> str:
        function = self._value(target) + (f".{method}" if method else "")
        name = "result" if method is None or not method.isidentifier() else f"{method}d"
        name = "result" if method in (None, "clone") else name
        return self._assign(operation, name, f"{function}({self._arguments(args, kwargs)})")

    def _call_any(self, operation: Operation, target: Remote, ways: Sequence[Sequence[Any]]) -> str:
        way = ways[self.ways.get(operation.slot, 0)]
        by_keyword = way[-1] if isinstance(way[-1], dict) else {}
        positional = way[: len(way) - bool(by_keyword)]
        return self._assign(operation, "result", f"{self._value(target)}({self._arguments(positional, by_keyword)})")

    def _item(self, operation: Operation, target: Remote, key: int | str) -> None:
        self.variables[operation.slot] = f"{self._value(target)}[{key!r}]"

    def _tensor_of(self, operation: Operation, target: Remote, shape: Sequence[int]) -> str:
        of = self._value(target)
        return self._assign(operation, "output", f"{of} if torch.is_tensor({of}) else {of}[0]")

    def _attribute(self, operation: Operation, target: Remote, name: str) -> None:
        self.variables[operation.slot] = f"{self._value(target)}.{name}"

    def _parameters(self, operation: Operation, target: Remote) -> None:
        self.variables[operation.slot] = f"dict({self._value(target)}.named_parameters())"

    def _gradients(self, operation: Operation, output: Remote, cotangent: Any, inputs: Sequence[Any]) -> str:
        total = self._weighted(output, cotangent)
        return self._assign(
            operation, "gradients", f"torch.autograd.grad({total}, {self._value(list(inputs))}, allow_unused=True)"
        )

    def _parameter_gradients(self, operation: Operation, output: Remote, cotangent: Any, target: Remote) -> list[str]:
        total, module = self._weighted(output, cotangent), self._value(target)
        named = self._name("parameters")
        made = f"dict(zip({named}, torch.autograd.grad({total}, list({named}.values()), allow_unused=True)))"
        return [f"{named} = dict({module}.named_parameters())", self._assign(operation, "gradients", made)]

    def _weighted(self, output: Remote, cotangent: Any) -> str:
        of = self._value(output)
        if cotangent is None:
            return f"({of} * torch.cos(1.0 + torch.arange({of}.numel())).reshape({of}.shape)).sum()"
        if isinstance(cotangent, np.ndarray) and cotangent.shape == ():
            return of
        return f"({of} * {self._value(cotangent)}).sum()"

    def _load(self, operation: Operation, target: Remote, weights: Mapping[str, Array]) -> list[str]:
        rows = []
        for name, value in weights.items():
            key = f"    {name!r}: "
            text = self._literal(value, len(key) + 13)
            rows.append(f"{key}{text},")
        if not rows:
            return []
        variable = self._name("weights")
        return [
            f"{variable} = {{",
            *rows,
            "}",
            "with torch.no_grad():",
            f"    for name, value in {variable}.items():",
            f"        {self._value(target)}.get_parameter(name).copy_(value)",
        ]

    def _mode(self, operation: Operation, target: Remote, training: bool) -> str:
        return f"{self._value(target)}.{'train' if training else 'eval'}()"
