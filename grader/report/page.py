"""Renders self-contained HTML pages: templates, the one style, and a policy that lets a page load and run nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from grader.report.terminal import points
from grader.text.safe_text import clean, shorten

PAGES = Path(__file__).resolve().parent / "pages"
LONGEST = 20_000
"""Characters of one text on a page."""


def page(template: str, *, script: str = "", style: str = "style.css pictures.css", **values: Any) -> str:
    """A page by a template that extends ``base.html``, as one HTML file that needs no other.

    Every text among ``values`` is made printable and escaped where it is put in. ``script`` is ours, and the only one that the
    page's policy lets run. ``style`` names files with styles, separated by spaces.
    """
    style = "".join((PAGES / name).read_text(encoding="utf-8") for name in style.split())
    policy = ["default-src 'none'", f"style-src {_hash(style)}", "img-src data:", "form-action 'none'", "base-uri 'none'"]
    if script:
        policy.append(f"script-src {_hash(script)}")
    ours = {"style": Markup(style), "script": Markup(script), "policy": "; ".join(policy)}
    return _environment().get_template(template).render(**ours, **values) + "\n"


def _hash(text: str) -> str:
    """How a content security policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters["points"] = points
    environment.filters["short"] = shorten
    return environment


def _printable(value: Any) -> Any:
    """Text without what cannot be seen; markup of ours as it is."""
    return clean(value, LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value
