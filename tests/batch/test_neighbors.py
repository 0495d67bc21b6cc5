"""One hand-in of a class changes nothing of the others', whatever it is: their reports are the same, byte for byte."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.batch.conftest import finished, loss_only
from tests.hostile.generator import KINDS, hostile

pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform != "linux", reason="layers of isolation are Linux's")]

NEIGHBORS = [f"student-{number}" for number in range(9)]
# The slow test has a notebook of each kind. These are quick, and of the sorts that reach furthest.
SAMPLE = ("six_axes", "kills_everyone")
AT_ONCE = 10
"""Many of them do nothing until their time is up, so more jobs than cores are quicker."""
OTHERS = [kind for kind in KINDS if kind not in SAMPLE]


def classroom(folder: Path, odd: Mapping[str, bytes] | None = None) -> Path:
    """Nine students, three of whom are wrong, and perhaps others."""
    folder.mkdir()
    for number, name in enumerate(NEIGHBORS):
        (folder / f"{name}.ipynb").write_text(loss_only(number, right=number % 3 > 0), encoding="utf-8")
    for name, data in (odd or {}).items():
        (folder / f"odd-{name}.ipynb").write_bytes(data)
    return folder


def graded(folder: Path) -> dict[str, bytes]:
    """What is written about the nine, by name, without the seconds that it took."""
    out = folder.with_name(f"{folder.name}-out")
    ran = finished(
        "batch", folder, "--out", out, "--only", "4d", "--jobs", 5, "--timeout", 30, "--training", "never"
    )
    written: dict[str, bytes] = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.stem in NEIGHBORS:
            data = path.read_bytes()
            if path.suffix == ".json":
                result = json.loads(data)
                result.pop("seconds", None)
                for cell in result.get("cells", []):
                    cell.pop("seconds", None)
                data = json.dumps(result, sort_keys=True).encode()
            written[str(path.relative_to(out))] = data
    for row in (out / "grades.csv").read_bytes().splitlines():
        name = re.search(rb"student-\d", row)
        if name is not None:
            written[name[0].decode()] = row
    assert len(written) >= 2 * len(NEIGHBORS), ran.stderr
    return written


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What is written about the nine in a class of nine."""
    return graded(classroom(tmp_path_factory.mktemp("alone") / "class"))


def hold(tmp_path: Path, alone: dict[str, bytes], *kinds: str) -> None:
    base = json.loads(loss_only(99, right=False))
    beside = graded(classroom(tmp_path / "class", {kind: hostile(kind, base) for kind in kinds}))
    assert sorted(beside) == sorted(alone)
    for name, data in alone.items():
        assert beside[name] == data, name


@pytest.mark.parametrize("kind", SAMPLE)
def test_a_hostile_notebook_changes_nothing_of_its_neighbors(
    tmp_path: Path, alone: dict[str, bytes], kind: str
) -> None:
    hold(tmp_path, alone, kind)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, len(OTHERS), AT_ONCE), ids=lambda first: OTHERS[first])
def test_notebooks_of_each_kind_change_nothing_of_their_neighbors(
    tmp_path: Path, alone: dict[str, bytes], first: int
) -> None:
    hold(tmp_path, alone, *OTHERS[first : first + AT_ONCE])


def test_metadata_in_a_hand_in_changes_nothing_of_its_neighbors(tmp_path: Path, alone: dict[str, bytes]) -> None:
    folder = classroom(tmp_path / "class")
    theft = folder / "odd" / "submission_1"
    theft.mkdir(parents=True)
    (theft / "hw3.ipynb").write_text(loss_only(99), encoding="utf-8")
    (theft.parent / "submission_metadata.yml").write_text(
        "submission_1:\n  :submitters:\n  - :name: student-1\n    :sid: '1'\n    :email: student-1@example.org\n"
    )
    assert graded(folder) == alone
