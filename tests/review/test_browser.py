"""A class of 30 graded by keyboard in a real browser, with hostile content in the first answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from grader.review.classroom import handle_of
from grader.scoring.result import Evidence, Flag
from tests.review.made import evidence_of, make_class, picture, site_of
from tests.review.served import CHROMIUM, Served, chromium, serving

pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

SIZE = 30
HOSTILE = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\"><style>*{display:none}</style>"
MARKDOWN = f"{HOSTILE}\n\n![x](https://example.invalid/x.png) [y](javascript:alert(1)) $\\text{{{HOSTILE}}}$\n\n|a|\n|:-:|\n|b|"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("browser") / "hw3"
    hostile = {
        item: [
            Evidence(kind="written_answer", title=HOSTILE, text=MARKDOWN),
            Evidence(kind="generated_text", title=HOSTILE, cell=1, text=HOSTILE),
            Evidence(kind="image", title=HOSTILE, cell=1, mime="image/png", data=picture()),
        ]
        for item in evidence_of(0)
    }
    key = make_class(folder, SIZE)[0].key
    flags = [Flag(kind="altered", message=HOSTILE)]
    make_class(folder, SIZE, evidence={key: hostile}, names=[HOSTILE], flags=flags, warnings=[HOSTILE])
    with serving(site_of(folder)) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


def wait_for(condition: Any, what: str) -> None:
    """Wait until something holds on the server."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def moved(page: Any, place: str) -> None:
    """Wait until a page shows another answer than this one."""
    wait_for(lambda: page.get_attribute("#answer", "data-place") != place, f"still at {place}")


def test_a_class_is_graded_by_keyboard_alone(served: Served, browser: Any) -> None:
    page, book = served.open(browser, viewport={"width": 1440, "height": 900}), served.site.room.book
    page.goto(f"{served.base}/item/1d")
    for number in range(SIZE):
        wait_for(lambda: page.evaluate("document.getElementById('score').textContent === 'not graded'"), page.url)
        place = page.get_attribute("#answer", "data-place")
        page.keyboard.press(str(1 + number % 3))
        wait_for(lambda: page.evaluate("document.getElementById('status').textContent.startsWith('saved')"), page.url)
        assert len(book.state().graded("1d")) == number + 1
        assert page.inner_text("#progress").startswith(f"{number + 1} of {SIZE} graded")
        page.keyboard.press("n")
        moved(page, place)
    assert "Nothing is left to grade in 1d" in page.inner_text("main")
    assert sorted({book.state().grade(key, "1d").points for key in served.keys}) == [0, 0.5, 1]

    page.goto(f"{served.base}/item/1e")
    page.keyboard.press("1")
    page.keyboard.press("2")
    page.keyboard.press("a")
    page.keyboard.type("-0.5")
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.keyboard.type("n is not u")
    page.keyboard.press("Escape")
    first = page.get_attribute("#answer", "data-place").partition("/")[2]
    key = next(key for key in served.keys if handle_of("1e", key) == first)
    wait_for(lambda: (grade := book.state().grade(key, "1e")) and grade.comment == "n is not u", "the comment is saved")
    grade = book.state().grade(key, "1e")
    assert (grade.points, grade.entries, grade.adjustment) == (1.5, ("rnn", "attention"), -0.5)
    page.keyboard.press("5")
    wait_for(lambda: book.state().grade(key, "1e").entries == ("none",), "an exclusive entry stands alone")
    page.keyboard.press("u")
    wait_for(lambda: book.state().grade(key, "1e").entries == ("rnn", "attention"), "undo takes back the last key")
    wait_for(lambda: page.evaluate("document.getElementById('entry-rnn').checked"), page.url)
    page.keyboard.press("s")
    wait_for(lambda: page.evaluate(f"!document.getElementById('answer').dataset.place.endsWith('{first}')"), page.url)
    page.keyboard.press("p")
    wait_for(lambda: page.evaluate(f"document.getElementById('answer').dataset.place.endsWith('{first}')"), page.url)
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("?")
    assert not page.locator("#help").is_visible()
    page.keyboard.press("/")
    page.keyboard.type("vanishes")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=vanishes")
    page.goto(f"{served.base}/grades")
    assert f"of {SIZE} students graded fully" in page.inner_text("main")
    page.context.close()


def test_two_browsers_get_different_answers(served: Served, browser: Any) -> None:
    pages = [served.open(browser, who) for who in ("Ben", "Cleo")]
    for page in pages:
        page.goto(f"{served.base}/item/1f")
    # Each has the next answer ready, too.
    opened = [page.get_attribute("#answer", "data-place") for page in pages]
    assert opened[0] != opened[1]
    for page in pages:
        page.keyboard.press("n")
    for page, place in zip(pages, opened, strict=True):
        moved(page, place)
    later = [page.get_attribute("#answer", "data-place") for page in pages]
    assert len({*opened, *later}) == 4
    for page in pages:
        page.context.close()


def test_the_console_stays_clean(served: Served) -> None:
    assert served.console == []
