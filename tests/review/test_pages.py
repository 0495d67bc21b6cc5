"""Every page, at the widths of a desk and a phone, light and dark, with hostile content in all that a student controls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from grader.gradebook.events import Decision, Kind
from grader.review.app import routes_of
from grader.scoring.result import Evidence, Flag
from tests.review.made import RUBRIC, evidence_of, make_class, picture, site_of
from tests.review.pages import Page, pages_of
from tests.review.served import CHROMIUM, Served, chromium, serving
from tests.review.test_pdfs import write_pdf

pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

ITEM, FINISHED = "4e", "1a"
NO_PAGES = {"/second", "/item/{item}/{handle}/image/{number:int}", "/item/{item}/{handle}/page/{number:int}"}
"""A redirection and images."""
TOO_WIDE = """
    [...document.querySelectorAll("body *")].filter((each) => !each.closest(".wide")).filter((each) =>
        each.getBoundingClientRect().left + each.scrollWidth > innerWidth || each.getBoundingClientRect().right > innerWidth
    ).map((each) => each.outerHTML.slice(0, 200))
"""
"""What reaches beyond the window's edge."""
IMAGE = "<img src=x onerror=document.title='run'>"
HOSTILE = f"<script>document.title='run'</script>{IMAGE}<style>*{{display:none}}</style>\"'{{{{7*7}}}}" + "W" * 300
MARKDOWN = f"{HOSTILE}\n\n![x](https://example.invalid/x.png) [y](javascript:alert(1)) $\\text{{{HOSTILE}}}$\n\n|a|\n|:-:|\n|b|"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("pages")
    pieces = [
        Evidence(kind="written_answer", title=HOSTILE, text=MARKDOWN),
        Evidence(kind="reported_accuracy", title=HOSTILE, cell=1, text=HOSTILE),
        Evidence(kind="generated_text", title=HOSTILE, cell=1, text=HOSTILE),
        Evidence(kind="image", title=HOSTILE, cell=1, mime="image/png", data=picture()),
    ]
    first, second, *_ = make_class(folder / "hw3", 5, absent=1)
    evidence = {key: dict.fromkeys(evidence_of(0), pieces) for key in (first.key, second.key)}
    flags = [Flag(kind="altered", message=HOSTILE, cell=3)]
    names = [HOSTILE, f"{IMAGE} Lovelace"]
    made = {"evidence": evidence, "names": names, "flags": flags, "warnings": [HOSTILE], "absent": 1}
    made["failed"] = {RUBRIC.automatic[0].criteria[0].properties[0]: HOSTILE}
    people = make_class(folder / "hw3", 5, **made)  # type: ignore[arg-type]
    archive = folder / "pdfs"
    write_pdf(archive / f"{names[1]}.pdf", [[f"Problem {ITEM}", HOSTILE]])
    write_pdf(archive / f"{people[2].name}.pdf", [["Problem 1b", HOSTILE], [f"Problem {ITEM}", "Because."]])
    (archive / f"{people[3].name}.pdf").write_bytes(b"%PDF-1.4\n" + HOSTILE.encode())
    write_pdf(archive / f"{IMAGE}.pdf", [[f"Problem {ITEM}", HOSTILE]])
    with serving(site_of(folder / "hw3", archive)) as made_one:
        decide(made_one)
        yield made_one


def decide(served: Served) -> None:
    """Everything that people may decide, so that no page is empty."""
    room, keys = served.site.room, served.keys
    entry = {"id": "x", "points": 0.25, "text": HOSTILE, "exclusive": False}
    room.book.record(HOSTILE, [Decision(Kind.entry, None, ITEM, entry)])
    for key in room.klass.answers[ITEM]:
        given = {"entries": ["x"], "adjustment": 0.5, "comment": HOSTILE, "content": ""}
        room.book.record(HOSTILE, [Decision(Kind.grade, key, ITEM, given)])
        room.book.record("Ben", [Decision(Kind.second, key, ITEM, {**given, "entries": []})])
        done = {"entries": [], "adjustment": 1.0, "comment": "", "content": ""}
        room.book.record("Ben", [Decision(Kind.grade, key, FINISHED, done)])
    for key in keys[:2]:
        for kind, item, data in (
            (Kind.request, ITEM, {"text": HOSTILE}),
            (Kind.note, ITEM, {"text": HOSTILE}),
            (Kind.note, None, {"text": HOSTILE}),
            (Kind.reveal, ITEM, {}),
            (Kind.lateness, None, {"percent": 10.0, "reason": HOSTILE}),
            (Kind.penalty, None, {"id": "page-assignment", "on": True, "reason": HOSTILE}),
            (Kind.override, "2a", {"points": 1.0, "reason": HOSTILE, "criterion": None, "content": ""}),
        ):
            room.book.record("Tessa", [Decision(kind, key, item, data)])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


