"""The HTML report says what a student needs, nothing that a student must not know, and obeys no text."""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.report import page
from grader.report.student import LARGEST, Reader, student_report
from grader.scoring.pictures import Matrices, Matrix
from grader.scoring.result import CodeLine, Excerpt, Result, Versions
from tests.report.made import CRITERIA, HOSTILE, RUBRIC, made

VOID = {"meta", "br", "rect", "path", "link", "img"}


class Parsed(HTMLParser):
    """The elements of a page, their attributes, and its text; raises where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID or tag in ("rect", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def report(text: str = "plain", **fields) -> str:
    return student_report(made(text, **fields), Reader("Ada", [f"read {text}"]))


@functools.cache
def plain_tags() -> list[str]:
    return [tag for tag, _ in Parsed(report("plain")).tags]


def test_everything_is_said():
    text = Parsed(report("spoken")).text
    for said in (
        "Ada", "spoken.ipynb", "read spoken", "Pending:", "comment spoken", "−3 %: late spoken", CRITERIA["2a.mask"].title,
        "2a.mask −1 point", "Requirement Property spoken", "What your code did message spoken", "x = spoken", "print('spoken')",
        "Your code cell 2. The exception passed the marked line.", "Your code cell 9. Marked: where the class begins",
        "lines 6 to 7: docstring", "3a.linear could not be judged", "No points are lost. broken spoken", "note spoken",
        "Graded by spoken", "−0.5 spoken", "0.25 Adjustment", "Points set by spoken: spoken", "trains spoken",
        "raised, in part", "NameError spoken", "A person grades these.", "The model is trained, or a person grades it.",
    ):  # fmt: skip
        assert said in text, said
    assert "@spoken" in text and "y = 2" not in text, "what stands in a long docstring is left out"


def test_marked_are_the_lines_of_the_exception_and_else_where_the_class_begins():
    page_text = report()
    assert re.findall("<mark>(.*?)</mark>", page_text) == ["    raise ValueError", "class B:"]


def test_what_is_for_graders_is_not_said():
    text = Parsed(report()).text
    for hidden in ("flag plain", "flagged", "secret", "seed", "warning plain", "isolation"):
        assert hidden not in text, hidden


def test_a_submission_without_anything_to_grade_says_why():
    found = Result(
        submission="a.ipynb", error="a.ipynb: is not a notebook", score=0, max_score=0, pending=0,
        versions=Versions(grader="0", rubric="1", python="3"),
    )  # fmt: skip
    text = Parsed(student_report(found)).text
    assert "Your notebook could not be graded. a.ipynb: is not a notebook" in text and "Score by item" not in text


def test_a_check_names_what_it_left_out():
    criterion = next(criterion for item in RUBRIC.automatic for criterion in item.criteria if not criterion.public)
    text = Parsed(student_report(made(), Reader(unchecked={criterion.id.partition(".")[0]: (criterion,)}))).text
    assert f"1 criteria worth {criterion.points:g} points" in text and criterion.id in text


def test_criteria_that_one_exception_costs_are_told_once():
    items = []
    for item in made().items:
        failed = tuple(
            criterion.model_copy(
                update={
                    "status": "failed", "points": 0.0, "message": "your code raised E", "counterexample": f"x = {number}",
                    "places": (CodeLine(cell=2, line=3),),
                }
            )
            for number, criterion in enumerate(item.criteria)
        )  # fmt: skip
        items.append(item.model_copy(update={"criteria": failed, "points": 0.0}) if item.id == "2a" else item)
    text = student_report(made().model_copy(update={"items": tuple(items)}))
    assert Parsed(text).text.count("your code raised E") == 1
    assert text.count("<mark>") == 2, "one for 2a, one for 4d"


def test_nothing_is_loaded_and_no_script_runs():
    text = report(HOSTILE)
    parsed = Parsed(text)
    allowed = {"href", "src", "action", "srcset", "data", "xlink:href"}
    targets = [value for _, given in parsed.tags for name, value in given.items() if name in allowed]
    assert all(target and target.startswith("#") for target in targets), targets
    assert "script" not in {tag for tag, _ in parsed.tags} and "img" not in {tag for tag, _ in parsed.tags}
    assert not [name for _, given in parsed.tags for name in given if name.startswith("on") or name == "style"]
    style = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    assert len(style) == 1 and "url(" not in style[0] and "@import" not in style[0]
    policy = next(given["content"] for tag, given in parsed.tags if given.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'none'; base-uri 'none'"
    )


@settings(max_examples=12)
@given(st.text(st.characters(categories=None), min_size=1, max_size=40))
def test_any_text_stays_text(text):
    odd = report(text)
    odd.encode()
    assert [tag for tag, _ in Parsed(odd).tags] == plain_tags()


def test_ids_are_unique():
    ids = [given["id"] for _, given in Parsed(report()).tags if "id" in given]
    assert len(ids) == len(set(ids))


@pytest.mark.long
@pytest.mark.parametrize("text", ["x" * 4000, "<" * 4000, "\u202e" * 4000], ids=["long", "escaped", "spelled out"])
def test_a_report_is_bounded(text):
    value = 0.1234
    rows = tuple((value,) * 12 for _ in range(12))
    hidden = tuple((i, j) for i in range(12) for j in range(12))
    panel = Matrix(title=text, rows=rows, whole=(12, 12), hatched=hidden)
    large = tuple(Matrices(caption=text, panels=(panel,) * 8) for _ in range(4))
    criteria = [criterion for item in made().items for criterion in item.criteria]
    changed = {
        criterion.id: criterion.model_copy(
            update={
                "status": "failed", "points": 0.0, "message": f"{criterion.id}{text}"[:4000], "counterexample": text,
                "requirement": text[:300], "pictures": large, "snippet": text,
            }
        )
        for criterion in criteria
    }  # fmt: skip
    items = tuple(
        item.model_copy(update={"criteria": tuple(changed[c.id] for c in item.criteria)}) for item in made().items
    )
    code = tuple(Excerpt(cell=n + 1, first=1, text="\n".join([text] * 2), items=(item.id,)) for n, item in enumerate(items))
    whole = made().model_copy(update={"items": items, "code": code})
    assert len(student_report(whole).encode()) <= LARGEST


# -- colors --------------------------------------------------------------------------------------------------------


def colors(scheme: str) -> dict[str, str]:
    """The variables of the style in a color scheme."""
    style = (page.PAGES / "style.css").read_text(encoding="utf-8")
    blocks = re.findall(r"(@media [^{]*\{\s*)?:root \{(.*?)\}", style, re.DOTALL)
    found: dict[str, str] = {}
    for media, block in blocks:
        if not media or scheme in media:
            found |= dict(re.findall(r"--([a-z-]+): ([^;]+);", block))
    return found


def luminance(rgb: list[float]) -> float:
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def rgb(color: str) -> list[float]:
    return [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]


def contrast(one: list[float], other: list[float]) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_has_contrast_on_every_color_of_a_matrix(scheme):
    found = colors(scheme)
    style = (page.PAGES / "pictures.css").read_text(encoding="utf-8")
    levels = [float(level) for level in re.findall(r"fill-opacity: calc\(([0-9.]+) \* var\(--depth\)\)", style)]
    assert len(levels) == 8 and levels == sorted(levels)
    for color in ("accent", "signal"):
        for level in levels:
            share = level * float(found["depth"])
            mixed = [
                share * over + (1 - share) * under
                for over, under in zip(rgb(found[color]), rgb(found["page"]), strict=True)
            ]
            assert contrast(rgb(found["ink"]), mixed) >= 4.5, (color, level)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_has_contrast_on_every_background(scheme):
    found = colors(scheme)
    for text in ("ink", "quiet", "accent", "signal"):
        for ground in ("page", "tint", "signal-tint", "accent-tint"):
            assert contrast(rgb(found[text]), rgb(found[ground])) >= 4.5, (text, ground)


def test_texts_of_a_page_are_printable():
    text = report("a\u202eb\x1bc")
    assert "\u202e" not in text and "\x1b" not in text and html.escape("a\\u202eb\\x1bc") in text
