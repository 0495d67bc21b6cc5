"""The page of commands, from the command line's own definition."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import typer.main

from grader.cli import app


def pages() -> Mapping[str, str]:
    """One page with every command, in the order of ``grader --help``."""
    root = typer.main.get_command(app)
    sections = "\n\n".join(_section(command, name) for name, command in _walk(root, "grader"))
    head = "# Commands\n\nEvery command, with all its options, as `--help` prints it.\n\n"
    return {"reference/commands.md": f"{head}{sections}\n"}


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for child, sub in getattr(command, "commands", {}).items():
        yield from _walk(sub, f"{name} {child}")


def _section(command: Any, name: str) -> str:
    context = type(command).context_class(command, info_name=name, max_content_width=80, terminal_width=80)
    text = re.sub(r"^Usage: .*\n(?: {2,}.*\n)*\n?", "", command.get_help(context))
    usage = " ".join(command.collect_usage_pieces(context))
    return f"## {name}\n\n```text\n{name} {usage}\n\n{text.rstrip()}\n```"
