"""Answers the judge from within the kernel.

The agent holds no expected answer. It forks children that serve the properties, so a crash, a hang or a change of state stays
in the child, and the next child starts from the kernel as the notebook left it. It keeps its own references to what it calls,
since a submission may patch torch and os.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import absent
import frames
import packets
import shims
import torch
from rounds import Quiet, Rounds
from stage import Stage, own_modules

_send, _receive = packets.send, packets.receive
_set_threads = torch.set_num_threads
_sleep = time.sleep
_fork, _exit, _dup2, _open, _waitpid, _kill = os.fork, os._exit, os.dup2, os.open, os.waitpid, os.kill


def fork_patiently(seconds: float = 3.0) -> int:
    """``os.fork``, tried again for a while if the user has too many processes, as other kernels' may soon end."""
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
        self.modules: list[dict[str, Any]] | None = None

    def serve(self) -> None:
        """Answer until the judge says ``leave`` or hangs up."""
        while True:
            data, fds = _receive(self.control, 1 << 16, 4)
            if not data:
                _exit(0)
            request = json.loads(data)
            if request["op"] == "leave":
                return
            answer = getattr(self, f"on_{request['op']}")(request, fds)
            _send(self.control, json.dumps(answer).encode())

    def on_property(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Fork a child that serves properties over the connection that came along."""
        sys.stdout.flush()
        if self.modules is None:
            self.modules = own_modules()
        # What exists by now stays out of the child's collections, which would copy all its pages to look at it.
        gc.freeze()
        pid = fork_patiently()
        if pid == 0:
            status = 1
            try:
                self.control.close()
                become_property_child()
                serve_property(socket.socket(fileno=fds[0]), self.namespace, self.modules)
                status = 0
            finally:
                _exit(status)
        os.close(fds[0])
        self.children.add(pid)
        return {"pid": pid}

    def on_train(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Train over the connection that came along, in this process: a fork could use neither a GPU nor several threads."""
        assert self.train is not None
        _send(self.control, json.dumps({"pid": os.getpid()}).encode())
        with socket.socket(fileno=fds[0]) as connection:
            self.train(connection, fds[1:], self.namespace)
        for descriptor in fds[1:]:
            os.close(descriptor)
        return {"trained": True}

    def on_reap(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Kill a child if it still runs, and return how it ended: exit status, or minus the signal."""
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
        """Names of those top-level modules that cannot be found."""
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
        """Give names without a value a placeholder, so that only their use fails."""
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
    """Prepare a forked kernel for computing: one thread, quiet streams, default signals."""
    _set_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.alarm(0)
    # A child lives for a second at most, and reference counts free most of its objects.
    gc.set_threshold(10_000)
    null = _open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        _dup2(null, descriptor)
    sys.stdout = sys.stderr = Quiet()
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)


def serve_property(
    connection: socket.socket, namespace: dict[str, Any], modules: list[dict[str, Any]]
) -> None:
    """Answer rounds of properties until the judge hangs up."""
    rounds = Rounds(namespace, stage=Stage(namespace, modules))
    while True:
        try:
            header, buffers = frames.receive_frame(connection)
        except frames.FrameError:
            return
        frames.send_frame(connection, *rounds.answer(header, buffers))
