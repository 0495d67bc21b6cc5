"""The walls hold for every user that a grader may be: which layers are active is printed, and none is missing unsaid."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "run_as.sh"
LEVELS = {"root": ("full",), "container": ("full", "strong"), "user": ("strong", "basic")}
KINDS = (
    "daemon_from_a_cell",
    "forks_that_hop",
    "kills_everyone",
    "limits_of_its_parent",
    "rewrites_the_grader",
    "environment_of_others",
    "descriptors_of_others",
    "writes_for_the_next",
    "shared_memory",
    "control_garbage",
)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to become others")
@pytest.mark.parametrize("who", list(LEVELS))
def test_as(who: str) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")
    done = subprocess.run(
        [SCRIPT, who, "wrong", *KINDS], capture_output=True, text=True, check=False, timeout=1200
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert any(f"level {level};" in done.stdout for level in LEVELS[who])
