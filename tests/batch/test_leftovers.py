"""What a killed worker left is deleted by the next one; what a living one uses stays."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from grader.batch.leftovers import claim, clear_unclaimed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files are locked otherwise")


def test_folders_of_the_dead_are_deleted(tmp_path: Path) -> None:
    dead, alive, other, own = (tmp_path / f"hw3b-{name}" for name in ("dead", "alive", "other", "own"))
    for folder in (dead, alive, other, own):
        folder.mkdir()
    claim(dead).close()
    held = claim(alive)
    clear_unclaimed(own)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["hw3b-alive", "hw3b-other", "hw3b-own"]
    held.close()
