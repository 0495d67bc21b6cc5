"""Pages that are generated from the code when the site is built, one module a kind; git ignores what they write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generators import commands, parts, result, rubric, shipped

MODULES = (commands, rubric, result, parts, shipped)


def pages() -> Mapping[str, str]:
    """Every generated page: its text by its path under ``docs/``."""
    return {path: text for module in MODULES for path, text in module.pages().items()}


def write(docs: Path) -> list[Path]:
    """Write the pages that changed, so that Sphinx reads only those again, and return all of them."""
    written = []
    for name, text in pages().items():
        path = docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this when it loads the extension."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir)) and None)
    return {"parallel_read_safe": True}
