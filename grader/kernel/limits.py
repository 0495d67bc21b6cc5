"""How long the parts of grading one submission may take, and how much of that time is left."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grader.kernel import confinement


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds: a cell, all cells, a property, the properties of a part, a kernel's start, all.

    ``training`` comes on top of all. ``memory`` is what a submission's processes may use together, in bytes, where that is
    less than usual.
    """

    cell: float = 60.0
    cells: float = 300.0
    property: float = 20.0
    part: float = 120.0
    start: float = 60.0
    total: float = 900.0
    training: float = 0.0
    memory: int | None = None

    def budget(self, *, gpu: bool = False) -> confinement.Budget:
        """What the kernel may use; with a GPU, unlimited address space, as CUDA reserves it."""
        from grader.kernel import confinement  # noqa: PLC0415  (the check that students run confines nothing)

        usual = confinement.Budget()
        usual = replace(usual, cpu=usual.cpu + int(self.training * (os.cpu_count() or 1)))
        if gpu:
            usual = replace(usual, data=1 << 50, memory=4 * usual.memory)
        if self.memory is None:
            return usual
        data = usual.data if gpu else min(self.memory, usual.data)
        return replace(usual, memory=min(self.memory, usual.memory), data=data)


class Deadlines:
    """When the time for the whole submission and for the current part runs out (`time.monotonic`)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.whole = self.part = time.monotonic() + limits.total

    def begin_part(self) -> None:
        """Count the time of a part's properties from now on, so that one part's hang leaves time for the others."""
        self.part = min(self.whole, time.monotonic() + self._limits.part)

    def spent(self) -> str | None:
        """Which time was used up, in words; None if there is time left."""
        now = time.monotonic()
        if now >= self.whole:
            return f"the time for the whole submission ({self._limits.total:.0f} s) was used up"
        if now >= self.part:
            return f"the time for this part ({self._limits.part:.0f} s) was used up"
        return None
