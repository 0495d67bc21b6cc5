"""One submission's kernel: run its planned cells, then open connections for properties and for training."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from grader.errors import KernelError
from grader.kernel import confinement
from grader.kernel.cells import CellOutcome, CellRunner, Progress
from grader.kernel.channel import property_channel, reap, trainer_connection
from grader.kernel.limits import Deadlines, Limits
from grader.kernel.process import WarmLink
from grader.kernel.remote import PropertyChannel
from grader.kernel.running import KernelOptions, RunningKernel
from grader.kernel.stage import Stage
from grader.submission.planning import Plan

__all__ = ["CellOutcome", "Limits", "PropertyChannel", "Session"]


class Session:
    """A confined kernel for one submission. Use as a context manager; leaving it ends everything the kernel started.

    Args:
        plan: what of the submission runs.
        limits: how long things may take.
        warm: what the kernels are forked from; without it they start cold.
        gpu: whether the kernel may use NVIDIA devices.
        isolation_level: the least that this machine must give; None for a person's own notebook, which takes what there is.
        files: copied into the kernel's home, by name.
        host: what this machine offers, by default `confinement.probe`.
    """

    def __init__(
        self,
        plan: Plan,
        limits: Limits | None = None,
        warm: WarmLink | None = None,
        *,
        gpu: bool = False,
        isolation_level: confinement.Level | None = "strong",
        files: Mapping[str, Path] | None = None,
        host: confinement.Host | None = None,
    ) -> None:
        self.plan, self.limits, self.isolation_level = plan, limits or Limits(), isolation_level
        self.outcomes: list[CellOutcome] = []
        self.layers: list[str] = []
        self.missing: list[str] = []
        self.warnings: list[str] = []
        self._options = KernelOptions(self.limits, warm, gpu, plan.mentions_accelerator, files or {})
        self._host = host
        self._deadlines = Deadlines(self.limits)
        self._loop = asyncio.new_event_loop()
        self._stack = contextlib.ExitStack()
        self._kernel: RunningKernel | None = None

    def __enter__(self) -> Session:
        """Make the private folder and start the kernel; raises `IsolationError` where this machine gives too little."""
        try:
            confinement.require_kernels()
            host = self._host or confinement.probe()
            if self.isolation_level is None:
                host = confinement.for_own_notebook(host)
            else:
                confinement.require(self.isolation_level, host)
            self.workspace = self._stack.enter_context(confinement.Workspace(host))
            self._stack.callback(self._stop)
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """End the kernel and everything of it, and delete its folder."""
        self._stack.close()
        self._loop.close()

    @property
    def kernel(self) -> RunningKernel:
        """The kernel there is now."""
        if self._kernel is None:
            raise KernelError("the kernel has ended")
        return self._kernel

    def restart(self) -> None:
        """Replace the kernel by a new one, in which nothing has run."""
        self._stop()
        self.workspace.clear()
        self._start()

    def _start(self) -> None:
        self._kernel = RunningKernel(self.workspace, self._options, self.missing, self._deadlines, self._loop)
        self.layers = self._kernel.layers

    def _stop(self) -> None:
        if self._kernel is not None:
            self._kernel.stop()
            self._kernel = None
        self.workspace.sweep()

    # -- cells -----------------------------------------------------------------------------------------------------

    def run_cells(self, progress: Progress = lambda done, total: None) -> list[CellOutcome]:
        """Run the planned cells in order; whatever a cell does, the rest still runs."""
        runner = CellRunner(self.plan, self.limits, self._deadlines, self, self.warnings)
        self.outcomes = runner.run(progress)
        return self.outcomes

    @property
    def cell_of_execution(self) -> dict[int, int]:
        """Numbers of the notebook's cells by the kernel's execution counts."""
        return self.kernel.cell_of_execution

    def cell_number(self, execution: int) -> int:
        """The notebook's number of the cell that has an execution count."""
        return self.cell_of_execution.get(execution, execution)

    def cell_name(self, number: int) -> str:
        """What people call a cell."""
        return f"code cell {number}"

    def explain(self, reasons: Mapping[str, str]) -> None:
        """Say why names are not defined, where they are not, to whoever asks for them. Call it after the cells have run."""
        self.kernel.stand_for_names(reasons)

    # -- properties and training -----------------------------------------------------------------------------------

    def begin_part(self) -> None:
        """Count the time of a part's properties from now on, so that one part's hang leaves time for the others."""
        self._deadlines.begin_part()

    def time_is_up(self) -> str | None:
        """What time was used up, in words, or None."""
        return self._deadlines.spent()

    def why_ended(self, when: str) -> str:
        """Why the kernel gives no answer, in words."""
        return self.kernel.why_ended(when)

    @contextlib.contextmanager
    def property(self, stage: Stage, seconds: float | None = None) -> Iterator[PropertyChannel]:
        """A connection to a fresh child of the kernel, for one property; the child is gone afterwards."""
        if (spent := self.time_is_up()) is not None:
            raise KernelError(spent)
        allowed = seconds or self.limits.property
        with property_channel(self.kernel, stage, allowed, last=lambda: self._deadlines.part) as channel:
            yield channel

    def reap(self, channel: PropertyChannel, *, kill: bool = True) -> int | None:
        """End a property's child; its exit status, or minus the signal that ended it."""
        return reap(self.kernel, channel, self.limits.property, kill=kill)

    @contextlib.contextmanager
    def training(self, files: Sequence[int]) -> Iterator[socket.socket]:
        """A connection to the kernel's trainer, which may read the open ``files``; the kernel is of no other use meanwhile.

        What it takes counts as training, on top of the time for the whole submission. Raises `KernelError`.
        """
        with trainer_connection(self.kernel, files) as connection:
            yield connection
