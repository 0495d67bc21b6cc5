"""Connections from the judge to the kernel's agent: one to a fresh child for properties, one to the trainer."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence

from grader.errors import KernelError
from grader.kernel.remote import PropertyChannel, SocketConnection
from grader.kernel.running import RunningKernel
from grader.kernel.stage import Stage

AGENT_SECONDS = 10.0
"""How long the agent may take to fork a child, to end one or to start the trainer."""


@contextlib.contextmanager
def property_channel(
    kernel: RunningKernel, stage: Stage, seconds: float, last: Callable[[], float]
) -> Iterator[PropertyChannel]:
    """A connection to a fresh child of the kernel; the child is gone afterwards.

    A property may take ``seconds``, and no longer than ``last`` says. Raises `KernelError`.
    """
    kernel.serve()
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        # A round in one piece: else both sides take turns at its parts.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with theirs:
        answer = kernel.ask({"op": "property"}, min(AGENT_SECONDS, seconds), [theirs.fileno()])
    channel = PropertyChannel(SocketConnection(ours, stage, seconds, last=last), answer.get("pid"))
    try:
        yield channel
    finally:
        ours.close()
        with contextlib.suppress(KernelError):
            reap(kernel, channel, seconds)


def reap(kernel: RunningKernel, channel: PropertyChannel, seconds: float, *, kill: bool = True) -> int | None:
    """End a channel's child; its exit status, or minus the signal that ended it."""
    if channel.ended:
        return channel.status
    channel.ended = True
    request = {"op": "reap", "pid": channel.pid, "kill": kill}
    status = kernel.ask(request, min(AGENT_SECONDS, seconds)).get("status")
    channel.status = status if type(status) is int else None
    return channel.status


@contextlib.contextmanager
def trainer_connection(kernel: RunningKernel, files: Sequence[int]) -> Iterator[socket.socket]:
    """A connection to the kernel's trainer, which may read the open ``files``; the kernel is of no other use meanwhile.

    Raises `KernelError`.
    """
    kernel.serve()
    ours, theirs = socket.socketpair()
    with theirs:
        kernel.ask({"op": "train"}, AGENT_SECONDS, [theirs.fileno(), *files])
    with ours:
        yield ours
