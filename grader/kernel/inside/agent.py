"""Answers the judge from within the kernel: runs the calls of a property's trials on the student's objects.

The agent holds no expected answer. It keeps its own references to what it calls, since a submission may patch torch, and
it forks children that serve the properties, so that a crash, a hang or a change of state stays in the child and the next one
starts from the kernel as the notebook left it.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import gc
import io
import json
import linecache
import os
import pathlib
import random
import signal
import socket
import sys
import time
import traceback
import types
from collections.abc import Callable, Mapping
from typing import Any

import absent
import frames
import numpy as np
import shims
import standins
import torch

MAX_TEXT = 4000
PROVIDED = "<provided "
MAX_ITEMS = 10_000
_DTYPES = {
    name: getattr(torch, name)
    for name in ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_tensor_types = (torch.Tensor, torch.nn.Parameter)
_detach, _to_numpy, _is_neg, _resolve_neg, _clone = (
    torch.Tensor.detach,
    torch.Tensor.numpy,
    torch.Tensor.is_neg,
    torch.Tensor.resolve_neg,
    torch.Tensor.clone,
)
_cos, _arange = torch.cos, torch.arange
_from_numpy, _grad, _set_threads = torch.from_numpy, torch.autograd.grad, torch.set_num_threads
# Not torch.manual_seed: that formats a stack trace each time, in case CUDA starts later.
_manual_seed, _no_grad = torch.default_generator.manual_seed, torch.no_grad
_named_parameters, _train = torch.nn.Module.named_parameters, torch.nn.Module.train
_sleep = time.sleep
_fork, _exit, _dup2, _open, _waitpid, _kill = os.fork, os._exit, os.dup2, os.open, os.waitpid, os.kill


class Encoder:
    """Writes values as tagged lists (see `frames`); what has no tag crosses as the name of its type only."""

    def __init__(self) -> None:
        self.buffers: list[bytes] = []

    def __call__(self, value: Any, depth: int = 0) -> list[Any]:
        """Encode by exact type: a subclass with its own behaviour does not pass for a plain value."""
        kind = type(value)
        if value is None:
            return ["n"]
        if kind is bool:
            return ["b", value]
        if kind is int and -(2**63) <= value < 2**63:
            return ["i", value]
        if kind is float:
            return ["f", value.hex()]
        if kind is str and len(value) <= 1 << 20:
            return ["s", value]
        if kind in _tensor_types:
            return self._tensor(value)
        value = as_tuple(value)
        kind = type(value)
        if kind is tuple or kind is list:
            if depth < 8 and len(value) <= MAX_ITEMS:
                return ["t" if kind is tuple else "l", [self(item, depth + 1) for item in value]]
        elif (
            kind is dict and depth < 8 and len(value) <= MAX_ITEMS and all(type(key) is str for key in value)
        ):
            return ["d", [[key, self(item, depth + 1)] for key, item in value.items()]]
        return ["o", type_name(kind)]

    def _tensor(self, value: torch.Tensor) -> list[Any]:
        name = _NAMES.get(value.dtype)
        if name is None or value.layout is not torch.strided or value.device.type != "cpu":
            return ["o", f"{value.dtype} tensor on {value.device.type}"]
        plain = _detach(value)
        if _is_neg(plain):
            plain = _resolve_neg(plain)
        array = _to_numpy(plain)
        self.buffers.append(array.tobytes())
        return ["a", name, list(value.shape), len(self.buffers) - 1]


def as_tuple(value: Any) -> Any:
    """A named tuple or an instance of a dataclass as the plain tuple of its fields; anything else as it is."""
    kind = type(value)
    if isinstance(value, tuple) and kind is not tuple and hasattr(kind, "_fields"):
        return tuple(tuple.__iter__(value))
    if dataclasses.is_dataclass(kind) and not isinstance(value, torch.nn.Module):
        return tuple(getattr(value, field.name) for field in dataclasses.fields(kind))
    return value


class Trial:
    """The objects of one trial, by slot number, alive until the property ends."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.slots: dict[int, Any] = {}
        self.recorder = standins.Recorder()
        self.round = 0

    def enter(self) -> None:
        """Seed each round anew, by its number: that costs a fraction of keeping the random states between rounds."""
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
        """Call an object in the first of several ways that raises nothing; else raise what the first way raised."""
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
        return next((v for v in values if type(v) in _tensor_types and list(v.shape) == shape), values[0])

    def op_attribute(self, target: list[Any], name: str) -> Any:
        """An attribute of a student's object, None where it has none."""
        return getattr(self.decode(target), name, None)

    def op_parameters(self, target: list[Any]) -> dict[str, Any]:
        """Parameters by name, the stand-ins' own left out, and lone numbers that are frozen: these are constants."""
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
        """The inputs of the stand-ins' calls as they came, one batch after the other, to ask for gradients of."""
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
        """Training or evaluation mode; what is no module has none."""
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
    """Gradients of sum(cotangent * output); a plain sum, as torch imports sympy when it is given grad_outputs."""
    if type(output) not in _tensor_types:
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
    """What the student's code returned is not of the kind that an operation needs."""


