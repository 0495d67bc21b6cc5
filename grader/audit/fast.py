"""A kernel without walls, for code of our own: the corpus is judged in milliseconds instead of seconds.

A fork of this process runs the cells and then serves the same agent over the same wire as a real kernel does. There is no
isolation at all: never judge a submission in this way.
"""

from __future__ import annotations

import contextlib
import gc
import json
import linecache
import os
import signal
import socket
import sys
import types
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from grader import assets
from grader.errors import KernelError
from grader.kernel import inside
from grader.kernel.inside import packets
from grader.kernel.limits import Limits
from grader.kernel.remote import PropertyChannel, SocketConnection
from grader.kernel.stage import Stage
from grader.submission.facts import asks_for_accelerator
from grader.submission.syntax import parse


@cache
def _agent() -> Any:
    """The agent's module, with torch and what notebooks import; a process that has them forks in milliseconds."""
    import matplotlib.pyplot  # noqa: F401, PLC0415
    import nltk  # noqa: PLC0415

    # Where a real kernel is told to look by its environment.
    nltk.data.path.insert(0, str(assets.DATA / "nltk"))
    folder = str(Path(inside.__file__).parent)
    sys.path.insert(0, folder)
    try:
        import agent  # noqa: PLC0415
        import hardware  # noqa: F401, PLC0415  (found again below, where the folder is no longer in the path)
        import shims  # noqa: PLC0415
    finally:
        sys.path.remove(folder)
    shims.read_data_of_any_mode(nltk)
    return agent


class FastKernel:
    """Runs the cells of a submission of ours and opens connections for properties, as `Session` does."""

    def __init__(self, cells: Sequence[str], limits: Limits | None = None) -> None:
        self.cells, self.limits = cells, limits or Limits()
        self.errors: list[str] = []

    def __enter__(self) -> FastKernel:
        """Fork, run the cells there, and wait until they have run."""
        agent = _agent()
        ours, theirs = packets.pair()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                # What the judge has imported stays, so collections need not look at it, nor copy its pages.
                gc.freeze()
                ours.close()
                _become_kernel(agent, theirs, self.cells)
            finally:
                os._exit(1)
        theirs.close()
        self.control = ours
        try:
            self.errors = list(self._receive(self.limits.cells)["errors"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """End the fork; its children see their connections close."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.control.close()

    def cell_number(self, execution: int) -> int:
        """The same, as each cell ran once."""
        return execution

    def cell_name(self, number: int) -> str:
        """What people call a cell."""
        return f"code cell {number}"

    def begin_part(self) -> None:
        """Nothing: only a property's own time is limited here."""

    @contextlib.contextmanager
    def property(self, stage: Stage) -> Iterator[PropertyChannel]:
        """A connection to a fresh child; the child is gone afterwards."""
        ours, theirs = socket.socketpair()
        with theirs:
            answer = self._ask({"op": "property"}, [theirs.fileno()])
        channel = PropertyChannel(SocketConnection(ours, stage, self.limits.property), answer["pid"])
        try:
            yield channel
        finally:
            ours.close()
            self.reap(channel)

    def reap(self, channel: PropertyChannel, *, kill: bool = True) -> int | None:
        """End a property's child; its exit status, or minus the signal that ended it."""
        if not channel.ended:
            channel.ended = True
            channel.status = self._ask({"op": "reap", "pid": channel.pid, "kill": kill})["status"]
        return channel.status

    def time_is_up(self) -> str | None:
        """Never: a corpus of our own is small."""
        return None

    def why_ended(self, when: str) -> str:
        """That the fork is gone."""
        return f"the Python process ended {when}"

    def _ask(self, request: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        packets.send(self.control, json.dumps(request).encode(), fds)
        return self._receive(10.0)

    def _receive(self, seconds: float) -> dict[str, Any]:
        self.control.settimeout(seconds)
        try:
            data, _ = packets.receive(self.control, 1 << 16)
        except OSError as error:
            raise KernelError(f"the process gave no answer ({error})") from None
        if not data:
            raise KernelError("the process ended")
        answer: dict[str, Any] = json.loads(data)
        return answer


def _become_kernel(agent: Any, control: socket.socket, cells: Sequence[str]) -> None:
    agent.become_property_child()
    if any(asks_for_accelerator(tree) for tree in map(parse, cells) if tree is not None):
        sys.modules["hardware"].pretend_accelerators()
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    errors = []
    for number, source in enumerate(cells, start=1):
        name = f"cell-{number}"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        try:
            exec(compile(source, name, "exec"), main.__dict__)
        except BaseException as error:
            errors.append(f"cell {number}: {type(error).__name__}: {error}"[:500])
    packets.send(control, json.dumps({"errors": errors}).encode())
    agent.Agent(control, main.__dict__).serve()
