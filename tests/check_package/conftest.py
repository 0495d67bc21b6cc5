"""The check package, built once and unpacked, and Pythons that have it and nothing of the grader."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.check_package.build import build

HERE = Path(__file__).parent
Answer = dict[str, tuple[str, str]]
Judge = Callable[[list[str], list[str]], Answer]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, as pip would install it."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def judge_alone(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """Checks cells in a Python without the grader: status and message of each criterion of some items."""
    with subprocess.Popen(
        # -I: nothing of this checkout is found.
        [sys.executable, "-I", str(HERE / "worker.py"), str(unpacked)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path_factory.mktemp("notebook"),
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None

        def judge(cells: list[str], items: list[str]) -> Answer:
            worker.stdin.write(json.dumps([cells, items]) + "\n")
            worker.stdin.flush()
            answer = json.loads(worker.stdout.readline())
            assert "error" not in answer, answer
            return {name: (status, message) for name, (status, message) in answer.items()}

        yield judge
        worker.stdin.close()
