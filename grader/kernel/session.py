"""One submission's kernel: run its planned cells with nbclient, then open connections for properties."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from grader import assets
from grader.errors import GraderError, KernelError, host_error
from grader.kernel import isolation
from grader.kernel.process import ColdProcess, KernelProcess, Manager, WarmLink, environment
from grader.kernel.remote import Connection
from grader.submission.planning import Plan, PlannedCell
from grader.submission.salvage import Failure, Remark, Salvage

MAX_RESTARTS = 3
"""Of a kernel that was lost; after them only definitions are run."""
MORE_RESTARTS = 3
"""Of a kernel that is lost even then."""
GRACE = 15.0
RESCUE = 10.0
"""Seconds for the definitions of a cell that was interrupted."""
AWAKE = 8.0
"""Seconds in which a kernel that was interrupted must answer; on a busy machine it waits for its turn."""
RETRIES = 3
MOST_NAMES = 50
DEFINING = 30.0
"""Seconds for the definitions of all cells that come too late to run."""
PROVIDED_MODULES = frozenset({"google"})


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

    def budget(self, *, gpu: bool = False) -> isolation.Budget:
        """What the kernel may use; with a GPU, address space without end, as CUDA reserves it."""
        usual = isolation.Budget()
        usual = replace(usual, cpu=usual.cpu + int(self.training * (os.cpu_count() or 1)))
        if gpu:
            usual = replace(usual, data=1 << 50, memory=4 * usual.memory)
        if self.memory is None:
            return usual
        data = usual.data if gpu else min(self.memory, usual.data)
        return replace(usual, memory=min(self.memory, usual.memory), data=data)


CellStatus = Literal["ok", "raised", "timeout", "died", "skipped", "rescued"]


@dataclass(frozen=True)
class CellOutcome:
    """What became of one code cell.

    ``status`` is ok, raised, timeout, died, skipped, or rescued (it failed, and its definitions were run on their own).
    """

    number: int
    decision: Literal["run", "skip", "partly"]
    status: CellStatus
    reason: str
    seconds: float
    error: str | None = None
    remarks: tuple[Remark, ...] = ()
    """What was left out of a cell so that the rest of it could run, and why."""


@dataclass(frozen=True)
class _Execution:
    status: Literal["ok", "raised", "timeout", "died"]
    seconds: float
    error: str | None = None
    failure: Failure | None = None


class _BoundedClient(NotebookClient):
    """An nbclient that keeps none of a cell's outputs: it waits for the reply, and for the end of the output."""

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        # Nothing that a cell shows is of use here, and any of it may be forged, malformed or without end.
        if msg["msg_type"] == "status" and type(msg["content"]) is dict:
            return super().process_message({**msg, "content": _state(msg["content"])}, cell, cell_index)
        return None


