"""The page on adding a property, done as it stands: its files are changed and its commands run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "adding_a_property.md").read_text(encoding="utf-8")
STEP = re.compile(
    r"Append to `(?P<appended>[^`]+)`:\n\n```\w+\n(?P<text>.*?)```"
    r"|[Ii]n `(?P<edited>[^`]+)` replace\n\n```text\n(?P<old>.*?)```\n\nwith\n\n```text\n(?P<new>.*?)```"
    r"|```sh\n(?P<commands>.*?)```",
    re.DOTALL,
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``grader`` and ``pytest`` are those of this checkout."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("grader", "pytest"):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n')
        (tools / name).chmod(0o755)
    return {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}


def steps() -> Iterator[re.Match[str]]:
    yield from STEP.finditer(PAGE)


def test_the_page_works_as_it_stands(tmp_path: Path, environment: dict[str, str]) -> None:
    done = []
    for step in steps():
        if commands := step["commands"]:
            for command in commands.splitlines():
                ran = subprocess.run(
                    command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
                )
                assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
                done.append(command.split()[0])
        elif step["appended"]:
            path = tmp_path / step["appended"]
            path.write_text(path.read_text() + step["text"])
        else:
            path = tmp_path / step["edited"]
            before = path.read_text()
            assert before.count(step["old"]) == 1
            path.write_text(before.replace(step["old"], step["new"]))
    assert done == ["grader"] * 5 + ["pytest"]


def test_no_block_of_the_page_is_left_out() -> None:
    found = sum(step[0].count("```") for step in steps())
    assert found == PAGE.count("```")
