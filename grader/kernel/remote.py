"""What a property holds in its hands: proxies that record calls, and a connection that runs them in the kernel.

A program of calls is recorded first and run when the property asks for values (``yield``), so that many trials travel in
one frame.
"""

from __future__ import annotations

import abc
import math
import re
import socket
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from grader.kernel.inside import frames
from grader.kernel.stage import Stage
from grader.kernel.wire import (
    MAX_REPLY_BYTES,
    MAX_REPLY_TEXT,
    Allowance,
    Slot,
    WireError,
    decode,
    encode,
    write_as_slot,
)

MAX_FRAMES = 1000
MAX_SIZE = 1024
"""The largest size of a stand-in, as arrays are made of these; cases have none above a few hundred."""
MAX_STAND_INS = 1000


@dataclass(frozen=True)
class Place:
    """Where in the notebook an exception passed: code cell number (1-based), line, function, text of the line."""

    cell: int
    line: int
    function: str
    text: str


class StudentError(Exception):
    """Student code raised an exception in the kernel."""

    def __init__(self, type_name: str, message: str, places: tuple[Place, ...] = ()) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name, self.message, self.places = type_name, message, places


class NoReply(Exception):
    """The kernel did not answer as the wire demands: it died, took too long, or broke the format."""


class ReplyTimedOut(NoReply):
    """No answer arrived in time."""

    def __init__(self) -> None:
        super().__init__("no answer in time")


class BadReply(NoReply):
    """An answer arrived that the wire's rules do not allow; the message says why."""


@dataclass
class Recording:
    """The calls that one trial has recorded since it last asked for values."""

    seed: int
    operations: list[list[Any]] = field(default_factory=list)
    slots: int = 0

    def add(self, name: str, *arguments: Any) -> Remote:
        """Record one operation; its result is a new slot."""
        self.slots += 1
        self.operations.append([self.slots, name, *arguments])
        return Remote(self, Slot(self.slots))


class Remote:
    """An object or value in the kernel. Calling it, its methods or indexing it records a call there."""

    def __init__(self, recording: Recording, slot: Slot) -> None:
        self._recording, self._slot = recording, slot

    def __call__(self, *args: Any, **kwargs: Any) -> Remote:
        """Call the object."""
        return self._recording.add("call", _Value(self), None, _Value(args), _Value(kwargs))

    def any_way(self, *ways: tuple[Any, ...]) -> Remote:
        """Call the object in the first of several ways that raises nothing.

        A way is a tuple of arguments, of which the last may be a dict of those that go by keyword.
        """
        return self._recording.add("call_any", _Value(self), _Value(ways))

    def method(self, name: str, *args: Any, **kwargs: Any) -> Remote:
        """Call one of the object's methods."""
        return self._recording.add("call", _Value(self), name, _Value(args), _Value(kwargs))

    def __getitem__(self, key: int | str) -> Remote:
        """An element of a returned tuple, list or dict."""
        return self._recording.add("item", _Value(self), key)

    def tensor_of(self, shape: Sequence[int]) -> Remote:
        """The tensor of this shape among several returned values, or else the first value."""
        return self._recording.add("tensor_of", _Value(self), list(shape))

    def attribute(self, name: str) -> Remote:
        """An attribute of the object; None where it has none."""
        return self._recording.add("attribute", _Value(self), name)

    def parameters(self) -> Remote:
        """Its own trainable parameters by name, those of stand-ins left out."""
        return self._recording.add("parameters", _Value(self))

    def registered(self) -> Remote:
        """Indices of the stand-ins that are registered within the module."""
        return self._recording.add("registered", _Value(self))

    def load(self, weights: dict[str, Any]) -> None:
        """Set parameters by name, in place."""
        self._recording.add("load", _Value(self), _Value(weights))

    def mode(self, training: bool) -> None:
        """Put the module in training or in evaluation mode."""
        self._recording.add("mode", _Value(self), training)


class Sizes(Remote):
    """A list of stand-ins with their sizes, which are checked when it comes back."""


write_as_slot(Remote, lambda remote: remote._slot)


