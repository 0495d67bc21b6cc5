"""A kernel that is no process of its own: the student's classes are judged where they are defined."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from grader.checking.inside import kernel_modules
from grader.checking.time_limit import OutOfTime, time_limit
from grader.errors import KernelError
from grader.kernel.inside import frames
from grader.kernel.limits import Deadlines, Limits
from grader.kernel.remote import Connection, PropertyChannel
from grader.kernel.stage import Stage


class LocalKernel:
    """What the engine needs of a kernel, for the classes of a namespace in this process.

    A property that takes too long is stopped; one that ends the process ends it. Use `keeping.as_in_a_kernel` around it.

    Args:
        namespace: what the notebook defines.
        limits: how long a property and a part may take.
        cell_of: the execution count of the cell that a file's name stands for, or None.
    """

    def __init__(
        self, namespace: dict[str, Any], limits: Limits, cell_of: Callable[[str], str | None] = lambda name: None
    ) -> None:
        self.limits, self.namespace, self.cell_of = limits, namespace, cell_of
        self.stage = kernel_modules()["stage"].Stage(namespace, _own_modules())
        self.current: LocalConnection | None = None
        self._deadlines = Deadlines(limits)

    def cell_number(self, execution: int) -> int:
        """The same: a notebook that is open shows execution counts."""
        return execution

    def cell_name(self, number: int) -> str:
        """A cell as the notebook shows it."""
        return f"In [{number}]"

    def begin_part(self) -> None:
        """Count the time of a part from now on."""
        self._deadlines.begin_part()

    def time_is_up(self) -> str | None:
        """Whose time is used up, if any is."""
        return self._deadlines.spent()

    @contextlib.contextmanager
    def property(self, stage: Stage) -> Iterator[PropertyChannel]:
        """A connection that answers in this process; the notebook's names are as before when it is closed."""
        if (spent := self.time_is_up()) is not None:
            raise KernelError(spent)
        connection = LocalConnection(self, stage, self.limits.property, lambda: self._deadlines.part)
        try:
            yield PropertyChannel(connection, None)
        finally:
            self.stage.clear()
            self.current = None

    def reap(self, channel: PropertyChannel, *, kill: bool = True) -> int | None:
        """Nothing: there is no child to end."""
        return None

    def why_ended(self, when: str) -> str:
        """What keeps a part from being judged further."""
        return f"{self.time_is_up() or 'the check stopped'} {when}"


class LocalConnection(Connection):
    """A connection whose other side runs in this thread."""

    def __init__(
        self, kernel: LocalKernel, stage: Stage, seconds: float, last: Callable[[], float]
    ) -> None:
        self._kernel = kernel
        passing = (OutOfTime, KeyboardInterrupt)
        rounds = kernel_modules()["rounds"].Rounds
        self._rounds = rounds(kernel.namespace, passing, kernel.cell_of, kernel.stage)
        super().__init__(stage, seconds, last)

    def _exchange(self, header: dict[str, Any], buffers: list[bytes]) -> tuple[Any, list[bytes]]:
        if self._kernel.current is not self:
            # Another connection had its own stage meanwhile.
            self._kernel.current, header["stage"] = self, self._stage.header()
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise frames.FrameTimeout("no answer in time")
        try:
            with time_limit(left):
                replies: tuple[Any, list[bytes]] = self._rounds.answer(header, buffers)
                return replies
        except OutOfTime:
            raise frames.FrameTimeout("no answer in time") from None


def _own_modules() -> list[dict[str, Any]]:
    """The namespaces of the modules that lie in the working folder, without those that are installed there."""
    home = str(Path.cwd()) + os.sep
    installed = tuple({str(Path(prefix)) + os.sep for prefix in (sys.prefix, sys.base_prefix)})
    found = []
    for module in list(sys.modules.values()):
        name = str(getattr(module, "__file__", None) or "") if type(module) is types.ModuleType else ""
        if name.startswith(home) and not name.startswith(installed) and "-packages" not in name:
            found.append(vars(module))
    return found
