"""No verdict hangs on how busy the machine is."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.assignment import Assignment
from tests.under_load import differences, notebooks


@pytest.mark.slow
def test_results_are_the_same_beside_spinning_processes(tmp_path: Path, assignment: Assignment) -> None:
    found = dict(differences(notebooks(tmp_path, variants=10), assignment, spin=8))
    assert not any(found.values()), "\n".join(f"{name}: {difference}" for name, difference in found.items())
