"""Running source code in a kernel by nbclient; how that ended is a type."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from grader.errors import host_error
from grader.kernel.manager import Manager
from grader.submission.salvage import Failure

GRACE = 15.0
"""Seconds after a timeout in which nbclient must have noticed it."""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Completed:
    """The code ran to its end."""

    seconds: float


@dataclass(frozen=True)
class Raised:
    """The code raised an exception."""

    seconds: float
    failure: Failure


@dataclass(frozen=True)
class TimedOut:
    """The code was still running after its time. The kernel may be busy with it yet."""

    seconds: float


@dataclass(frozen=True)
class Died:
    """The kernel process ended, or broke Jupyter's protocol and was killed."""

    seconds: float
    broke_protocol: bool = False


Execution = Completed | Raised | TimedOut | Died


class _BoundedClient(NotebookClient):
    """An nbclient that keeps none of a cell's outputs: it waits for the reply, and for the end of the output."""

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        # Nothing that a cell shows is of use here, and any of it may be forged, malformed or without end.
        if msg["msg_type"] == "status" and type(msg["content"]) is dict:
            return super().process_message({**msg, "content": _state(msg["content"])}, cell, cell_index)
        return None


class Executor:
    """nbclient's connection to one kernel. ``kill`` ends that kernel, and may be called from another thread."""

    def __init__(self, manager: Manager, loop: asyncio.AbstractEventLoop, kill: Callable[[], None]) -> None:
        self._loop, self._kill = loop, kill
        self._timeout = 0.0
        self._reply: dict[str, Any] | None = None
        self.last_count: int | None = None
        self._client = _BoundedClient(
            nbformat.v4.new_notebook(),
            km=manager,
            allow_errors=True,
            store_widget_state=False,
            shutdown_kernel="immediate",
            record_timing=False,
            skip_cells_with_tag="",
            timeout_func=lambda cell: self._timeout,
            iopub_timeout=10,
            on_cell_executed=self._note_reply,
        )

    def connect(self) -> None:
        """Wait until the kernel answers; raises `KernelError`."""
        self._loop.run_until_complete(self._client.async_start_new_kernel_client())

    def close(self) -> None:
        """Hang up."""
        if self._client.kc is not None:
            self._client.kc.stop_channels()
            self._client.kc = None

    def send(self, message_type: str) -> None:
        """Send a message of a type of our own to the kernel's shell channel; raises what ZeroMQ raises."""
        kc: Any = self._client.kc
        kc.shell_channel.send(kc.session.msg(message_type, {}))

    @property
    def has_replied(self) -> bool:
        """Whether the kernel has answered what it was last given to run."""
        return self._reply is not None

    def run(self, source: str, seconds: float) -> Execution:
        """Run source code in the kernel, for so many seconds at most; raises `HostError`.

        ``last_count`` is then the kernel's execution count, if it gave one.
        """
        client = self._client
        self._timeout, self._reply, self.last_count = seconds, None, None
        cell = nbformat.v4.new_code_cell(source)
        client.nb.cells.append(cell)
        started = time.monotonic()
        # A kernel that floods its sockets keeps nbclient from looking at its clock.
        last_resort = threading.Timer(seconds + GRACE, self._kill)
        last_resort.daemon = True
        last_resort.start()
        try:
            self._loop.run_until_complete(client.async_execute_cell(cell, len(client.nb.cells) - 1))
        except CellTimeoutError:
            self._forget_tasks()
            return TimedOut(seconds)
        except DeadKernelError:
            self._forget_tasks()
            return Died(time.monotonic() - started)
        except Exception as error:  # whatever a kernel can provoke in nbclient by what it sends is the kernel's fault
            self._forget_tasks()
            self._kill()
            if (scarce := host_error(error)) is not None:
                raise scarce from None
            return Died(time.monotonic() - started, broke_protocol=True)
        finally:
            last_resort.cancel()
        taken = time.monotonic() - started
        content: Any = self._reply.get("content") if self._reply else None
        if type(content) is not dict:
            return Completed(taken)
        count = content.get("execution_count")
        self.last_count = count if type(count) is int else None
        return Raised(taken, failure_of(content)) if content.get("status") == "error" else Completed(taken)

    def _note_reply(self, cell: Any, cell_index: int, execute_reply: dict[str, Any]) -> None:
        self._reply = execute_reply

    def _forget_tasks(self) -> None:
        """Cancel what nbclient leaves waiting after a failure, so that it does not fail later, where nobody asks."""
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def _state(content: dict[str, Any]) -> dict[str, Any]:
    """Of a status message only what nbclient waits for."""
    state = content.get("execution_state")
    return {"execution_state": state if type(state) is str else ""}


def failure_of(content: dict[str, Any]) -> Failure:
    """Name, message and lines of the exception in an execute reply, all of bounded length."""
    traceback = content.get("traceback")
    shown = [_text(line, 20_000) for line in traceback[:50]] if type(traceback) is list else []
    # A kernel can send any text as its count.
    count = re.escape(str(content.get("execution_count"))[:20])
    places = re.findall(rf"(?:\bCell In\[{count}\], line |\bcell-{count}:)(\d{{1,9}})", _ANSI.sub("", "\n".join(shown)))
    lines = tuple(int(line) for line in places[:50])
    return Failure(_text(content.get("ename"), 100), _text(content.get("evalue"), 300), lines)


def _text(value: Any, limit: int) -> str:
    return value[:limit] if type(value) is str else ""
