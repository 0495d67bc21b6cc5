"""Cases hang on the seed alone, and drawing them leaves nothing in the folder where the grader is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIGEST = """
import hashlib
from grader.homework import load_homework
from grader.judging.engine import cases_for
from hypothesis.internal.conjecture import providers
properties = load_homework().properties
drawn = {name: repr(cases_for(property, b"sixteen bytes at least")) for name, property in sorted(properties.items())}
print(len(drawn), hashlib.sha256(repr(drawn).encode()).hexdigest())
"""


def digest(cwd: Path, code: str = DIGEST, library: Path = ROOT) -> str:
    kept = {name: value for name, value in os.environ.items() if name != "HYPOTHESIS_STORAGE_DIRECTORY"}
    cache = cwd.parent / "cache"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(library), "HW3_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_an_installed_grader_draws_what_a_checkout_draws(tmp_path: Path) -> None:
    """Hypothesis tells the two apart by the path of the source files."""
    installed = tmp_path / "lib" / "site-packages"
    installed.mkdir(parents=True)
    for name in ("grader", "reference", "student_template", "examples", "rubric.yaml"):
        (installed / name).symlink_to(ROOT / name)
    elsewhere = tmp_path / "work"
    elsewhere.mkdir()
    assert digest(elsewhere) == digest(elsewhere, library=installed)


def test_nothing_is_left_in_the_working_folder(tmp_path: Path) -> None:
    elsewhere = tmp_path / "work"
    elsewhere.mkdir()
    digest(elsewhere)
    assert list(elsewhere.iterdir()) == []
