"""Sets a built zip up on this machine as the platform would, and runs it on submissions.

The layout below a folder is the platform's: ``autograder/source``, ``submission``, ``results`` and so on. What
setup.sh installs is kept for the zip that was tried last, as it is large.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.errors import GraderError, UsageError

Say = Callable[[str], None]


@dataclass
class Trial:
    """A zip that was unpacked and set up: its folder, and where setup.sh installed."""

    base: Path
    home: Path
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
            if not name.startswith(("PYTHON", "HW3_")) and name != "VIRTUAL_ENV"
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
        done = subprocess.run(
            ["bash", str(self.source / "setup.sh")],
            env=self.environment,
            cwd=self.base,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.log = done.stdout
        if done.returncode:
            raise GraderError(f"setup.sh failed with status {done.returncode}: {done.stdout.strip()[-3000:]}")

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
        done = subprocess.run(
            [str(self.base / "run_autograder")],
            env=self.environment,
            cwd=self.base,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.log = done.stdout.decode("utf-8", "replace")
        try:
            results = json.loads((self.base / "results" / "results.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise GraderError(f"the run left no results: {error}; it said: {self.log[-2000:]}") from None
        if not valid(results):
            raise GraderError(f"the platform would refuse these results: {json.dumps(results)[:2000]}")
        return dict(results)

    def template(self) -> Path:
        """The untouched template, as it travels in the zip."""
        return self.home / "lib" / "grader" / "_shipped" / "student_template" / "homework3.ipynb"

    def master(self) -> Path:
        """The master notebook, made by the grader that setup.sh installed."""
        folder = self.base / "master"
        folder.mkdir(exist_ok=True)
        command = [str(self.home / "venv/bin/python"), "-m", "grader", "template", "build"]
        done = subprocess.run(
            [*command, "--out", str(folder), "--master"],
            env={**self.environment, "PYTHONPATH": str(self.home / "lib")},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        found = sorted(folder.glob("*master*.ipynb"))
        if done.returncode or not found:
            raise GraderError(f"the zip's grader makes no master notebook: {done.stderr.strip()[-1000:]}")
        return found[0]


@contextlib.contextmanager
def fresh(path: Path, say: Say = lambda line: None) -> Iterator[Trial]:
    """A zip set up from nothing; raises GraderError when setup.sh fails."""
    with _unpacked(path) as trial:
        for other in trial.home.parent.iterdir():
            shutil.rmtree(other, ignore_errors=True)
        _set_up(trial, say)
        yield trial


@contextlib.contextmanager
def kept(path: Path, say: Say = lambda line: None) -> Iterator[Trial]:
    """A zip set up as before, if it was tried last; raises GraderError when setup.sh fails."""
    with _unpacked(path) as trial:
        if not (trial.home / "stamp").is_file():
            for other in trial.home.parent.iterdir():
                shutil.rmtree(other, ignore_errors=True)
        _set_up(trial, say)
        yield trial


def _set_up(trial: Trial, say: Say) -> None:
    say(f"running setup.sh into {trial.home}")
    started = time.monotonic()
    trial.set_up()
    say(f"{trial.log.strip().splitlines()[-1]} in {time.monotonic() - started:.0f} s")


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[Trial]:
    with tempfile.TemporaryDirectory(prefix="hw3-try-") as folder:
        outer = Path(folder)
        outer.chmod(0o711)  # a submission's own user has to reach its own files beneath
        base = outer / "autograder"
        unpack(path, base / "source")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        home = _cache() / digest
        home.parent.mkdir(parents=True, exist_ok=True)
        yield Trial(base, home)


def unpack(path: Path, folder: Path) -> None:
    """A zip's files with their modes; raises UsageError."""
    folder.mkdir(parents=True)
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                archive.extract(info, folder)
                (folder / info.filename).chmod((info.external_attr >> 16) & 0o777 or 0o644)
    except (OSError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} is no zip that can be read: {error}") from None
    if not (folder / "setup.sh").is_file() or not (folder / "run_autograder").is_file():
        raise UsageError(f"{path} is no autograder: it lacks setup.sh or run_autograder")


def _cache() -> Path:
    """Where other users can read, as submissions run as one: not in root's home."""
    chosen = os.environ.get("HW3_CACHE")
    if chosen:
        return Path(chosen) / "gradescope"
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/cache/hw3-grader/gradescope")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hw3-grader" / "gradescope"
