"""Runs the planned cells of a notebook, and decides what a lost kernel costs.

Whatever a cell does, the rest still runs. A kernel that hangs or dies is lost: another one is started, and the cells run again
from the first one. What runs there is decided by `Replay`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from grader.kernel.execution import Completed, Died, Execution, Raised, TimedOut
from grader.kernel.limits import Deadlines, Limits
from grader.submission.planning import Plan, PlannedCell
from grader.submission.salvage import Failure, Remark, Salvage

MAX_LOSSES = 3
"""Of kernels; after one more, only definitions run."""
MORE_LOSSES = 3
"""Of kernels in which only definitions ran; after one more, the cells that are left do not run."""
RESCUE_SECONDS = 10.0
"""For the definitions of a cell that was interrupted."""
LATE_SECONDS = 30.0
"""For the definitions of all cells that come too late to run."""
RETRIES = 3
PROVIDED_MODULES = frozenset({"google"})
LOST_TOO_OFTEN = "the kernel was restarted too often, so only definitions were run in the end"

Progress = Callable[[int, int], None]
CellStatus = Literal["ok", "raised", "timeout", "died", "skipped", "rescued"]


@dataclass(frozen=True)
class CellOutcome:
    """What became of one code cell.

    ``status`` is ok, raised, timeout, died, skipped, or rescued (it failed, and its definitions were run on their own).
    ``ename`` is the class of the exception that it raised, if it did.
    """

    number: int
    decision: Literal["run", "skip", "partly"]
    status: CellStatus
    reason: str
    seconds: float
    error: str | None = None
    remarks: tuple[Remark, ...] = ()
    """What was left out of a cell so that the rest of it could run, and why."""
    ename: str | None = None


class Kernel(Protocol):
    """What is asked of a kernel to run cells in it; see `RunningKernel`."""

    @property
    def stopped_for(self) -> str | None:
        """What the grader stopped the kernel for, if it did."""

    def execute(self, source: str, seconds: float, cell: int = 0) -> Execution:
        """Run the source code of a cell."""

    def recover(self) -> bool:
        """Make the kernel ready for the next cell; False where it is lost."""

    def why_ended(self, when: str) -> str:
        """Why the kernel gives no answer."""

    def absent_among(self, packages: Sequence[str]) -> list[str]:
        """Which packages are not installed."""

    def stand_for_packages(self, packages: Sequence[str]) -> None:
        """Let imports of absent packages succeed."""

    def stand_for_names(self, reasons: Mapping[str, str]) -> None:
        """Give names that have no value one that says why."""


class Kernels(Protocol):
    """Where the kernel comes from that cells run in."""

    missing: list[str]
    """Packages that are not installed."""

    @property
    def kernel(self) -> Kernel:
        """The current one."""

    def restart(self) -> None:
        """Put a new one in its place, in which nothing has run."""


class Replay:
    """What of each cell runs in the next kernel, and which cell is to blame for the loss of the last one.

    - A cell that hangs, or for which the grader stops the kernel, is to blame at once.
    - A kernel that dies need not die of the cell that happens to run: that cell is suspected, and to blame when a kernel
      dies in it again.
    - Of a cell that is to blame, only the definitions run from then on; if a kernel is lost even by these, nothing of it.
    - After too many losses only definitions run, of all cells. Calls of one faulty part, all over the notebook, must not cost
      the parts after it; nor must what ends the kernel some time later cost the definitions that happen to be made then.
    """

    def __init__(self, cells: Sequence[PlannedCell]) -> None:
        self._cells = cells
        self._sources = {cell.cell.number: cell.source for cell in cells}
        self._suspects: set[int] = set()
        self._losses = 0
        self.only_definitions = False

    def source(self, planned: PlannedCell) -> str:
        """What of a cell runs now."""
        return self._sources[planned.cell.number]

    @property
    def is_over(self) -> bool:
        """Whether too many kernels were lost to start another one."""
        return self._losses > MAX_LOSSES + MORE_LOSSES

    def lose_kernel(self, planned: PlannedCell, *, is_certain: bool) -> bool:
        """A kernel was lost in this cell. Whether that is how the cell ended, so that it is not run as it is again.

        ``is_certain`` says that the kernel was lost by nothing but this cell.
        """
        self._losses += 1
        number = planned.cell.number
        if self.only_definitions or self._losses <= MAX_LOSSES:
            if not (is_certain or self.only_definitions or number in self._suspects):
                self._suspects.add(number)
                return False
            self._sources[number] = "" if self._sources[number] == planned.rescue else planned.rescue
            return True
        self.only_definitions = True
        self._sources = {cell.cell.number: cell.rescue for cell in self._cells}
        return True


class CellRunner:
    """Runs the cells of a plan, and keeps what became of them."""

    def __init__(self, plan: Plan, limits: Limits, deadlines: Deadlines, kernels: Kernels, warnings: list[str]) -> None:
        """``warnings`` gets what a person should know of the run."""
        self._plan, self._limits, self._deadlines, self._kernels = plan, limits, deadlines, kernels
        self._warnings = warnings
        self._salvages: dict[int, Salvage] = {}
        self._results: dict[int, CellOutcome] = {}
        self._last = deadlines.whole

    def run(self, progress: Progress) -> list[CellOutcome]:
        """Run the cells in order, in as many kernels as it takes; see `Replay`."""
        self._find_missing()
        self._last = min(time.monotonic() + self._limits.cells, self._deadlines.whole)
        cells, replay = self._plan.cells, Replay(self._plan.cells)
        while (lost := self._run_all(replay, progress)) is not None:
            planned, outcome = lost
            were_definitions = replay.only_definitions
            is_certain = outcome.status == "timeout" or self._kernels.kernel.stopped_for is not None
            if replay.lose_kernel(planned, is_certain=is_certain):
                self._results[planned.cell.number] = outcome
            if replay.is_over:
                self._warnings.append("the kernel ended even while running only definitions; the later cells were not run")
                break
            self._restart()
            if replay.only_definitions and not were_definitions:
                self._warnings.append(LOST_TOO_OFTEN)
        if not self._retry_deferred():
            self._warnings.append(LOST_TOO_OFTEN)
            self._restart()
            for planned in cells:
                self._run_one(planned, planned.rescue, max(self._last, time.monotonic() + LATE_SECONDS))
        progress(len(cells), len(cells))
        return [self._results.get(cell.cell.number, _skipped(cell, "not reached")) for cell in cells]

    def _run_all(self, replay: Replay, progress: Progress) -> tuple[PlannedCell, CellOutcome] | None:
        """Run the cells in a fresh kernel; the cell in which it was lost, with what became of that, or None."""
        for position, planned in enumerate(self._plan.cells):
            progress(position, len(self._plan.cells))
            number = planned.cell.number
            outcome = self._run_one(planned, replay.source(planned), self._last)
            if self._is_lost_after(outcome):
                return planned, outcome
            known = self._results.get(number)
            if known is not None and (known.status in ("died", "timeout") or replay.only_definitions):
                continue
            if replay.only_definitions and outcome.status == "ok":
                reason = planned.reason or "only its definitions were run"
                outcome = replace(outcome, status="rescued", reason=reason)
            self._results[number] = outcome
        return None

    def _is_lost_after(self, outcome: CellOutcome) -> bool:
        return outcome.status in ("died", "timeout") and not self._kernels.kernel.recover()

    def _restart(self) -> None:
        self._kernels.restart()
        self._salvages = {}

    def _run_one(self, planned: PlannedCell, source: str, last: float) -> CellOutcome:
        """Run a cell, or what is left of it; of a cell that fails, its definitions and what comes after the failure."""
        if planned.decision == "skip" or not source.strip():
            return _skipped(planned, planned.reason)
        left = last - time.monotonic()
        if left <= 0:
            return self._only_define(planned, last + LATE_SECONDS)
        kernel, number = self._kernels.kernel, planned.cell.number
        kernel.stand_for_names(dict(planned.needs))
        ended = kernel.execute(source, min(self._limits.cell, left), number)
        outcome = self._outcome_of(planned, ended)
        if isinstance(ended, TimedOut) and kernel.recover() and planned.rescue.strip() and planned.rescue != source:
            kernel.execute(planned.rescue, min(RESCUE_SECONDS, self._limits.cell), number)
        if isinstance(ended, Raised):
            return self._salvage(planned, source, ended.failure, outcome)
        return outcome

    def _outcome_of(self, planned: PlannedCell, ended: Execution) -> CellOutcome:
        status, error, ename = self._described(ended)
        return CellOutcome(
            planned.cell.number, planned.decision, status, planned.reason, ended.seconds, error, ename=ename
        )

    def _described(self, ended: Execution) -> tuple[CellStatus, str | None, str | None]:
        """How an execution ended: status, error in words, class of the exception."""
        if isinstance(ended, Completed):
            return "ok", None, None
        if isinstance(ended, TimedOut):
            return "timeout", f"still running after {ended.seconds:.0f} s, so it was stopped", None
        if isinstance(ended, Died):
            broke = "the Python process broke Jupyter's protocol"
            return "died", broke if ended.broke_protocol else self._kernels.kernel.why_ended("while this cell ran"), None
        failure = ended.failure
        line = f"line {failure.lines[0]}: " if failure.lines else ""
        return "raised", f"{line}{failure}", failure.ename

    def _only_define(self, planned: PlannedCell, last: float) -> CellOutcome:
        """Run a cell's definitions after the cells' time: what came before cost that time, and not its own parts."""
        late = _skipped(planned, "the time limit for all cells was reached")
        left = min(last, self._deadlines.whole) - time.monotonic()
        if left <= 0 or not planned.rescue.strip():
            return late
        seconds = min(LATE_SECONDS / 3, self._limits.cell, left)
        ended = self._kernels.kernel.execute(planned.rescue, seconds, planned.cell.number)
        return replace(late, status="rescued", seconds=ended.seconds) if isinstance(ended, Completed) else late

    def _find_missing(self) -> None:
        """Ask which imported packages are absent; their imports then succeed and their use names them."""
        names = sorted(set(self._plan.imports) - PROVIDED_MODULES)
        kernel = self._kernels.kernel
        known = kernel.absent_among(names) if names else []
        if not known:
            return
        self._kernels.missing = known
        kernel.execute("", 5.0)
        self._warnings.append(f"not installed in the grader: {', '.join(known)}; only code that uses it fails")
        kernel.stand_for_packages(known)

    # -- cells that raised -----------------------------------------------------------------------------------------

    def _salvage(self, planned: PlannedCell, source: str, failure: Failure, outcome: CellOutcome) -> CellOutcome:
        """Run what can be run of a cell that has raised."""
        if failure.ename in ("SyntaxError", "IndentationError", "TabError") and not failure.lines[1:]:
            salvage = Salvage(planned.cell.number, planned.rescue)
        else:
            salvage = Salvage(planned.cell.number, source)
            salvage.failed(failure)
        self._salvages[planned.cell.number] = salvage
        return self._run_rest(salvage, outcome)

    def _run_rest(self, salvage: Salvage, outcome: CellOutcome) -> CellOutcome:
        """Run what is left of a cell, statement by statement where need be; its outcome so far becomes that of it all."""
        now = time.monotonic()
        last = min(self._deadlines.whole, now + self._limits.cell, max(self._last, now + RESCUE_SECONDS))
        kernel, has_run = self._kernels.kernel, False
        while (text := salvage.rest()) is not None and (left := last - time.monotonic()) > 0:
            kernel.stand_for_names(salvage.lost)
            ended = kernel.execute(text, left, salvage.number)
            if isinstance(ended, Completed):
                salvage.passed()
                has_run = True
            elif isinstance(ended, Raised):
                salvage.failed(ended.failure)
            else:
                status, error, _ = self._described(ended)
                return replace(outcome, status=status, error=error, ename=None)
        kernel.stand_for_names(salvage.lost)
        status = "rescued" if has_run or salvage.lost else outcome.status
        return replace(outcome, status=status, remarks=tuple(salvage.remarks))

    def _retry_deferred(self) -> bool:
        """Statements that lacked a name of a later cell get another try, now that all cells have run.

        What still lacks one then is run without it, as far as that goes. False if the kernel was lost by that.
        """
        for attempt in range(RETRIES):
            waiting = [salvage for _, salvage in sorted(self._salvages.items()) if salvage.has_deferred]
            for salvage in waiting:
                if time.monotonic() > self._last:
                    return True
                salvage.retry(final=attempt == RETRIES - 1)
                outcome = self._run_rest(salvage, self._results[salvage.number])
                self._results[salvage.number] = outcome
                if self._is_lost_after(outcome):
                    return False
        return True


def _skipped(planned: PlannedCell, reason: str) -> CellOutcome:
    return CellOutcome(planned.cell.number, planned.decision, "skipped", reason, 0.0)
