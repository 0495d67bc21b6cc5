"""The trees of cells."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from grader.submission import syntax

SOURCE = "x = 1"


def disturbed(times: int) -> Any:
    """What ``compile`` does when another thread builds a tree for the first ``times`` of its calls."""
    calls = 0

    def compiled(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise SystemError("AST constructor recursion depth mismatch (before=54, after=57)")
        return builtins.compile(*given, **named)

    return compiled


def test_another_threads_tree_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for build in (syntax.tree_of, syntax.parse):
        monkeypatch.setattr(syntax, "compile", disturbed(3), raising=False)
        tree = build(SOURCE)
        assert tree is not None
        assert tree.body


def test_an_error_that_stays_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "compile", disturbed(10**6), raising=False)
    with pytest.raises(SystemError, match="mismatch"):
        syntax.tree_of(SOURCE)
