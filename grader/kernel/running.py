"""One kernel process from its start to its end: nbclient's connection, the agent's control socket and the watchdog."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grader import assets
from grader.errors import GraderError, KernelError
from grader.kernel import confinement
from grader.kernel.execution import Completed, Execution, Executor
from grader.kernel.limits import Deadlines, Limits
from grader.kernel.manager import Manager
from grader.kernel.process import ColdProcess, WarmLink, environment

INTERRUPT_SECONDS = 8.0
"""In which a kernel that was interrupted must answer; on a busy machine it waits for its turn."""
MOST_NAMES = 50
"""In one request to the agent."""


@dataclass(frozen=True)
class KernelOptions:
    """How the kernels of a session are started. ``files`` are copied into the kernel's home, by name."""

    limits: Limits = field(default_factory=Limits)
    warm: WarmLink | None = None
    gpu: bool = False
    pretend_accelerators: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)


class RunningKernel:
    """A confined kernel process that listens. Making one starts it; raises `KernelError` where that fails.

    Args:
        workspace: its folder and user, with nothing in the folder.
        absent: packages that are not installed, whose imports are to succeed.
        loop: the event loop of the session.
    """

    def __init__(
        self,
        workspace: confinement.Workspace,
        options: KernelOptions,
        absent: Sequence[str],
        deadlines: Deadlines,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._workspace, self._deadlines = workspace, deadlines
        self.cell_of_execution: dict[int, int] = {}
        self._is_serving = False
        self._explained: set[str] = set()
        with contextlib.ExitStack() as stack:
            manager = Manager(workspace.path)
            specification = _specification(workspace, options, absent, manager)
            self._process = options.warm.start(specification) if options.warm else ColdProcess(specification)
            stack.callback(self._process.kill)
            self.layers = self._process.wait_until_ready(options.limits.start)
            budget = options.limits.budget(gpu=options.gpu)
            self._watchdog = stack.enter_context(confinement.Watchdog(workspace.mark, workspace.path, budget))
            manager.adopt(self._process)
            self._executor = Executor(manager, loop, self._kill)
            stack.callback(self._executor.close)
            self._executor.connect()
            self._at_end = stack.pop_all()

    def stop(self) -> None:
        """Hang up and end the process; what it started is left to `Workspace.sweep`."""
        self._at_end.close()

    def _kill(self) -> None:
        """Kill the process and all that it started, from whatever thread."""
        self._process.signal(signal.SIGKILL)
        with contextlib.suppress(GraderError):
            confinement.sweep(self._workspace.mark)

    # -- cells -----------------------------------------------------------------------------------------------------

    def execute(self, source: str, seconds: float, cell: int = 0) -> Execution:
        """Run the source code of a cell, for so many seconds at most; raises `HostError`."""
        self.leave()
        ended = self._executor.run(source, seconds)
        if self._executor.last_count is not None:
            self.cell_of_execution[self._executor.last_count] = cell
        return ended

    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def recover(self) -> bool:
        """Make the kernel ready for the next cell, by an interrupt where it is still busy; False where it is lost."""
        if not self.is_alive():
            return False
        if self._executor.has_replied:
            return True
        self._process.signal(signal.SIGINT)
        return isinstance(self.execute("pass", INTERRUPT_SECONDS), Completed)

    @property
    def stopped_for(self) -> str | None:
        """What the grader stopped the kernel for: more of something than a submission may use. None if it did not."""
        return self._watchdog.reason

    def why_ended(self, when: str) -> str:
        """Why the kernel gives no answer, in words: its time is up, or the watchdog stopped it, or it ended."""
        if (spent := self._deadlines.spent()) is not None:
            return f"{spent} {when}"
        if self.stopped_for is not None:
            return f"the Python process was stopped {when}: {self.stopped_for}"
        return f"the Python process ended {when}"

    # -- the agent -------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Hand the kernel's main thread to the agent; raises `KernelError`."""
        if self._is_serving:
            return
        try:
            self._executor.send("serve_request")
        except Exception as error:
            raise KernelError(f"the kernel process no longer listens ({type(error).__name__})") from None
        self._is_serving = True

    def leave(self) -> None:
        """Let the kernel run cells again."""
        if self._is_serving:
            with contextlib.suppress(OSError):
                self._process.tell({"op": "leave"})
            self._is_serving = False

    @contextlib.contextmanager
    def _served(self) -> Iterator[None]:
        self.serve()
        try:
            yield
        finally:
            self.leave()

    def ask(self, request: dict[str, Any], seconds: float, fds: Sequence[int] = ()) -> dict[str, Any]:
        """The agent's answer to a request, with file descriptors if given; it must be serving. Raises `KernelError`."""
        return self._process.ask(request, seconds, list(fds))

    def absent_among(self, packages: Sequence[str]) -> list[str]:
        """Which packages are not installed for the kernel; raises `KernelError`."""
        with self._served():
            missing = self.ask({"op": "modules", "names": list(packages)}, 30.0).get("missing")
        return [name for name in packages if isinstance(missing, list) and name in missing]

    def stand_for_packages(self, packages: Sequence[str]) -> None:
        """Let imports of absent packages succeed, so that only their use fails; raises `KernelError`."""
        with self._served():
            self.ask({"op": "stand_for_absent", "names": list(packages)}, 10.0)

    def stand_for_names(self, reasons: Mapping[str, str]) -> None:
        """Give names that have no value one that says why, once."""
        new = {name: reason[:300] for name, reason in reasons.items() if name not in self._explained}
        self._explained.update(new)
        names = list(new)
        for start in range(0, len(names), MOST_NAMES):
            chosen = {name: new[name] for name in names[start : start + MOST_NAMES]}
            # That a kernel has died is noticed, and dealt with, when it is asked to run something.
            with contextlib.suppress(KernelError), self._served():
                self.ask({"op": "stand_for_names", "reasons": chosen}, 10.0)


def _specification(
    workspace: confinement.Workspace, options: KernelOptions, absent: Sequence[str], manager: Manager
) -> dict[str, Any]:
    """What the launcher is told; lays out the folder and hands it to the kernel's user."""
    directory = workspace.path
    home, tmp = directory / "home", directory / "tmp"
    home.mkdir(mode=0o700)
    tmp.mkdir(mode=0o700)
    for name, source in options.files.items():
        shutil.copyfile(source, home / name)
    workspace.give_away()
    return {
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
        "policy": confinement.make_policy(
            workspace,
            confinement.Access(readable=(assets.DATA / "nltk",), folders=(home, tmp), gpu=options.gpu),
            budget=options.limits.budget(gpu=options.gpu),
            parent=options.warm.pid if options.warm else None,
            host=workspace.host,
        ),
        "absent": list(absent),
        "pretend_accelerators": options.pretend_accelerators,
    }
