"""Make pictures of what people see: the graded example for the documentation, or the review application of a made class.

    python -m tools.screenshots docs/_static/pictures
    python -m tools.screenshots OUT [NAME ...] --gallery review [--widths 1440,390] [--schemes light,dark]

`GALLERIES` says which pictures there are. Needs Debian's `chromium` and the `dev` extra.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.terminal_theme import TerminalTheme

from grader.report.terminal import print_result
from grader.scoring.result import Result
from tests.review import lifelike
from tests.review.pages import pages_of
from tests.review.served import chromium, serving

HEIGHT = 900
COLUMNS = 88
COMMAND = "grader grade --example"
DARK = TerminalTheme(
    (24, 26, 31),
    (214, 217, 224),
    [(24, 26, 31), (240, 113, 120), (126, 200, 120), (229, 192, 123), (97, 175, 239), (205, 145, 235), (86, 182, 194),
     (214, 217, 224)],
)  # fmt: skip
TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 18px 22px; background: {background}; color: {foreground}; overflow: hidden; }}
pre {{ margin: 0; font: 14px/1.32 "DejaVu Sans Mono", monospace; }}
{stylesheet}
</style><pre><b>$ COMMAND</b>
{code}</pre>""".replace("COMMAND", COMMAND)


@dataclass(frozen=True)
class Picture:
    """A page to take a picture of.

    Args:
        open: shows the page in a browser.
        before: what is done on it before the picture.
        whole: the whole page, not only what a window shows of it.
        height: of the window, in pixels.
    """

    open: Callable[[Any], None]
    before: Callable[[Any], None] = lambda page: None
    whole: bool = True
    height: int = HEIGHT


@dataclass(frozen=True)
class Gallery:
    """Pictures by name.

    Args:
        pictures: what there is.
        window: opens a browser's window for them, with Playwright's options for its context.
        widths: of the window, in pixels, where the command line names none.
        schemes: of colors, likewise.
    """

    pictures: dict[str, Picture]
    window: Callable[..., Any] = field(default=lambda browser, **options: browser.new_context(**options).new_page())
    widths: str = "1440,390"
    schemes: str = "light,dark"


@contextmanager
def example(folder: Path) -> Iterator[Gallery]:
    """The example that ships with the grader, as its student and a terminal show it."""
    report, result, terminal = folder / "report.html", folder / "result.json", folder / "terminal.html"
    files = ["--html", str(report), "--json", str(result)]
    subprocess.run([sys.executable, "-m", *COMMAND.split(), *files], check=True, stdout=subprocess.DEVNULL)
    console = Console(record=True, file=io.StringIO(), width=COLUMNS, force_terminal=True, color_system="standard")
    print_result(Result.model_validate_json(result.read_text(encoding="utf-8")), console)
    terminal.write_text(console.export_html(theme=DARK, code_format=TERMINAL), encoding="utf-8")
    pictures = {
        "report": Picture(lambda page: page.goto(report.as_uri()), _scroll_to_patches, whole=False, height=862),
        "terminal": Picture(lambda page: page.goto(terminal.as_uri()), whole=False, height=980),
    }
    yield Gallery(pictures, widths="800", schemes="light")


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


def _scroll_to_patches(page: Any) -> None:
    page.evaluate("document.getElementById('item-3a').scrollIntoView({behavior: 'instant'})")


def _open_details(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")


GALLERIES = {"example": example, "review": review}
"""By name; each makes what it shows in an empty folder."""


def take(out: Path, gallery: Gallery, names: Sequence[str], widths: Sequence[int], schemes: Sequence[str]) -> Iterator[Path]:
    """Take the pictures with these names, all without any; gives their files."""
    with chromium() as browser:
        for width in widths:
            for scheme in schemes:
                page = gallery.window(browser, viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
                for name in names or gallery.pictures:
                    picture = gallery.pictures[name]
                    page.set_viewport_size({"width": width, "height": picture.height})
                    picture.open(page)
                    picture.before(page)
                    page.wait_for_load_state("networkidle")
                    several = len(widths) * len(schemes) > 1
                    file = out / (f"{name}-{width}-{scheme}.png" if several else f"{name}.png")
                    _write_small(page.screenshot(full_page=picture.whole), file)
                    yield file
                page.context.close()


def _write_small(png: bytes, file: Path) -> None:
    """Write a picture with at most 256 colors, a third of the size and no different to the eye."""
    colors = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    colors.save(file, optimize=True)


def main() -> None:
    """Take pictures as the command line says."""
    parser = argparse.ArgumentParser(description="Make pictures of the pages that people see.")
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("names", nargs="*", help="pictures to take; default: all")
    parser.add_argument("--gallery", choices=GALLERIES, default="example")
    parser.add_argument("--widths", help="in pixels, as 1440,390")
    parser.add_argument("--schemes", help="of colors, as light,dark")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, GALLERIES[given.gallery](Path(folder)) as gallery:
        unknown = sorted(set(given.names) - gallery.pictures.keys())
        if unknown:
            parser.error(f"{unknown[0]}: is none of {', '.join(gallery.pictures)}")
        widths = [int(width) for width in (given.widths or gallery.widths).split(",")]
        for file in take(given.out, gallery, given.names, widths, (given.schemes or gallery.schemes).split(",")):
            print(file)


if __name__ == "__main__":
    main()
