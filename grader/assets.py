"""Finds what travels with the grader: rubric, template, reference and example.

In a checkout these lie at the top level, where instructors edit them; in an installed wheel they lie in
``grader/_shipped`` under the same names.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
ROOT = _PACKAGE / "_shipped" if (_PACKAGE / "_shipped").is_dir() else _PACKAGE.parent

RUBRIC = ROOT / "rubric.yaml"
TEMPLATE = ROOT / "student_template" / "homework3.ipynb"
REFERENCE = ROOT / "reference"
EXAMPLES = ROOT / "examples"
DATA = _PACKAGE / "data"
