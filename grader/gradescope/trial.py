"""Sets a built zip up on this machine as the platform would, and runs it on submissions.

The layout below a folder is the platform's: ``autograder/source``, ``submission``, ``results`` and so on. Each trial has a
folder and an installation of its own, which are deleted when it ends, however it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.errors import GraderError, UsageError
from grader.gradescope.guard import Guard
from grader.homework import VARIABLE, load_homework

Say = Callable[[str], None]


HOMEWORK = "homework"
"""The folder of a homework that does not ship with the grader, in the zip and where setup.sh installs."""


@dataclass
class Trial:
    """A zip that was unpacked and set up: its folder, and where setup.sh installed."""

    base: Path
    home: Path
    guard: Guard
    log: str = ""
    """What the last run printed, which instructors see on the platform."""

    @property
    def source(self) -> Path:
        """The zip's files."""
        return self.base / "source"

    @property
    def environment(self) -> dict[str, str]:
        """What tells the scripts where they are; nothing else of this process's Python."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "HW3_", "GRADER_")) and name != "VIRTUAL_ENV"
        }
        given = {
            name: value for name, value in os.environ.items() if name in ("HW3_PIP_ARGS", "HW3_TORCH_ARGS")
        }
        return {
            **kept,
            **given,
            "HW3_AUTOGRADER": str(self.base),
            "HW3_SOURCE": str(self.source),
            "HW3_HOME": str(self.home),
            "HW3_PYTHON": getattr(sys, "_base_executable", sys.executable),
        }

    def set_up(self) -> None:
        """Run setup.sh, as the platform does once for a zip."""
        command = ["bash", str(self.source / "setup.sh")]
        status, self.log = self.guard.run(command, self.environment, self.base)
        if status:
            raise GraderError(f"setup.sh failed with status {status}: {self.log.strip()[-3000:]}")

    def run(self, submission: Path, metadata: Path | None = None) -> dict[str, Any]:
        """Run run_autograder on a file or on a folder's contents; the results, which follow the specification."""
        from grader.gradescope.results import valid  # noqa: PLC0415 - validation needs a library that is slow to import

        for name in ("submission", "results"):
            shutil.rmtree(self.base / name, ignore_errors=True)
            (self.base / name).mkdir()
        if submission.is_dir():
            shutil.copytree(submission, self.base / "submission", symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copyfile(submission, self.base / "submission" / submission.name)
        (self.base / "submission_metadata.json").unlink(missing_ok=True)
        if metadata is not None:
            shutil.copyfile(metadata, self.base / "submission_metadata.json")
        shutil.copyfile(self.source / "run_autograder", self.base / "run_autograder")
        (self.base / "run_autograder").chmod(0o755)
        _, self.log = self.guard.run([str(self.base / "run_autograder")], self.environment, self.base)
        try:
            results = json.loads((self.base / "results" / "results.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise GraderError(f"the run left no results: {error}; it said: {self.log[-2000:]}") from None
        if not valid(results):
            raise GraderError(f"Gradescope would reject these results: {json.dumps(results)[:2000]}")
        return dict(results)

    def template(self) -> Path:
        """The untouched template, as it travels in the zip."""
        shipped = self.home / "lib" / "grader" / "_shipped"
        folder = self._homework if self._homework.is_dir() else shipped
        return folder / "student_template" / f"{load_homework().name}.ipynb"

    @property
    def _homework(self) -> Path:
        """The homework that came with the zip; there is none where it ships with the grader."""
        return self.home / HOMEWORK

    def master(self) -> Path:
        """The master notebook, made by the grader that setup.sh installed."""
        folder = self.base / "master"
        folder.mkdir(exist_ok=True)
        command = [str(self.home / "venv/bin/python"), "-m", "grader", "template", "build"]
        environment = {**self.environment, "PYTHONPATH": str(self.home / "lib")}
        if self._homework.is_dir():
            environment[VARIABLE] = str(self._homework)
        status, printed = self.guard.run([*command, "--out", str(folder), "--master"], environment, folder)
        found = sorted(folder.glob("*master*.ipynb"))
        if status or not found:
            raise GraderError(f"the zip's grader makes no master notebook: {printed.strip()[-1000:]}")
        return found[0]


@contextlib.contextmanager
def fresh(path: Path, say: Say = lambda line: None, keep: Path | None = None) -> Iterator[Trial]:
    """A zip set up for this trial alone; raises GraderError when setup.sh fails.

    With the folder ``keep`` the installation stays there, for the next trial of the same zip; trials that keep theirs in one
    folder wait for each other.
    """
    outer = Path(tempfile.mkdtemp(prefix="hw3-try-"))
    with contextlib.ExitStack() as stack:
        guard = stack.enter_context(Guard(outer))
        outer.chmod(0o711)  # a submission's own user has to reach its own files beneath
        home = outer / "home"
        if keep is not None:
            home = stack.enter_context(_kept(keep, say))
        unpack(path, outer / "autograder" / "source")
        trial = Trial(outer / "autograder", home, guard)
        say(f"running setup.sh into {trial.home}")
        started = time.monotonic()
        trial.set_up()
        last = (trial.log.strip().splitlines() or ["set up"])[-1]
        say(f"{last} in {time.monotonic() - started:.0f} s")
        yield trial


@contextlib.contextmanager
def _kept(folder: Path, say: Say) -> Iterator[Path]:
    """The place of the one installation in a folder, for this process alone; setup.sh says whether it still fits."""
    import fcntl  # noqa: PLC0415 - absent on Windows

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise UsageError(f"--keep {folder}: {error.strerror or error}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another trial that uses {folder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield (folder / "installed").resolve()


def unpack(path: Path, folder: Path) -> None:
    """A zip's files with their modes; raises UsageError."""
    folder.mkdir(parents=True)
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                archive.extract(info, folder)
                (folder / info.filename).chmod((info.external_attr >> 16) & 0o777 or 0o644)
    except (OSError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} is not a readable zip: {error}") from None
    if not (folder / "setup.sh").is_file() or not (folder / "run_autograder").is_file():
        raise UsageError(f"{path} is not an autograder zip: setup.sh or run_autograder is missing")
