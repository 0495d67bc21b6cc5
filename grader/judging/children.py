"""Describes the kernel as the engine sees it, and keeps the child of it that properties share."""

from __future__ import annotations

import contextlib
from typing import Protocol

from grader.kernel.limits import Limits
from grader.kernel.remote import PropertyChannel
from grader.kernel.stage import Stage


class Kernel(Protocol):
    """What the engine asks of a kernel whose cells have run; `Session` is one."""

    @property
    def limits(self) -> Limits:
        """How long a property may take."""

    def cell_number(self, execution: int) -> int:
        """The number of the cell that has an execution count."""

    def cell_name(self, number: int) -> str:
        """What people call the cell with a number."""

    def property(self, stage: Stage) -> contextlib.AbstractContextManager[PropertyChannel]:
        """A connection to a fresh child."""

    def begin_part(self) -> None:
        """Count the time of a part from now on."""

    def time_is_up(self) -> str | None:
        """Whose time is used up, if any is."""

    def reap(self, channel: PropertyChannel, *, kill: bool = True) -> int | None:
        """End a child and return how it ended."""

    def why_ended(self, when: str) -> str:
        """Why the kernel is gone."""


class SharedChild:
    """A child of the kernel that properties share as long as they hold. After a failure, a new one is forked."""

    def __init__(self, session: Kernel) -> None:
        self._session = session
        self._stack = contextlib.ExitStack()
        self._channel: PropertyChannel | None = None

    @property
    def is_in_use(self) -> bool:
        """Whether there is a child, in which other properties may have run already."""
        return self._channel is not None

    def channel(self, stage: Stage) -> PropertyChannel:
        """The channel to the child, which enters ``stage``. One is forked if there is none, or if it owes an answer."""
        if self._channel is not None and self._channel.connection.owes_answer:
            self.give_up()
        if self._channel is None:
            self._channel = self._stack.enter_context(self._session.property(stage))
        self._channel.connection.enter(stage)
        return self._channel

    def give_up(self) -> None:
        """End the child; the next one is forked when it is needed."""
        self._channel = None
        self._stack.close()