class Student:
    """The submission, as a property sees it: ``student.Layer(4, 8)`` builds one in the kernel."""

    def __init__(self, seed: int) -> None:
        self._recording = Recording(seed)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._recording.add("new", name, _Value(args), _Value(kwargs))

    def tensor(self, value: Any, *, requires_grad: bool = False) -> Remote:
        """An input that can be looked at again after a call, or whose gradient is asked for."""
        return self._recording.add("let", _Value(value), requires_grad)

    def gradients(self, output: Remote, cotangent: Any, inputs: Sequence[Remote]) -> Remote:
        """Gradients of sum(cotangent * output) by each input; None where there is no dependence.

        With None as the cotangent one is made for the output as it is, and one that is cut off gives None everywhere.
        """
        return self._recording.add(
            "gradients", _Value(output), _Value(cotangent), [_Value(item) for item in inputs]
        )

    def parameter_gradients(self, output: Remote, cotangent: Any, module: Remote) -> Remote:
        """The same by each parameter of a module, as a dict by name."""
        return self._recording.add("parameter_gradients", _Value(output), _Value(cotangent), _Value(module))

    def standins(self) -> Remote:
        """How the trial's stand-ins were built, in order: class and constructor arguments."""
        recorded = self._recording.add("standins")
        return Sizes(recorded._recording, recorded._slot)

    def standin(self, index: int) -> Remote:
        """The stand-in that was built as number ``index``."""
        return self._recording.add("standin", index)

    def calls(self) -> Remote:
        """How the trial's stand-ins were called, in order: index, x and mask."""
        return self._recording.add("calls")

    def call_inputs(self) -> Remote:
        """The inputs of the calls, one batch after the other, to ask for gradients of them by a module's parameters."""
        return self._recording.add("call_inputs")

    def forget_calls(self) -> None:
        """Start a new list of calls."""
        self._recording.add("forget_calls")


@dataclass(frozen=True)
class _Value:
    """An argument that is encoded when the frame is made, as its buffers belong to the frame."""

    value: Any


def recording_of(student: Student) -> Recording:
    """The recording behind a student proxy."""
    return student._recording


def slot_of(remote: Remote) -> int:
    """The number of the slot that holds a proxy's value in the kernel."""
    return remote._slot.number


def operand(argument: Any) -> Any:
    """An argument of a recorded operation, as the property gave it."""
    if isinstance(argument, _Value):
        return argument.value
    return [operand(item) for item in argument] if isinstance(argument, list) else argument


_frames: dict[Hashable, tuple[list[Any], list[bytes]]] = {}


def _written(trials: Sequence[tuple[int, Recording, Any]]) -> tuple[list[Any], list[bytes]]:
    """A round as it goes over the wire: rows and buffers."""
    buffers: list[bytes] = []
    rows = []
    for number, recording, wanted in trials:
        operations = [[_encoded(part, buffers) for part in operation] for operation in recording.operations]
        items = wanted if isinstance(wanted, tuple) else (wanted,)
        rows.append([number, recording.seed, operations, [encode(item, buffers) for item in items]])
    return rows, buffers


class Connection(abc.ABC):
    """A connection to the student's objects, for one property after the other. Subclasses know how rounds get there.

    A property may take ``seconds``, and no longer than ``last`` says (`time.monotonic`).
    """

    def __init__(self, stage: Stage, seconds: float, last: Callable[[], float] = lambda: math.inf) -> None:
        self._stage, self._seconds, self._last = stage, seconds, last
        self._told = False
        self.owes_answer = False
        """Whether a round got no answer. One that came later would be taken for that of another round."""
        self.begin()

    def enter(self, stage: Stage) -> None:
        """Go on in a stage; the child leaves the one that it is in."""
        self._told, self._stage = self._told and stage == self._stage, stage

    def begin(self, seconds: float | None = None) -> None:
        """Begin a property: its time runs from now, and the objects of the last one are forgotten.

        ``seconds`` takes the place of the connection's own.
        """
        allowed = self._seconds if seconds is None else seconds
        self._fresh, self._deadline = True, min(time.monotonic() + allowed, self._last())

    def run(
        self, trials: Sequence[tuple[int, Recording, Any]], *, stop: bool, same: Hashable = None
    ) -> list[Any]:
        """Run one round: for each trial (number, recording, wanted) its values or its `StudentError`.

        With ``stop`` the first error ends the round and later trials get no answer. ``same`` names a round that is the same
        for every submission, so that it is written once a process. Raises `NoReply`.
        """
        if self.owes_answer:
            raise NoReply("it has not answered an earlier call")
        frame = _frames.get(same) if same is not None else None
        if frame is None:
            frame = _written(trials)
            if same is not None and len(_frames) < MAX_FRAMES:
                _frames[same] = frame
        rows, buffers = frame
        for _, recording, _ in trials:
            recording.operations = []
        stage = None if self._told else self._stage
        header = {"trials": rows, "stop": stop, "stage": stage and stage.header(), "fresh": self._fresh}
        self._told, self._fresh = True, False
        self.owes_answer = True
        try:
            replies, received = self._exchange(header, buffers)
            self.owes_answer = False
            allowance = Allowance()
            if type(replies) is not list or not 0 < len(replies) <= len(trials):
                raise WireError("a reply of the wrong length")
            answers = [
                _answer(reply, received, wanted, allowance)
                for reply, (_, _, wanted) in zip(replies, trials)  # noqa: B905  (a stopped round is shorter)
            ]
            # Only an error ends a round early; else a forged reply could leave out the trials that would fail.
            if len(answers) < len(trials) and not (stop and isinstance(answers[-1], StudentError)):
                raise WireError("a reply of the wrong length")
            return answers
        except frames.FrameTimeout:
            raise ReplyTimedOut from None
        except WireError as error:
            raise BadReply(str(error)) from None
        except frames.FrameError as error:
            raise (BadReply if isinstance(error, frames.FrameRefused) else NoReply)(str(error)) from None
        except MemoryError:
            raise BadReply("a reply that is larger than the grader's memory for it") from None

    @abc.abstractmethod
    def _exchange(self, header: dict[str, Any], buffers: list[bytes]) -> tuple[Any, list[bytes]]:
        """Pass on a round and give back its replies, before the deadline; raises `frames.FrameError`."""


