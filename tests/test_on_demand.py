"""The command line builds what its arguments name, and answers as if it had built all of it."""

from __future__ import annotations

import pytest
import typer
from typer.main import get_command

from grader.cli import app
from grader.cli.on_demand import of_interest


def test_help_lists_every_command_with_its_summary() -> None:
    whole, reduced = get_command(app), get_command(of_interest(app, ["--help"]))
    assert reduced.get_help(typer.Context(reduced, info_name="grader")) == whole.get_help(
        typer.Context(whole, info_name="grader")
    )


@pytest.mark.parametrize(
    "arguments", [["grade"], ["--homework", "batch", "grade"], ["audit", "generate"], ["gradebook"]]
)
def test_what_is_named_has_all_its_options_and_commands(arguments: list[str]) -> None:
    whole, reduced = get_command(app), get_command(of_interest(app, arguments))
    for name in set(arguments) & set(whole.commands):  # type: ignore[attr-defined]
        expected, found = whole.commands[name], reduced.commands[name]  # type: ignore[attr-defined]
        assert [param.name for param in found.params] == [param.name for param in expected.params]
        assert list(getattr(found, "commands", {})) == list(getattr(expected, "commands", {}))


def test_completion_gets_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_GRADER_COMPLETE", "complete_bash")
    assert of_interest(app, []) is app


def test_options_of_other_commands_are_not_read() -> None:
    reduced = get_command(of_interest(app, ["grade"]))
    assert not reduced.commands["batch"].params  # type: ignore[attr-defined]
    assert reduced.commands["grade"].params  # type: ignore[attr-defined]
