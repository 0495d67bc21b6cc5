"""Finds what travels with the grader.

What instructors edit lies at the top level of a checkout; in an installed wheel it lies in ``grader/_shipped`` under the same
names.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE / "_shipped" if (PACKAGE / "_shipped").is_dir() else PACKAGE.parent
DATA = PACKAGE / "data"
