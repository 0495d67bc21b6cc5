"""Answers rounds of properties: the calls of their trials, run on the student's objects."""

from __future__ import annotations

import contextlib
import io
import linecache
import traceback
from collections.abc import Callable
from typing import Any

from interpreter import Interpreter
from stage import PROVIDED, Stage
from values import Encoder, type_name

MAX_TEXT = 4000


class Quiet(io.TextIOBase):
    """A stream that forgets what is written to it."""

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Count and forget."""
        return len(text)


def cell_of_file(filename: str) -> str | None:
    """The execution count of the cell that was compiled under this name in a kernel; None for other code."""
    return filename[5:] if filename.startswith("cell-") else None


class Rounds:
    """What answers the rounds of one connection, in the process of the student's objects.

    Args:
        namespace: what the notebook defines.
        passing: exceptions that are nobody's answer and go through.
        cell_of: the execution count of the cell that a file's name stands for, or None.
        stage: what puts stand-ins in place; by default one for all of ``namespace``.
    """

    def __init__(
        self,
        namespace: dict[str, Any],
        passing: tuple[type[BaseException], ...] = (),
        cell_of: Callable[[str], str | None] = cell_of_file,
        stage: Stage | None = None,
    ) -> None:
        self._interpreter, self._stage = Interpreter(namespace), stage or Stage(namespace)
        self._passing, self._cell_of = passing, cell_of

    def answer(self, header: dict[str, Any], buffers: list[bytes]) -> tuple[list[Any], list[bytes]]:
        """The replies to one round, and their buffers."""
        if header["stage"] is not None:
            self._stage.set(header["stage"])
        if header["fresh"]:
            self._interpreter.trials.clear()
        replies: list[Any] = []
        encoder = Encoder()
        for number, seed, operations, wanted in header["trials"]:
            try:
                replies.append(
                    {"values": self._interpreter.run(number, seed, operations, wanted, buffers, encoder)}
                )
            except self._passing:
                raise
            except BaseException as error:
                replies.append({"error": describe(error, self._cell_of)})
                if header["stop"]:
                    break
        return replies, encoder.buffers


def describe(error: BaseException, cell_of: Callable[[str], str | None] = cell_of_file) -> dict[str, Any]:
    """An exception as data: type, message, and the frames that lie in notebook cells, or in provided code, as cell 0."""
    try:
        message = str(error)[:MAX_TEXT]
    except BaseException:
        message = "(its message cannot be read)"
    places = []
    with contextlib.suppress(BaseException):
        for frame, line in traceback.walk_tb(error.__traceback__):
            filename = frame.f_code.co_filename
            cell = "0" if filename.startswith(PROVIDED) else cell_of(filename)
            if cell is not None:
                text = linecache.getline(filename, line).strip()[:200]
                places.append([cell, line, str(frame.f_code.co_name)[:100], text])
    return {"type": type_name(type(error)), "message": message, "frames": places[-20:]}