class SocketConnection(Connection):
    """A connection to a child that the agent forked."""

    def __init__(
        self,
        stream: socket.socket,
        stage: Stage,
        seconds: float,
        last: Callable[[], float] = lambda: math.inf,
    ) -> None:
        super().__init__(stage, seconds, last)
        self._stream = stream

    def _exchange(self, header: dict[str, Any], buffers: list[bytes]) -> tuple[Any, list[bytes]]:
        frames.send_frame(self._stream, header, buffers, self._deadline)
        return frames.receive_frame(
            self._stream, self._deadline, most_text=MAX_REPLY_TEXT, most_payload=MAX_REPLY_BYTES
        )


@dataclass
class PropertyChannel:
    """A property's connection and the child behind it."""

    connection: Connection
    pid: Any
    ended: bool = False
    status: int | None = None


def _encoded(part: Any, buffers: list[bytes]) -> Any:
    if type(part) is _Value:
        return encode(part.value, buffers)
    return [_encoded(item, buffers) for item in part] if type(part) is list else part


def _answer(reply: Any, buffers: list[bytes], wanted: Any, allowance: Allowance | None = None) -> Any:
    if type(reply) is not dict or len(reply) != 1:
        raise WireError("a malformed reply")
    if "error" in reply:
        return error_of(reply["error"])
    values = reply.get("values")
    count = len(wanted) if isinstance(wanted, tuple) else 1
    if type(values) is not list or len(values) != count:
        raise WireError("a reply with the wrong number of values")
    allowance = allowance or Allowance()
    decoded = tuple(decode(value, buffers, allowance=allowance) for value in values)
    answer = decoded if isinstance(wanted, tuple) else decoded[0]
    _check_sizes(wanted, answer)
    return answer


def _check_sizes(wanted: Any, answer: Any) -> None:
    """Refuse sizes of stand-ins of which no array should be made; raises `WireError`."""
    if isinstance(wanted, tuple | list) and isinstance(answer, tuple | list):
        for item, value in zip(wanted, answer):  # noqa: B905  (a list may come back shorter)
            _check_sizes(item, value)
    elif isinstance(wanted, Sizes):
        if not isinstance(answer, list) or len(answer) > MAX_STAND_INS:
            raise WireError("a malformed list of the parts that were built")
        for built in answer:
            for name, size in built.items() if isinstance(built, dict) else [("it", built)]:
                if type(size) not in (int, str) or (type(size) is int and not 0 <= size <= MAX_SIZE):
                    raise WireError(f"one of the parts that your code builds has {name} = {str(size)[:40]}, above {MAX_SIZE}")


def error_of(data: Any) -> StudentError:
    """The exception that a reply reports; raises `WireError`."""
    try:
        name, message, rows = data["type"], data["message"], data["frames"]
        places = tuple(_place(*row) for row in rows[-20:])
    except (TypeError, ValueError, KeyError):
        raise WireError("a malformed error report") from None
    if type(name) is not str or type(message) is not str:
        raise WireError("a malformed error report")
    return StudentError(name[:200], message[:4000], places)


def _place(cell: Any, line: Any, function: Any, text: Any) -> Place:
    texts = type(cell) is str and type(function) is str and type(text) is str
    if not texts or type(line) is not int or not re.fullmatch("[0-9]{1,9}", cell):
        raise TypeError("not a place")
    return Place(int(cell), line, function[:100], text[:200])
