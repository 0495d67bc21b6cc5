"""The README: its links and pictures exist, and its commands are those of this grader."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import typer.main

from grader.cli import app

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_links_and_pictures_exist() -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)", README) if "://" not in target]
    assert len(targets) > 15
    assert [target for target in targets if not (ROOT / target).is_file()] == []


def test_pictures_are_small() -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+\.png)\)", README)
    assert len(pictures) == 2
    assert all((ROOT / picture).stat().st_size < 80_000 for picture in pictures)


def test_commands_exist() -> None:
    commands = [shlex.split(line)[1:] for line in re.findall(r"(?:`|&& )(grader [^`&\n]+)", README)]
    assert len(commands) > 10
    for words in commands:
        command: Any = typer.main.get_command(app)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        known = {"--help"} | {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= known, words


def test_it_is_read_in_a_minute() -> None:
    """People read 250 words a minute; the table is looked up, not read."""
    prose = [line for line in README.partition("## Develop")[0].splitlines() if not line.startswith(("|", "    ", "!["))]
    assert len(" ".join(prose).split()) < 330