class Session:
    """A confined kernel for one submission. Use as a context manager; leaving it ends everything the kernel started."""

    def __init__(
        self,
        plan: Plan,
        limits: Limits | None = None,
        warm: WarmLink | None = None,
        *,
        gpu: bool = False,
        isolation_level: isolation.Level | None = "strong",
        files: Mapping[str, Path] | None = None,
    ) -> None:
        self.plan, self.warm, self.gpu = plan, warm, gpu
        self.files = files or {}
        self.limits = limits or Limits()
        self.isolation_level = isolation_level
        self.outcomes: list[CellOutcome] = []
        self.layers: list[str] = []
        self.missing: list[str] = []
        self.warnings: list[str] = []
        self.cell_of_execution: dict[int, int] = {}
        self._salvages: dict[int, Salvage] = {}
        self._known: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._process: KernelProcess | None = None
        self._client: _BoundedClient | None = None
        self._watchdog: isolation.Watchdog | None = None
        self._serving = False
        self._deadline = self._part_deadline = time.monotonic() + self.limits.total
        self._cells_deadline = self._deadline
        self._restarts = 0
        self._timeout = self.limits.cell
        self._reply: dict[str, Any] | None = None

    def __enter__(self) -> Session:
        """Make the private folder and start the kernel.

        Raises `IsolationError` where this machine gives less than ``isolation_level``; with None, that of a person's own
        notebook, it gives what it has.
        """
        self._stack = contextlib.ExitStack()
        try:
            host = isolation.probe()
            if self.isolation_level is None:
                host = isolation.for_own_notebook(host)
            else:
                isolation.require(self.isolation_level, host)
            self.workspace = self._stack.enter_context(isolation.Workspace(host))
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

    def _start(self) -> None:
        directory = self.workspace.path
        home = directory / "home"
        home.mkdir(mode=0o700)
        tmp = directory / "tmp"
        tmp.mkdir(mode=0o700)
        for name, source in self.files.items():
            shutil.copyfile(source, home / name)
        manager = Manager(directory)
        self.workspace.give_away()
        specification = {
            "directory": str(home),
            "connection_file": str(manager.connection_file),
            "ipc": str(directory),
            "environment": environment(directory),
            "import_path": [
                path
                for path in sys.path
                if path.endswith(("site-packages", "dist-packages", ".zip"))
                or path.startswith((sys.base_prefix, sys.base_exec_prefix))
            ],
            "policy": isolation.make_policy(
                self.workspace,
                readable=[assets.DATA / "nltk"],
                budget=self.limits.budget(gpu=self.gpu),
                parent=self.warm.pid if self.warm else None,
                gpu=self.gpu,
                folders=[home, tmp],
                host=self.workspace.host,
            ),
            "absent": self.missing,
            "pretend_accelerators": self.plan.mentions_accelerator,
        }
        self._process = self.warm.start(specification) if self.warm else ColdProcess(specification)
        self.layers = self._process.wait_until_ready(self.limits.start)
        self._watchdog = isolation.Watchdog(
            self.workspace.mark, directory, self.limits.budget(gpu=self.gpu)
        ).__enter__()
        manager.adopt(self._process)
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
        self._timeout = self.limits.cell
        self._serving = False
        self.cell_of_execution = {}
        self._salvages = {}
        self._known = set()
        self._loop.run_until_complete(self._client.async_start_new_kernel_client())

    def _stop(self) -> None:
        if self._client is not None and self._client.kc is not None:
            self._client.kc.stop_channels()
            self._client.kc = None
        if self._watchdog is not None:
            self._watchdog.__exit__()
        if self._process is not None:
            self._process.kill()
            self._process = None
        self.workspace.sweep()

    # -- cells ---------------------------------------------------------------------------------------------------

    def run_cells(self, progress: Callable[[int, int], None] = lambda done, total: None) -> list[CellOutcome]:
        """Run the planned cells in order; whatever a cell does, the rest still runs.

        A cell that fails leaves its definitions behind all the same: what comes after the failure is run, too. A kernel that
        hangs or dies is started afresh, and the cells before are run again, without the one to blame. A kernel that dies need
        not die of the cell that happens to run, so that cell is blamed only when it is run again and the kernel dies again.
        """
        self._find_missing()
        deadline = self._cells_deadline = min(time.monotonic() + self.limits.cells, self._deadline)
        cells = list(self.plan.cells)
        results: dict[int, CellOutcome] = {}
        sources = {cell.cell.number: cell.source for cell in cells}
        suspects: set[int] = set()
        position = 0
        while position < len(cells):
            planned = cells[position]
            progress(position, len(cells))
            number = planned.cell.number
            known = results.get(number)
            outcome = self._run_one(planned, sources[number], deadline)
            if outcome.status in ("died", "timeout") and self._process_is_lost():
                if self._restarts >= MAX_RESTARTS + MORE_RESTARTS:
                    self.warnings.append("the kernel was lost even by definitions; the cells after were not run")
                    results[number] = outcome
                    break
                only_definitions, was_rescue = self._restarts > MAX_RESTARTS, sources[number] == planned.rescue
                is_to_blame = outcome.status == "timeout" or number in suspects or self._was_stopped()
                self._restart()
                position = 0
                if self._restarts == MAX_RESTARTS + 1:
                    # Calls of one faulty part, all over the notebook, must not cost the parts after it; nor must what ends
                    # the kernel some time later cost the definitions that happen to be made then.
                    self.warnings.append("the kernel was lost too often; in the end only definitions were run")
                    sources = {cell.cell.number: cell.rescue for cell in cells}
                elif only_definitions or is_to_blame:
                    sources[number] = "" if was_rescue else planned.rescue
                else:
                    suspects.add(number)
                    continue
                results[number] = outcome
                continue
            if known is not None and (known.status in ("died", "timeout") or self._restarts > MAX_RESTARTS):
                outcome = known
            elif self._restarts > MAX_RESTARTS and outcome.status == "ok":
                outcome = replace(outcome, status="rescued", reason=planned.reason or "only its definitions were run")
            results[number] = outcome
            position += 1
        if not self._retry_definitions(results, deadline):
            self.warnings.append("the kernel was lost too often; in the end only definitions were run")
            self._restart()
            for planned in cells:
                self._run_one(planned, planned.rescue, max(deadline, time.monotonic() + DEFINING))
        progress(len(cells), len(cells))
        self.outcomes = [
            results.get(
                cell.cell.number, CellOutcome(cell.cell.number, cell.decision, "skipped", "not reached", 0.0)
            )
            for cell in cells
        ]
        return self.outcomes

    def _restart(self) -> None:
        """A new kernel, in which nothing has run."""
        self._restarts += 1
        self._stop()
        self.workspace.clear()
        self._start()

    def _was_stopped(self) -> bool:
        """Whether the kernel's end was a decision of the grader's, for what the submission used."""
        return self._watchdog is not None and self._watchdog.reason is not None

    def _run_one(self, planned: PlannedCell, source: str, deadline: float) -> CellOutcome:
        number = planned.cell.number
        if planned.decision == "skip" or not source.strip():
            return CellOutcome(number, planned.decision, "skipped", planned.reason, 0.0)
        left = deadline - time.monotonic()
        if left <= 0:
            return self._only_define(planned, deadline + DEFINING)
        self._stand_for(dict(planned.needs))
        ran = self._execute(number, source, min(self.limits.cell, left))
        outcome = CellOutcome(number, planned.decision, ran.status, planned.reason, ran.seconds, ran.error)
        if ran.status == "timeout" and self._process_is_lost():
            return outcome
        if ran.status == "timeout" and planned.rescue.strip() and planned.rescue != source:
            self._execute(number, planned.rescue, min(RESCUE, self.limits.cell))
            return outcome
        if ran.status == "raised" and ran.failure is not None:
            return self._salvage(planned, source, ran.failure, outcome)
        return outcome

    def _salvage(
        self, planned: PlannedCell, source: str, failure: Failure, outcome: CellOutcome
    ) -> CellOutcome:
        """Run what can be run of a cell that has raised."""
        if failure.name in ("SyntaxError", "IndentationError", "TabError") and not failure.lines[1:]:
            salvage = Salvage(planned.cell.number, planned.rescue)
        else:
            salvage = Salvage(planned.cell.number, source)
            salvage.failed(failure)
        self._salvages[planned.cell.number] = salvage
        return self._go_on(salvage, outcome)

    def _go_on(self, salvage: Salvage, outcome: CellOutcome) -> CellOutcome:
        """Run what is left of a cell, statement by statement where need be; its outcome so far becomes that of it all."""
        now = time.monotonic()
        deadline = min(self._deadline, now + self.limits.cell, max(self._cells_deadline, now + RESCUE))
        has_run = False
        while (text := salvage.rest()) is not None and (left := deadline - time.monotonic()) > 0:
            self._stand_for(salvage.lost)
            ran = self._execute(salvage.number, text, left)
            if ran.status == "ok":
                salvage.passed()
                has_run = True
            elif ran.status == "raised" and ran.failure is not None:
                salvage.failed(ran.failure)
            else:
                return replace(outcome, status=ran.status, error=ran.error)
        self._stand_for(salvage.lost)
        remarks = tuple(salvage.remarks)
        rescued = has_run or bool(salvage.lost)
        return replace(outcome, status="rescued" if rescued else outcome.status, remarks=remarks)

    def _stand_for(self, reasons: dict[str, str]) -> None:
        """Give names that have no value one that says why."""
        new = {name: reason[:300] for name, reason in reasons.items() if name not in self._known}
        self._known.update(new)
        names = list(new)
        for start in range(0, len(names), MOST_NAMES):
            chosen = {name: new[name] for name in names[start : start + MOST_NAMES]}
            # That a kernel has died is noticed, and dealt with, when it is asked to run something.
            with contextlib.suppress(KernelError), self._served():
                assert self._process is not None
                self._process.ask({"op": "stand_for_names", "reasons": chosen}, 10.0)

    def explain(self, reasons: dict[str, str]) -> None:
        """Say why names are not defined, where they are not, to whoever asks for them. Call it after the cells have run."""
        self._stand_for(reasons)

    def _only_define(self, planned: PlannedCell, deadline: float) -> CellOutcome:
        """Run a cell's definitions after the cells' time: what came before cost that time, and not its own parts."""
        late = CellOutcome(
            planned.cell.number, planned.decision, "skipped", "the time for all cells was used up", 0.0
        )
        left = min(deadline, self._deadline) - time.monotonic()
        if left <= 0 or not planned.rescue.strip():
            return late
        ran = self._execute(planned.cell.number, planned.rescue, min(DEFINING / 3, self.limits.cell, left))
        return replace(late, status="rescued", seconds=ran.seconds) if ran.status == "ok" else late

    def _retry_definitions(self, results: dict[int, CellOutcome], deadline: float) -> bool:
        """Statements that lacked a name of a later cell get another try, now that all cells have run.

        What still lacks one then is run without it, as far as that goes. False if the kernel was lost by that.
        """
        for attempt in range(RETRIES):
            waiting = [salvage for _, salvage in sorted(self._salvages.items()) if salvage.has_deferred]
            for salvage in waiting:
                if time.monotonic() > deadline:
                    return True
                salvage.retry(final=attempt == RETRIES - 1)
                outcome = self._go_on(salvage, results[salvage.number])
                results[salvage.number] = outcome
                if outcome.status in ("died", "timeout") and self._process_is_lost():
                    return False
        return True

    def _execute(self, number: int, source: str, seconds: float) -> _Execution:
        client = self._client
        assert client is not None
        self._timeout, self._reply = seconds, None
        cell = nbformat.v4.new_code_cell(source)
        client.nb.cells.append(cell)
        started = time.monotonic()
        # A kernel that floods its sockets keeps nbclient from looking at its clock.
        last_resort = threading.Timer(seconds + GRACE, self._end_for_good)
        last_resort.daemon = True
        last_resort.start()
        try:
            self._loop.run_until_complete(client.async_execute_cell(cell, len(client.nb.cells) - 1))
        except CellTimeoutError:
            self._forget_tasks()
            return _Execution("timeout", seconds, f"still running after {seconds:.0f} s, so it was stopped")
        except DeadKernelError:
            self._forget_tasks()
            return _Execution("died", time.monotonic() - started, self.why_ended("while this cell ran"))
        except Exception as error:  # whatever a kernel can provoke in nbclient by what it sends is the kernel's fault
            self._forget_tasks()
            self._end_for_good()
            if (scarce := host_error(error)) is not None:
                raise scarce from None
            return _Execution(
                "died", time.monotonic() - started, "the Python process broke Jupyter's protocol"
            )
        finally:
            last_resort.cancel()
        taken = time.monotonic() - started
        content: Any = self._reply.get("content") if self._reply else None
        if type(content) is not dict:
            return _Execution("ok", taken)
        count = content.get("execution_count")
        if type(count) is int:
            self.cell_of_execution[count] = number
        if content.get("status") == "error":
            failure = _failure(content)
            line = f"line {failure.lines[0]}: " if failure.lines else ""
            return _Execution("raised", taken, f"{line}{failure}", failure)
        return _Execution("ok", taken)

    def _end_for_good(self) -> None:
        """Kill the kernel from whatever thread."""
        if self._process is not None:
            self._process.signal(signal.SIGKILL)
        with contextlib.suppress(GraderError):
            isolation.sweep(self.workspace.mark)

    def time_is_up(self) -> str | None:
        """What time was used up, in words, or None."""
        now = time.monotonic()
        if now >= self._deadline:
            return f"the time for the whole submission ({self.limits.total:.0f} s) was used up"
        if now >= self._part_deadline:
            return f"the time for this part ({self.limits.part:.0f} s) was used up"
        return None

    def begin_part(self) -> None:
        """Count the time of a part's properties from now on, so that one part's hang leaves time for the others."""
        self._part_deadline = min(self._deadline, time.monotonic() + self.limits.part)

    def why_ended(self, when: str) -> str:
        """Why the kernel gives no answer, in words: its time is up, or the watchdog stopped it, or it ended."""
        if (spent := self.time_is_up()) is not None:
            return f"{spent} {when}"
        if self._watchdog is not None and self._watchdog.reason is not None:
            return f"the Python process was stopped {when}: {self._watchdog.reason}"
        return f"the Python process ended {when}"

    def _forget_tasks(self) -> None:
        """Cancel what nbclient leaves waiting after a failure, so that it does not fail later, where nobody asks."""
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    def _note_reply(self, cell: Any, cell_index: int, execute_reply: dict[str, Any]) -> None:
        self._reply = execute_reply

    def _process_is_lost(self) -> bool:
        """Whether the kernel is dead or does not come back when it is interrupted."""
        process = self._process
        if process is None or process.poll() is not None:
            return True
        if self._reply is not None:
            return False
        process.signal(signal.SIGINT)
        return self._execute(0, "pass", AWAKE).status != "ok"

    def _find_missing(self) -> None:
        """Ask which imported packages are absent; their imports then succeed and their use names them."""
        names = sorted(set(self.plan.imports) - PROVIDED_MODULES)
        if not names:
            return
        with self._served():
            assert self._process is not None
            answer = self._process.ask({"op": "modules", "names": names}, 30.0)
        missing = answer.get("missing")
        known = [name for name in names if isinstance(missing, list) and name in missing]
        if known:
            self.missing = known
            self._execute(0, "", 5.0)
            self.warnings.append(f"not installed in the grader: {', '.join(known)}; only code that uses it fails")
            with self._served():
                assert self._process is not None
                self._process.ask({"op": "stand_for_absent", "names": known}, 10.0)

    # -- properties ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _served(self) -> Iterator[None]:
        self.serve()
        try:
            yield
        finally:
            self._leave()

    def serve(self) -> None:
        """Hand the kernel's main thread to the agent."""
        if self._serving:
            return
        assert self._client is not None
        kc: Any = self._client.kc
        try:
            kc.shell_channel.send(kc.session.msg("serve_request", {}))
        except Exception as error:
            raise KernelError(f"the kernel process no longer listens ({type(error).__name__})") from None
        self._serving = True

    def _leave(self) -> None:
        if self._serving and self._process is not None:
            with contextlib.suppress(OSError):
                self._process.tell({"op": "leave"})
            self._serving = False

    @contextlib.contextmanager
    def property(self, world: dict[str, Any], seconds: float | None = None) -> Iterator[PropertyChannel]:
        """A connection to a fresh child of the kernel, for one property; the child is gone afterwards."""
        if (spent := self.time_is_up()) is not None:
            raise KernelError(spent)
        self.serve()
        assert self._process is not None
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            # A round in one piece: else both sides take turns at its parts.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        budget = seconds or self.limits.property
        with theirs:
            answer = self._process.ask({"op": "property"}, min(10.0, budget), [theirs.fileno()])
        connection = Connection(ours, world, budget, last=lambda: self._part_deadline)
        channel = PropertyChannel(connection, answer.get("pid"))
        try:
            yield channel
        finally:
            ours.close()
            with contextlib.suppress(KernelError):
                self.reap(channel)

    def reap(self, channel: PropertyChannel, *, kill: bool = True) -> int | None:
        """End a property's child; its exit status, or minus the signal that ended it."""
        if channel.ended:
            return channel.status
        assert self._process is not None
        channel.ended = True
        seconds = min(10.0, self.limits.property)
        status = self._process.ask({"op": "reap", "pid": channel.pid, "kill": kill}, seconds).get("status")
        channel.status = status if type(status) is int else None
        return channel.status

    @contextlib.contextmanager
    def training(self, files: Sequence[int]) -> Iterator[socket.socket]:
        """A connection to the kernel's trainer, which may read the open ``files``; the kernel is of no other use meanwhile.

        What it takes counts as training, on top of the time for the whole submission. Raises `KernelError`.
        """
        self.serve()
        assert self._process is not None
        ours, theirs = socket.socketpair()
        with theirs:
            self._process.ask({"op": "train"}, 10.0, [theirs.fileno(), *files])
        with ours:
            yield ours


@dataclass
class PropertyChannel:
    """A property's connection and the child behind it."""

    connection: Connection
    pid: Any
    ended: bool = False
    status: int | None = None


_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def _state(content: dict[str, Any]) -> dict[str, Any]:
    """Of a status message only what nbclient waits for."""
    state = content.get("execution_state")
    return {"execution_state": state if type(state) is str else ""}


def _text(value: Any, limit: int) -> str:
    return value[:limit] if type(value) is str else ""


def _failure(content: dict[str, Any]) -> Failure:
    """Name, message and lines of a cell's exception, all of bounded length."""
    traceback = content.get("traceback")
    shown = [_text(line, 20_000) for line in traceback[:50]] if type(traceback) is list else []
    count = content.get("execution_count")
    places = re.findall(rf"(?:\bCell In\[{count}\], line |\bcell-{count}:)(\d{{1,9}})", _ANSI.sub("", "\n".join(shown)))
    lines = tuple(int(line) for line in places[:50])
    return Failure(_text(content.get("ename"), 100), _text(content.get("evalue"), 300), lines)
