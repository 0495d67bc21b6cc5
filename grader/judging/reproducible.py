"""Keeps hypothesis from drawing by what is installed where, and from leaving a folder where the user works."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.internal.conjecture import providers


def make_reproducible() -> None:
    """Let the cases of a property depend on the seed alone. Call it before anything is drawn.

    Hypothesis mixes constants that it finds in local source files into what it draws. The grader's files count as local in a
    checkout and not where it is installed, so one seed would give other cases, and maybe other verdicts, on Gradescope.
    """
    if hasattr(providers, "is_local_module_file"):
        providers.is_local_module_file = _is_local
    if "HYPOTHESIS_STORAGE_DIRECTORY" not in os.environ:
        set_hypothesis_home_dir(_cache() / "hypothesis")


def _cache() -> Path:
    if named := os.environ.get("HW3_CACHE"):
        return Path(named)
    try:
        import platformdirs  # noqa: PLC0415  (the check package does without)
    except ImportError:
        return Path.home() / ".cache" / "hw3-grader"
    return platformdirs.user_cache_path("hw3-grader")


def _is_local(path: str) -> bool:
    return False
