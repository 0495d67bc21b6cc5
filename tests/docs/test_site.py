"""The documentation site: built with no warning, no dead link, and nothing that a page loads from elsewhere."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.long
pytest.importorskip("sphinx")

ROOT = Path(__file__).resolve().parents[2]
LOADS = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}
PASSIVE = {"canonical", "next", "prev", "search", "index", "author", "license"}


class Page(HTMLParser):
    """The links, the anchors, and what a page loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if name := values.get("id"):
            self.anchors.add(name)
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        source = values.get(LOADS.get(tag, ""), "")
        if source and values.get("rel") not in PASSIVE:
            self.loaded.append(source)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """Every page of the site, built afresh."""
    out = tmp_path_factory.mktemp("site")
    options = ["-W", "--keep-going", "-q", "-E", "-d", str(out / "cache")]
    command = [sys.executable, "-m", "sphinx", *options, "docs", str(out / "html")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted((out / "html").rglob("*.html"))}
    assert len(pages) > 30
    return pages


def test_no_link_is_dead(site: dict[Path, Page]) -> None:
    dead = []
    for path, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = site[target].anchors if target in site else set()
            if not target.exists() or (parts.fragment and target in site and parts.fragment not in anchors):
                dead.append(f"{path.name}: {link}")
    assert not dead, "\n".join(dead)


def test_nothing_is_loaded_from_elsewhere(site: dict[Path, Page]) -> None:
    elsewhere = [source for page in site.values() for source in page.loaded if urlsplit(source).netloc]
    assert not elsewhere


def test_pages_are_found_by_search(site: dict[Path, Page]) -> None:
    root = next(path.parent for path in site if path.name == "search.html")
    index = (root / "searchindex.js").read_text(encoding="utf-8")
    assert index.startswith("Search.setIndex(")
    for word in ("regrad", "landlock", "counterexampl"):  # stemmed, as the index has them
        assert word in index
