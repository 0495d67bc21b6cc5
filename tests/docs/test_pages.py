"""Tutorial and how-to pages, done as they stand: their commands run and their files are changed, each page in an empty folder.

Blocks of ``sh`` run. Blocks of ``console`` and ``bash`` need what a test has not (a person, a GPU, a platform): their
commands and options must exist. "Append to" and "replace" steps change files. A page whose front matter says ``test: slow``
takes minutes.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from grader.cli import app

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
STEP = re.compile(
    r"Append to `(?P<appended>[^`]+)`:\n\n```\w+\n(?P<text>.*?)```"
    r"|[Ii]n `(?P<edited>[^`]+)` replace\n\n```text\n(?P<old>.*?)```\n\nwith\n\n```text\n(?P<new>.*?)```"
    r"|```sh\n(?P<commands>.*?)```"
    r"|```(?:console|bash)\n(?P<shown>.*?)```",
    re.DOTALL,
)
PAGES = [DOCS / "tutorial.md", *sorted((DOCS / "how_to").glob("*.md"))]


def steps(page: Path) -> Iterator[re.Match[str]]:
    return STEP.finditer(page.read_text(encoding="utf-8"))


def marked(page: Path) -> Any:
    slow = page.read_text(encoding="utf-8").startswith("---\ntest: slow\n---\n")
    return pytest.param(page, id=page.stem, marks=pytest.mark.slow if slow else pytest.mark.long)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``grader``, ``pytest`` and ``python3`` are those of this checkout."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, command in (("grader", " -m grader"), ("pytest", " -m pytest"), ("python3", "")):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{command} "$@"\n')
        (tools / name).chmod(0o755)
    return {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize("page", [marked(page) for page in PAGES if any(step["commands"] for step in steps(page))])
def test_the_page_works_as_it_stands(page: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    for step in steps(page):
        if commands := step["commands"]:
            for command in commands.splitlines():
                ran = subprocess.run(
                    command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
                )
                assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        elif step["appended"]:
            path = folder / step["appended"]
            path.write_text((path.read_text() if path.exists() else "") + step["text"])
        elif step["edited"]:
            path = folder / step["edited"]
            before = path.read_text()
            old, new = step["old"], step["new"]
            if before.count(old) != 1:  # a part of a line
                old, new = old.rstrip("\n"), new.rstrip("\n")
            assert before.count(old) == 1, f"{step['edited']}: {old}"
            path.write_text(before.replace(old, new))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_block_is_left_out(page: Path) -> None:
    found = sum(step[0].count("```") for step in steps(page))
    assert found == page.read_text(encoding="utf-8").count("```")


def _commands(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        words = shlex.split(line.removeprefix("$ "))
        if words[0] == "grader":
            yield words[1:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_that_are_only_shown_exist(page: Path) -> None:
    for step in steps(page):
        for words in _commands(step["shown"] or ""):
            command: Any = typer.main.get_command(app)
            while words and words[0] in getattr(command, "commands", {}):
                command = command.commands[words.pop(0)]
            assert not hasattr(command, "commands"), words
            known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
            assert {word for word in words if word.startswith("-")} <= known, words


def test_every_page_is_in_the_contents() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in PAGES:
        assert page.relative_to(DOCS).with_suffix("").as_posix() in index