def all_pages(served: Served) -> dict[str, Page]:
    """The pages about the first student, and the answers of the others, who have PDFs."""
    site = served.site
    pages = pages_of(site, served.keys[0], ITEM, FINISHED)
    for key in served.keys[1:]:
        more = pages_of(site, key, ITEM, FINISHED) if key in site.room.klass.answers[ITEM] else {}
        pages |= {f"{name} of {key}": page for name, page in more.items() if name in ("answer", "submission")}
    return pages


def test_the_list_of_pages_is_complete(served: Served) -> None:
    addresses = [page.address.partition("?")[0] for page in all_pages(served).values()]
    for route in routes_of(served.site):
        if "GET" in getattr(route, "methods", ()) and route.path not in NO_PAGES:
            assert any(route.path_regex.match(address) for address in addresses), route.path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_every_page_is_accessible_fits_and_runs_nothing_of_a_student(
    served: Served, browser: Any, width: int, scheme: str
) -> None:
    window = served.open(browser, viewport={"width": width, "height": 900}, color_scheme=scheme)
    for name, page in all_pages(served).items():
        page.open(window, served.base)
        window.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        found = axe.Axe().run(window)
        assert found.violations_count == 0, (name, found.generate_report())
        assert window.evaluate("document.documentElement.scrollWidth") <= width, (name, window.evaluate(TOO_WIDE))
        assert window.title() != "run" and window.locator("main").is_visible(), name
        hostile = "main script, main style, main iframe, main a[href^=javascript], main img[src=x], main [onerror]"
        assert window.locator(hostile).count() == 0, name
        assert "49" not in window.inner_text("h1"), name
    # A page that is not there is said to be not there on the console, too.
    errors = [line for line in served.console if "404" not in line]
    assert errors == []
    window.context.close()


def test_on_a_phone_the_answer_comes_before_the_rubric_which_stays_in_reach(served: Served, browser: Any) -> None:
    window = served.open(browser, viewport={"width": 390, "height": 844}, has_touch=True)
    key = served.keys[2]
    pages_of(served.site, key, "1b", FINISHED)["answer"].open(window, served.base)

    def top(selector: str) -> float:
        return float(window.evaluate(f"document.querySelector('{selector}').getBoundingClientRect().top + scrollY"))

    assert top(".about") < top(".evidence") < top(".reference")
    place = window.get_attribute("#answer", "data-place")
    for scrolled in (0, 100_000):
        window.evaluate(f"scrollTo(0, {scrolled})")
        box = window.locator("#entry-both").bounding_box()
        assert box is not None and 844 / 2 <= box["y"] < 844, scrolled
        # Not covered by anything.
        assert window.evaluate(f"document.elementFromPoint({box['x'] + 5}, {box['y'] + 5}).id") == "entry-both"
    window.locator("#entry-both").tap()
    window.wait_for_selector("#status.saved")
    assert served.site.room.book.state().grade(key, "1b").points == 1
    window.locator("#fold").tap()
    assert not window.locator("#entry-both").is_visible()
    assert window.get_attribute("#fold", "aria-expanded") == "false"
    assert "1 of 1" in window.inner_text("#fold")
    window.get_by_role("link", name="Next").tap()
    window.wait_for_selector(f'#answer:not([data-place="{place}"])')
    # Folded once, it stays so for the next answer.
    assert not window.locator("#grade").is_visible()
    window.context.close()