class NotDefined(Exception):
    """The notebook does not define what a property asks for."""


def fork_patiently(seconds: float = 3.0) -> int:
    """``os.fork``; where the user has too many processes for a moment, which may be another kernel's, tried again."""
    for _ in range(int(seconds / 0.05)):
        try:
            return _fork()
        except BlockingIOError:
            _sleep(0.05)
    return _fork()


class Agent:
    """Serves the judge over the control socket, in the kernel's main thread."""

    def __init__(
        self,
        control: socket.socket,
        namespace: dict[str, Any],
        train: Callable[[socket.socket, list[int], dict[str, Any]], None] | None = None,
    ) -> None:
        self.control = control
        self.namespace = namespace
        self.train = train
        self.children: set[int] = set()

    def serve(self) -> None:
        """Answer until the judge says ``leave`` or hangs up."""
        while True:
            data, fds, _, _ = socket.recv_fds(self.control, 1 << 16, 4)
            if not data:
                _exit(0)
            request = json.loads(data)
            if request["op"] == "leave":
                return
            answer = getattr(self, f"on_{request['op']}")(request, fds)
            self.control.send(json.dumps(answer).encode())

    def on_property(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Fork a child that serves properties over the connection that came along."""
        sys.stdout.flush()
        # What exists by now stays out of the child's collections, which would copy all its pages to look at it.
        gc.freeze()
        pid = fork_patiently()
        if pid == 0:
            status = 1
            try:
                self.control.close()
                become_property_child()
                serve_property(socket.socket(fileno=fds[0]), self.namespace)
                status = 0
            finally:
                _exit(status)
        os.close(fds[0])
        self.children.add(pid)
        return {"pid": pid}

    def on_train(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Train over the connection that came along, in this process: a fork could use neither a GPU nor several threads."""
        assert self.train is not None
        self.control.send(json.dumps({"pid": os.getpid()}).encode())
        with socket.socket(fileno=fds[0]) as connection:
            self.train(connection, fds[1:], self.namespace)
        for descriptor in fds[1:]:
            os.close(descriptor)
        return {"trained": True}

    def on_reap(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Kill a child if it still runs, and say how it ended: exit status, or minus the signal."""
        pid = request["pid"]
        if pid not in self.children:
            return {"status": None}
        self.children.discard(pid)
        ended, status = _waitpid(pid, os.WNOHANG)
        if ended == 0 and not request["kill"]:
            status = _wait_a_little(pid)
        elif ended == 0:
            _kill(pid, signal.SIGKILL)
            status = _waitpid(pid, 0)[1]
        return {"status": os.waitstatus_to_exitcode(status)}

    def on_modules(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Which of the top-level modules cannot be found here."""
        import importlib.util  # noqa: PLC0415

        missing = []
        for name in request["names"]:
            try:
                found = name in sys.modules or importlib.util.find_spec(name) is not None
            except (ImportError, ValueError):
                found = False
            if not found:
                missing.append(name)
        return {"missing": missing}

    def on_stand_for_absent(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Let imports of absent packages succeed, so that only their use fails."""
        shims.stand_for_absent(request["names"])
        return {}

    def on_stand_for_names(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Let names that have no value stand for one, so that only their use fails."""
        return {"names": absent.stand_for_names(self.namespace, request["reasons"])}


def _wait_a_little(pid: int) -> int:
    """Wait up to a second for a child that has closed its connection, then kill it."""
    import time  # noqa: PLC0415

    for _ in range(100):
        ended, status = _waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.01)
    _kill(pid, signal.SIGKILL)
    return _waitpid(pid, 0)[1]


def become_property_child() -> None:
    """Make a forked kernel fit to compute: one thread, quiet streams, default signals."""
    _set_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.alarm(0)
    null = _open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        _dup2(null, descriptor)
    sys.stdout = sys.stderr = Quiet()
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)


class Quiet(io.TextIOBase):
    """A stream that forgets what is written to it."""

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Count and forget."""
        return len(text)


def serve_property(connection: socket.socket, namespace: dict[str, Any]) -> None:
    """Answer the rounds of one property after the other until the judge hangs up."""
    interpreter, stage = Interpreter(namespace), Stage(namespace)
    while True:
        try:
            header, buffers = frames.receive_frame(connection)
        except frames.FrameError:
            return
        if header["world"] is not None:
            stage.set(header["world"])
        if header["fresh"]:
            interpreter.trials.clear()
        replies: list[Any] = []
        encoder = Encoder()
        for number, seed, operations, wanted in header["trials"]:
            try:
                replies.append(
                    {"values": interpreter.run(number, seed, operations, wanted, buffers, encoder)}
                )
            except BaseException as error:
                replies.append({"error": describe(error)})
                if header["stop"]:
                    break
        frames.send_frame(connection, replies, encoder.buffers)


class Stage:
    """The notebook's names, of which a world has other things take the place."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace, self.names = namespace, dict(namespace)
        self.methods: list[tuple[type, str, Any]] = []
        # Classes of modules that the notebook wrote look their names up there.
        self.modules = {id(module): (module, dict(module)) for module in own_modules()}

    def set(self, world: dict[str, Any]) -> None:
        """Put stand-ins and provided code in the place of what the notebook defines, under all its names there."""
        self.clear()
        for name in world["stand_ins"]:
            self._stand_in(name, standins.stand_ins_of(world["source"])[name], lenient=world["lenient"])
        for source in world["provided"]:
            for node in ast.parse(source).body:
                exec(compile(ast.Module([node], []), "<provided>", "exec"), self.namespace)
                self._take_place(getattr(node, "name", ""))
        for owner, method, source in world["methods"]:
            cls = self.namespace.get(owner)
            if isinstance(cls, type):
                scope = dict(self.namespace)
                filename = f"{PROVIDED}{owner}.{method}>"
                linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
                exec(compile(source, filename, "exec"), scope)
                self.methods.append((cls, method, cls.__dict__.get(method)))
                setattr(cls, method, scope[method])

    def clear(self) -> None:
        """Put everything back as the notebook left it."""
        for cls, method, before in reversed(self.methods):
            if before is None:
                delattr(cls, method)
            else:
                setattr(cls, method, before)
        self.methods.clear()
        for namespace, names in [(self.namespace, self.names), *self.modules.values()]:
            namespace.clear()
            namespace.update(names)

    def _stand_in(self, name: str, cls: type[standins.StandIn], *, lenient: bool) -> None:
        original = self.namespace.get(name)
        lenient = lenient and isinstance(original, type)
        replacement = type(name, (cls,), {"original": original if lenient else None, "__module__": "__main__"})
        same = [key for key, value in self.namespace.items() if original is not None and value is original]
        self.namespace.update(dict.fromkeys([*same, name], replacement))
        self._take_place(name)

    def _take_place(self, name: str) -> None:
        """Let what the notebook's name now means take the place of what it meant in the notebook's own modules, too."""
        original = self.names.get(name)
        for module, names in self.modules.values():
            same = [key for key, value in names.items() if original is not None and value is original]
            module.update(dict.fromkeys(same, self.namespace[name]))


def own_modules() -> list[dict[str, Any]]:
    """The namespaces of the modules whose files the notebook wrote."""
    home = str(pathlib.Path.cwd()) + os.sep
    spaces = [vars(module) for module in list(sys.modules.values()) if type(module) is types.ModuleType]
    return [space for space in spaces if str(space.get("__file__") or "").startswith(home)]


def type_name(kind: type) -> str:
    """A type's name, bounded, whatever its metaclass does."""
    name = type.__dict__["__name__"].__get__(kind)
    return str(name)[:200]


def describe(error: BaseException) -> dict[str, Any]:
    """An exception as data: type, message, and the frames that lie in notebook cells, or in provided code, as cell 0."""
    try:
        message = str(error)[:MAX_TEXT]
    except BaseException:
        message = "(its message cannot be read)"
    places = []
    with contextlib.suppress(BaseException):
        for frame, line in traceback.walk_tb(error.__traceback__):
            filename = frame.f_code.co_filename
            if filename.startswith(("cell-", PROVIDED)):
                cell = filename[5:] if filename.startswith("cell-") else "0"
                text = linecache.getline(filename, line).strip()[:200]
                places.append([cell, line, str(frame.f_code.co_name)[:100], text])
    return {"type": type_name(type(error)), "message": message, "frames": places[-20:]}
