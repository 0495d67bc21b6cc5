"""What `grader doctor` says, and that the result file tells the truth whenever the grader is killed."""

from __future__ import annotations

import io
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console

from grader import assets
from grader.doctor import Finding, essentials_missing, start_a_kernel
from grader.report.terminal import print_findings

GRADER = [sys.executable, "-m", "grader"]


def test_a_kernel_starts_and_says_its_layers() -> None:
    found = start_a_kernel()
    assert found.ok, found
    assert "limits" in found.detail


def test_what_is_missing_decides() -> None:
    findings = [
        Finding("torch", False, "gone"),
        Finding("GPU", None, "none"),
        Finding("Landlock", False, "weak"),
    ]
    assert essentials_missing(findings) == findings[:1]


def test_findings_are_printed_harmless() -> None:
    out = io.StringIO()
    print_findings(
        [Finding("rubric", False, "\x1b[2J/odd\u202epath", "reinstall"), Finding("GPU", None, "none")],
        Console(file=out, width=80),
    )
    assert "\x1b" not in out.getvalue()
    assert "\u202e" not in out.getvalue()
    assert "reinstall" in out.getvalue()


@pytest.mark.slow
def test_doctor_ends_well() -> None:
    done = subprocess.run([*GRADER, "doctor"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kernel" in done.stdout


def valid(path: Path) -> dict[str, object]:
    schema = json.loads((Path(assets.__file__).parent / "scoring" / "result.schema.json").read_text(encoding="utf-8"))
    written: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(written, schema)
    return written


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.3, 2.5, 4.0, 6.0, 8.0])
def test_a_killed_grader_leaves_a_true_result(tmp_path: Path, moment: float) -> None:
    out = tmp_path / "result.json"
    out.write_text('{"score": 18, "of": "an earlier run"}')
    process = subprocess.Popen(
        [*GRADER, "grade", "--example", "--json", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(moment + random.Random(moment).random())
    ended = process.poll() is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    if not out.exists() or "an earlier run" in out.read_text():
        assert moment < 6, "there is a result once the grader has loaded"
        return
    written = valid(out)
    if ended or written["error"] is None:
        assert (written["score"], written["pending"]) == (14, 17)
    else:
        assert "not finished" in str(written["error"])
        assert (written["score"], written["max_score"], written["pending"]) == (0, 0, 35)
