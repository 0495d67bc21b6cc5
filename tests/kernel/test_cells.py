"""Which cells run, who is to blame for a lost kernel, and when only definitions run; with a kernel that is made up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from grader.kernel.cells import MAX_LOSSES, MORE_LOSSES, CellOutcome, CellRunner, Replay
from grader.kernel.execution import Completed, Died, Execution, Raised, TimedOut
from grader.kernel.limits import Deadlines, Limits
from grader.submission.planning import Plan, PlannedCell
from grader.submission.reading import CodeCell
from grader.submission.salvage import Failure

OK = Completed(0.1)
HANGS, DIES = TimedOut(1.0), Died(0.1)


def planned(number: int, source: str, rescue: str = "") -> PlannedCell:
    cell = CodeCell(number, number, str(number), source)
    return PlannedCell(cell, source, "run", "", (), rescue)


def plan_of(*cells: PlannedCell, imports: Sequence[str] = ()) -> Plan:
    return Plan(cells, dict.fromkeys(imports, (1, 1)), False, ())


Ends = Callable[[str, int], Execution]
"""How a source text ends in the kernel with this number, the first one being 0."""


class MadeUpKernel:
    def __init__(self, number: int, ends: Ends, *, wakes: bool, installed: Sequence[str], stopped: bool) -> None:
        self._number, self._ends, self._wakes, self._installed = number, ends, wakes, installed
        self.stopped_for = "too much memory" if stopped else None
        self.ran: list[str] = []
        self.explained: dict[str, str] = {}
        self._last: Execution = OK

    def execute(self, source: str, seconds: float, cell: int = 0) -> Execution:
        self.ran.append(source)
        self._last = self._ends(source, self._number)
        return self._last

    def recover(self) -> bool:
        return not isinstance(self._last, Died) and (self._wakes or not isinstance(self._last, TimedOut))

    def why_ended(self, when: str) -> str:
        return f"the Python process ended {when}"

    def absent_among(self, packages: Sequence[str]) -> list[str]:
        return [name for name in packages if name not in self._installed]

    def stand_for_packages(self, packages: Sequence[str]) -> None:
        self.explained.update(dict.fromkeys(packages, "absent"))

    def stand_for_names(self, reasons: Mapping[str, str]) -> None:
        self.explained.update(reasons)


class MadeUpKernels:
    """Gives out one kernel after the other, and remembers them all."""

    def __init__(
        self, ends: Ends, *, wakes: bool = False, installed: Sequence[str] = (), stopped: bool = False
    ) -> None:
        self.missing: list[str] = []
        self.all: list[MadeUpKernel] = []
        self._make = lambda: MadeUpKernel(len(self.all), ends, wakes=wakes, installed=installed, stopped=stopped)
        self.restart()

    @property
    def kernel(self) -> MadeUpKernel:
        return self.all[-1]

    def restart(self) -> None:
        self.all.append(self._make())

    @property
    def ran(self) -> list[list[str]]:
        return [kernel.ran for kernel in self.all]


def run(plan: Plan, kernels: MadeUpKernels, limits: Limits | None = None) -> tuple[list[CellOutcome], list[str]]:
    warnings: list[str] = []
    limits = limits or Limits()
    outcomes = CellRunner(plan, limits, Deadlines(limits), kernels, warnings).run(lambda done, total: None)
    return outcomes, warnings


def statuses(outcomes: Sequence[CellOutcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def test_cells_run_in_order_in_one_kernel() -> None:
    kernels = MadeUpKernels(lambda source, kernel: OK)
    skipped = PlannedCell(CodeCell(2, 2, "2", "train()"), "train()", "skip", "trains", (), "")
    outcomes, warnings = run(plan_of(planned(1, "a = 1"), skipped, planned(3, "b = 2")), kernels)
    assert kernels.ran == [["a = 1", "b = 2"]]
    assert statuses(outcomes) == ["ok", "skipped", "ok"] and outcomes[1].reason == "trains"
    assert not warnings


def test_a_cell_that_hangs_is_to_blame_at_once_and_only_its_definitions_run_again() -> None:
    kernels = MadeUpKernels(lambda source, kernel: HANGS if source == "loop()" else OK)
    outcomes, warnings = run(plan_of(planned(1, "a"), planned(2, "loop()", rescue="b"), planned(3, "c")), kernels)
    assert kernels.ran == [["a", "loop()"], ["a", "b", "c"]]
    assert statuses(outcomes) == ["ok", "timeout", "ok"]
    assert "still running after 1 s" in str(outcomes[1].error)
    assert not warnings


def test_a_cell_that_an_interrupt_ends_costs_no_kernel() -> None:
    kernels = MadeUpKernels(lambda source, kernel: HANGS if source == "loop()" else OK, wakes=True)
    outcomes, _ = run(plan_of(planned(1, "loop()", rescue="b"), planned(2, "c")), kernels)
    assert kernels.ran == [["loop()", "b", "c"]]
    assert statuses(outcomes) == ["timeout", "ok"]


def test_a_kernel_that_dies_once_is_nobodys_fault() -> None:
    kernels = MadeUpKernels(lambda source, kernel: DIES if source == "b" and kernel == 0 else OK)
    outcomes, warnings = run(plan_of(planned(1, "a"), planned(2, "b"), planned(3, "c")), kernels)
    assert kernels.ran == [["a", "b"], ["a", "b", "c"]]
    assert statuses(outcomes) == ["ok", "ok", "ok"]
    assert not warnings


def test_a_cell_in_which_a_second_kernel_dies_is_to_blame() -> None:
    kernels = MadeUpKernels(lambda source, kernel: DIES if source == "crash()" else OK)
    outcomes, _ = run(plan_of(planned(1, "crash()", rescue="a"), planned(2, "b")), kernels)
    assert kernels.ran == [["crash()"], ["crash()"], ["a", "b"]]
    assert statuses(outcomes) == ["died", "ok"]
    assert outcomes[0].error == "the Python process ended while this cell ran"


def test_a_cell_for_which_the_grader_stopped_the_kernel_is_to_blame_at_once() -> None:
    kernels = MadeUpKernels(lambda source, kernel: DIES if source == "fill()" else OK, stopped=True)
    outcomes, _ = run(plan_of(planned(1, "fill()", rescue="a"), planned(2, "b")), kernels)
    assert kernels.ran == [["fill()"], ["a", "b"]]
    assert statuses(outcomes) == ["died", "ok"]


def test_nothing_of_a_cell_runs_whose_definitions_lose_the_kernel() -> None:
    kernels = MadeUpKernels(lambda source, kernel: HANGS if source in ("loop()", "a") else OK)
    outcomes, _ = run(plan_of(planned(1, "loop()", rescue="a"), planned(2, "b")), kernels)
    assert kernels.ran == [["loop()"], ["a"], ["b"]]
    assert statuses(outcomes) == ["timeout", "ok"]


def test_after_too_many_losses_only_definitions_run() -> None:
    """What a cell came to before stands, and definitions that run are said to be rescued."""
    cells = [planned(number, f"loop({number})", rescue=f"d{number}") for number in range(1, 7)]
    kernels = MadeUpKernels(lambda source, kernel: HANGS if "loop" in source else OK)
    outcomes, warnings = run(plan_of(*cells), kernels)
    assert len(kernels.all) == MAX_LOSSES + 2
    assert kernels.ran[-1] == ["d1", "d2", "d3", "d4", "d5", "d6"]
    assert statuses(outcomes) == ["timeout"] * 4 + ["rescued"] * 2
    assert warnings == ["the kernel was restarted too often, so only definitions were run in the end"]


def test_a_kernel_that_every_definition_loses_is_given_up() -> None:
    cells = [planned(number, f"loop({number})", rescue=f"loop-{number}") for number in range(1, 10)]
    kernels = MadeUpKernels(lambda source, kernel: HANGS)
    outcomes, warnings = run(plan_of(*cells), kernels)
    assert len(kernels.all) == MAX_LOSSES + MORE_LOSSES + 1
    assert outcomes[-1].status == "skipped" and outcomes[-1].reason == "not reached"
    assert warnings[-1] == "the kernel ended even while running only definitions; the later cells were not run"


def test_the_class_of_an_exception_is_carried_along() -> None:
    raised = Raised(0.1, Failure("ZeroDivisionError", "division by zero", (1,)))
    kernels = MadeUpKernels(lambda source, kernel: raised if source == "1 / 0" else OK)
    (outcome, after), _ = run(plan_of(planned(1, "1 / 0"), planned(2, "b")), kernels)
    assert (outcome.status, outcome.ename) == ("raised", "ZeroDivisionError")
    assert outcome.error == "line 1: ZeroDivisionError: division by zero"
    assert (after.status, after.ename) == ("ok", None)


def test_what_comes_after_a_failure_in_a_cell_runs() -> None:
    raised = Raised(0.1, Failure("FileNotFoundError", "none", (1,)))
    kernels = MadeUpKernels(lambda source, kernel: raised if source.startswith("data = ") else OK)
    (outcome,), _ = run(plan_of(planned(1, "data = load()\nsize = 3")), kernels)
    assert kernels.ran == [["data = load()\nsize = 3", "pass\nsize = 3"]]
    assert outcome.status == "rescued"
    assert "FileNotFoundError" in kernels.kernel.explained["data"]


def test_a_statement_that_lacks_a_name_of_a_later_cell_runs_again_at_the_end() -> None:
    missing = Raised(0.1, Failure("NameError", "name 'late' is not defined", (1,)))
    defined: list[str] = []

    def ends(source: str, kernel: int) -> Execution:
        defined.append(source)
        return missing if "early" in source and "late = 1" not in defined else OK

    kernels = MadeUpKernels(ends)
    (outcome, _), _ = run(plan_of(planned(1, "early = late"), planned(2, "late = 1")), kernels)
    assert [source.strip() for source in kernels.ran[0]] == ["early = late", "late = 1", "early = late"]
    assert outcome.status == "rescued"


def test_absent_packages_are_found_before_any_cell_runs() -> None:
    kernels = MadeUpKernels(lambda source, kernel: OK, installed=["numpy"])
    outcomes, warnings = run(plan_of(planned(1, "a"), imports=["numpy", "nowhere", "google"]), kernels)
    assert kernels.missing == ["nowhere"] and kernels.kernel.explained == {"nowhere": "absent"}
    assert "nowhere" in warnings[0] and statuses(outcomes) == ["ok"]


def test_after_the_time_for_all_cells_definitions_still_run() -> None:
    kernels = MadeUpKernels(lambda source, kernel: OK)
    outcomes, _ = run(plan_of(planned(1, "long()", rescue="a"), planned(2, "b")), kernels, Limits(cells=0.0))
    assert kernels.ran == [["a"]]
    assert statuses(outcomes) == ["rescued", "skipped"]
    assert {outcome.reason for outcome in outcomes} == {"the time limit for all cells was reached"}


@pytest.mark.parametrize("certain", [True, False])
def test_replay_gives_up_after_so_many_losses(certain: bool) -> None:
    cell = planned(1, "a", rescue="b")
    replay = Replay([cell])
    losses = 0
    while not replay.is_over:
        replay.lose_kernel(cell, is_certain=certain)
        losses += 1
    assert losses == MAX_LOSSES + MORE_LOSSES + 1
    assert replay.only_definitions and replay.source(cell) != "a"
