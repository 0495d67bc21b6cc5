"""Builds only what a command line asks for, as reading the options of every command takes longer than many a command."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from typing import Any

import typer


def of_interest(app: typer.Typer, arguments: Sequence[str]) -> typer.Typer:
    """The app, in which commands that no argument names have their help and no options.

    It answers these arguments as the app itself does. A shell that asks for completions names the command elsewhere, so it gets
    the app.
    """
    if any(name.startswith("_") and name.endswith("_COMPLETE") for name in os.environ):
        return app
    kept = copy.copy(app)
    kept.registered_commands = [
        info if _name(info) in arguments else _but(info, callback=_without_options(info.callback))
        for info in app.registered_commands
    ]
    kept.registered_groups = [
        info if info.name in arguments else _but(info, typer_instance=_without_commands(info.typer_instance))
        for info in app.registered_groups
    ]
    return kept


def _name(command: Any) -> str:
    name: str = command.name or command.callback.__name__.replace("_", "-")
    return name


def _but(info: Any, **changes: Any) -> Any:
    changed = copy.copy(info)
    vars(changed).update(changes)
    return changed


def _without_commands(group: Any) -> typer.Typer:
    reduced: typer.Typer = copy.copy(group)
    reduced.registered_commands, reduced.registered_groups = [], []
    callback = group.registered_callback
    if callback is not None:
        reduced.registered_callback = _but(callback, callback=_without_options(callback.callback))
    return reduced


def _without_options(command: Any) -> Callable[[], None]:
    def reduced() -> None:
        raise AssertionError("a command that no argument named")

    reduced.__name__, reduced.__doc__ = command.__name__, command.__doc__
    return reduced
