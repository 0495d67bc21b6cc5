"""Trials of a zip: each on its own, nothing left behind however they end, and a wheel wherever the grader is installed."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from grader.cli import gradescope as commands
from grader.errors import GraderError, UsageError
from grader.gradescope.build import Options, _members, pack_installed, write_zip
from grader.gradescope.trial import fresh

ROOT = Path(__file__).resolve().parents[2]
SETUP = b"""#!/bin/bash
set -e
if [ -f "$HW3_HOME/stamp" ]; then echo again; exit 0; fi
mkdir -p "$HW3_HOME"
touch "$HW3_HOME/stamp"
echo new
"""
RUN = b"""#!/bin/sh
mkdir -p "$HW3_AUTOGRADER/results"
echo '{"score": 1, "output": "done"}' > "$HW3_AUTOGRADER/results/results.json"
"""


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)


def left(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "tmp").iterdir())


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    write_zip(tmp_path / "a.zip", {"setup.sh": SETUP, "run_autograder": RUN})
    return tmp_path / "a.zip"


def test_trials_share_nothing_and_leave_nothing(tmp_path: Path, archive: Path) -> None:
    with fresh(archive) as first, fresh(archive) as second:
        assert first.home != second.home
        assert (first.log.strip(), second.log.strip()) == ("new", "new")
        notebook = tmp_path / "a.ipynb"
        notebook.write_text("{}")
        assert first.run(notebook) == second.run(notebook) == {"score": 1, "output": "done"}
    assert left(tmp_path) == []


def test_a_kept_installation_serves_the_next_trial(tmp_path: Path, archive: Path) -> None:
    keep = tmp_path / "kept"
    logs = []
    for _ in range(2):
        with fresh(archive, keep=keep) as trial:
            logs.append(trial.log.strip())
    assert logs == ["new", "again"]
    assert sorted(path.name for path in keep.iterdir()) == ["installed", "lock"]
    assert left(tmp_path) == []


def test_a_folder_that_cannot_be_kept_in_is_told(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--keep"), fresh(archive, keep=tmp_path / "file"):
        pass
    assert left(tmp_path) == []


def test_a_failed_setup_leaves_nothing(tmp_path: Path) -> None:
    write_zip(tmp_path / "b.zip", {"setup.sh": b"sleep 1000 & echo no; exit 3\n", "run_autograder": RUN})
    with pytest.raises(GraderError, match="status 3"), fresh(tmp_path / "b.zip"):
        pass
    assert left(tmp_path) == []


KILLED = """
import signal
import sys
from pathlib import Path
# Started in the background, Python ignores Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
from grader.gradescope.trial import fresh
with fresh(Path(sys.argv[1])):
    pass
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killing_a_trial_ends_what_it_started(tmp_path: Path, number: signal.Signals) -> None:
    pids = tmp_path / "pids"
    setup = f'echo $$ >> "{pids}"; (sleep 1000 & echo $! >> "{pids}"; wait) & sleep 1000\n'
    write_zip(tmp_path / "b.zip", {"setup.sh": setup.encode(), "run_autograder": RUN})
    command = [sys.executable, "-c", KILLED, str(tmp_path / "b.zip")]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
    until(lambda: pids.is_file() and len(pids.read_text().split()) == 2)
    started = [int(pid) for pid in pids.read_text().split()]
    assert all(runs(pid) for pid in started)
    assert len(left(tmp_path)) == 1
    process.send_signal(number)
    process.wait()
    until(lambda: not any(runs(pid) for pid in started))
    until(lambda: left(tmp_path) == [])


def runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return status not in "ZX"


def until(holds, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.05)


# -- the wheel -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="a wheel is built without network only")
def test_an_installed_grader_packs_the_wheel_that_it_came_from(tmp_path: Path) -> None:
    """As the README says: `pip install .`, then `grader gradescope build`, with no sources in reach."""
    pip = [sys.executable, "-m", "pip"]
    options = ["--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *options, "--wheel-dir", str(tmp_path / "built"), str(ROOT)], check=True)
    (built,) = (tmp_path / "built").iterdir()
    target = tmp_path / "site"
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(built)], check=True)
    code = "import sys; from pathlib import Path; from grader.gradescope.build import build_wheel; "
    code += "print(build_wheel(Path(sys.argv[1])))"
    (tmp_path / "packed").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "packed")],
        env={**os.environ, "PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    packed = Path(done.stdout.strip())
    assert packed.name == built.name
    assert contents(packed) == contents(built)
    again = tmp_path / "again"
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", "--target", str(again), str(packed)], check=True)
    assert (again / "grader" / "_shipped" / "rubric.yaml").read_bytes() == (ROOT / "rubric.yaml").read_bytes()


def contents(wheel: Path) -> dict[str, object]:
    with zipfile.ZipFile(wheel) as archive:
        found: dict[str, object] = {name: archive.read(name) for name in archive.namelist()}
    record = next(name for name in found if name.endswith("RECORD"))
    return {**found, record: sorted(bytes(found[record]).splitlines())}  # type: ignore[call-overload]


def test_what_lists_no_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither installed nor a checkout"):
        pack_installed(tmp_path, "no-such-distribution")


def test_the_image_gets_the_python_that_builds_the_zip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And one whose syntax is older than Colab's is told."""
    wheel = tmp_path / "hw3_grader-9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("hw3_grader-9.dist-info/METADATA", "Name: hw3-grader\nVersion: 9\n")
    members = _members(wheel, Options(public_seed=True))
    assert members["python-version.txt"].decode().strip() == f"{sys.version_info[0]}.{sys.version_info[1]}"
    commands.build(tmp_path / "a.zip", None, True, wheel=wheel, skip_check=True)
    told = "newer syntax in a notebook is an error" in capsys.readouterr().out
    assert told == (sys.version_info < commands.CURRENT)


@pytest.mark.parametrize(("python", "told"), [("3.10.14", True), ("3.11.9", True), ("3.12.0", False), ("3.13.0rc1", False)])
def test_a_python_that_is_older_than_the_students_syntax_is_told(python: str, told: bool) -> None:
    warning = commands.syntax_warning(python)
    assert (warning is not None) == told
    assert warning is None or f"Python {python}, so newer syntax" in warning
