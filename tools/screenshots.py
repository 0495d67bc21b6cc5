"""Make pictures of the pages that people see, from a class made up for it.

python -m tools.screenshots OUT [NAME ...] [--widths 1440,390] [--schemes light,dark]

`GALLERIES` says which pages there are. Needs Debian's `chromium` and the `dev` extra.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.review import lifelike
from tests.review.pages import pages_of
from tests.review.served import chromium, serving

HEIGHT = 900


@dataclass(frozen=True)
class Picture:
    """A page to take a picture of.

    Args:
        open: shows the page in a browser.
        before: what is done on it before the picture.
        whole: the whole page, not only what a window shows of it.
    """

    open: Callable[[Any], None]
    before: Callable[[Any], None] = lambda page: None
    whole: bool = True


@dataclass(frozen=True)
class Gallery:
    """Pictures by name, and what opens a browser's window for them, with Playwright's options for its context."""

    pictures: dict[str, Picture]
    window: Callable[..., Any] = field(default=lambda browser, **options: browser.new_context(**options).new_page())


@contextmanager
def review(folder: Path) -> Iterator[Gallery]:
    """The application in which people grade."""
    site = lifelike.site(folder)
    lifelike.grade_half(site)
    key = next(iter(site.room.klass.answers["1d"]))
    with serving(site) as served:
        pages = pages_of(site, key, "1d", "1a")
        pictures = {name: Picture(lambda page, one=one: one.open(page, served.base)) for name, one in pages.items()}
        answer = pictures["answer"]
        pictures["answer-window"] = Picture(answer.open, whole=False)
        pictures["answer-more"] = Picture(answer.open, _open_details)
        pictures["answer-scrolled"] = Picture(answer.open, lambda page: page.mouse.wheel(0, 600), whole=False)
        pictures["help"] = Picture(answer.open, lambda page: page.keyboard.press("?"), whole=False)
        yield Gallery(pictures, served.open)


def _open_details(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")


GALLERIES = {"review": review}
"""By name; each makes what it shows in an empty folder."""


def take(out: Path, gallery: Gallery, names: Sequence[str], widths: Sequence[int], schemes: Sequence[str]) -> Iterator[Path]:
    """Take the pictures with these names, all without any; gives their files."""
    with chromium() as browser:
        for width in widths:
            for scheme in schemes:
                page = gallery.window(browser, viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
                for name in names or gallery.pictures:
                    picture = gallery.pictures[name]
                    picture.open(page)
                    picture.before(page)
                    page.wait_for_load_state("networkidle")
                    file = out / f"{name}-{width}-{scheme}.png"
                    page.screenshot(path=file, full_page=picture.whole)
                    yield file
                page.context.close()


def main() -> None:
    """Take pictures as the command line says."""
    parser = argparse.ArgumentParser(description="Make pictures of the pages that people see.")
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("names", nargs="*", help="pictures to take; default: all")
    parser.add_argument("--gallery", choices=GALLERIES, default="review")
    parser.add_argument("--widths", default="1440,390", help="in pixels")
    parser.add_argument("--schemes", default="light,dark")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    widths = [int(width) for width in given.widths.split(",")]
    with tempfile.TemporaryDirectory() as folder, GALLERIES[given.gallery](Path(folder)) as gallery:
        unknown = sorted(set(given.names) - gallery.pictures.keys())
        if unknown:
            parser.error(f"{unknown[0]}: is none of {', '.join(gallery.pictures)}")
        for file in take(given.out, gallery, given.names, widths, given.schemes.split(",")):
            print(file)


if __name__ == "__main__":
    main()
