"""The walls hold for every user that a grader may be: which layers are active is printed, and none is missing unsaid."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]

# One or two for each kind of defect that does not hang on who runs the kernel: the judge's budget, forged verdicts and reports,
# limits, what outlives a kernel, and the warm parent.
EVERYWHERE = (
    "six_axes",
    "spare_matrices_and_biases",
    "stand_ins_of_no_size",
    "answers_by_the_names_of_properties",
    "parameters_reported_that_are_none",
    "raises_what_the_grader_may_raise",
    "descriptors_in_flight",
    "files_past_the_longest_path",
    "exits_in_forward",
    "daemon_from_a_cell",
    "specification_over_every_descriptor",
    "outputs_that_name_accuracies_without_numbers",
)
# What reaches for others; a user's kernels without Landlock may do some of it, see THREATS.md.
APART = (
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
@pytest.mark.parametrize(
    ("lacking", "level"),
    [
        ("", "full"),
        ("container", "full"),
        ("user", "strong"),
        ("namespaces", "strong"),
        ("namespaces,private home", "full"),
        ("landlock", "basic"),
        ("seccomp", "basic"),
        ("user,landlock", "basic"),
        ("user,seccomp", "basic"),
    ],
)
def test_where_layers_are_missing(lacking: str, level: str) -> None:
    kinds = (*EVERYWHERE, *APART) if level in ("full", "strong") else EVERYWHERE
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.arena", "wrong", *kinds],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
        env={**os.environ, "HOSTILE_LACKING": lacking, "PYTHONPATH": str(ROOT)},
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert f"level {level};" in done.stdout
