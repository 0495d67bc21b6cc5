"""Pages that stand at the top of the repository, where people look for them, and belong to the site, too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "ARCHITECTURE.md": "explanation/architecture.md",
    "THREATS.md": "explanation/threats.md",
    "CHANGELOG.md": "reference/changelog.md",
}
_LINK = re.compile(r"\]\((?P<target>[^)#:]+)(?P<anchor>#[^)]*)?\)")


def pages() -> Mapping[str, str]:
    """The pages, with their links as they are within the site."""
    return {place: _linked((ROOT / name).read_text(encoding="utf-8"), place) for name, place in PAGES.items()}


def _linked(text: str, place: str) -> str:
    up = "../" * place.count("/")

    def link(found: re.Match[str]) -> str:
        target = found["target"]
        if target in PAGES:
            return f"]({up}{PAGES[target]}{found['anchor'] or ''})"
        return f"]({up}{target.removeprefix('docs/')}{found['anchor'] or ''})"

    return _LINK.sub(link, text)
