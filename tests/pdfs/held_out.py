"""PDFs of another make, by which nothing was tuned: other ways to write headings, another library, another kind of page."""

from __future__ import annotations

import io
import random
from collections import defaultdict
from collections.abc import Callable

from fpdf import FPDF
from PIL import Image, ImageDraw

from tests.pdfs.answers import TITLES, WRITTEN, Answer, answers, paragraph
from tests.pdfs.canvas import picture
from tests.pdfs.styles import Sample


class Paper(FPDF):
    """Pages that break by themselves; every page that a cell touches counts for the current items."""

    def __init__(self, dice: random.Random, family: str, size: int) -> None:
        super().__init__(format=dice.choice(["letter", "a4"]))
        self.dice, self.family, self.points = dice, family, size
        self.current: tuple[str, ...] = ()
        self.truth: dict[str, set[int]] = defaultdict(set)
        self.running_head = dice.choice(["", "A. Lovelace (al99) - HW 3", "Submission for problem set three"])
        self.set_auto_page_break(True, 22)
        self.set_margins(dice.choice([18, 25]), 22)
        self.add_page()

    def header(self) -> None:
        """A running head on every page."""
        if self.running_head:
            self.set_font("helvetica", "I", 8)
            self.cell(0, 5, self.running_head, align="R", new_x="LMARGIN", new_y="NEXT")
            self.ln(4)

    def footer(self) -> None:
        """A page number."""
        self.set_y(-14)
        self.set_font("helvetica", "", 8)
        self.cell(0, 5, f"- {self.page_no()} -", align="C")

    def put(
        self, text: str, *, style: str = "", size: float | None = None, indent: float = 0, align: str = "L"
    ) -> None:
        """A paragraph, which may go on on the next page."""
        size = size or self.points
        self.set_font(self.family, style, size)
        height = size * 0.45
        if self.get_y() + height > self.h - self.b_margin:
            self.add_page()
        self.set_font(self.family, style, size)
        self.set_x(self.l_margin + indent)
        before = self.page_no()
        self.multi_cell(
            0,
            height,
            text.encode("latin-1", "replace").decode("latin-1"),
            align=align,
            new_x="LMARGIN",
            new_y="NEXT",
        )
        for label in self.current:
            self.truth[label].update(range(before, self.page_no() + 1))

    def show(self, height: float) -> None:
        """An image."""
        if self.get_y() + height > self.h - self.b_margin:
            self.add_page()
        self.image(picture(self.dice, 150, 100), x=self.l_margin + 10, y=self.get_y(), h=height)
        self.set_y(self.get_y() + height + 2)
        for label in self.current:
            self.truth[label].add(self.page_no())


def _body(paper: Paper, given: Answer, lead: str = "") -> None:
    for block in given.blocks:
        if block.kind == "figure":
            paper.show(min(float(block.text) / 3, 90))
        elif block.kind == "list":
            for entry in block.text.splitlines():
                paper.put(entry, indent=7)
        elif block.kind in ("code", "lines"):
            for line in block.text.splitlines():
                family, paper.family = paper.family, "courier"
                paper.put(line, size=9)
                paper.family = family
        else:
            paper.put(
                lead + block.text,
                align=paper.dice.choice(["L", "J"]),
                indent=12 if block.kind == "formula" else 0,
            )
            lead = ""
            paper.ln(paper.dice.choice([0, 1.5, 3]))
    if lead:
        paper.put(lead.strip())


def _new(dice: random.Random) -> Paper:
    return Paper(dice, dice.choice(["helvetica", "times"]), dice.choice([10, 11, 12]))


def exercises(dice: random.Random) -> Paper:
    """Underlined and italic headings, in words that other courses use."""
    paper = _new(dice)
    form = dice.choice(
        [
            "Exercise {n}.{l}",
            "Question {n}, Part {L}",
            "Task {n}{l} - {t}",
            "Answer to Question {n}{l}:",
            "Part {n}({l})",
            "P{n}.{l}) {t}",
        ]
    )
    paper.put("Problem Set 3", style="B", size=18)
    for given in answers(dice, 9):
        label = given.labels[0]
        paper.current = ()
        paper.ln(dice.choice([3, 6]))
        paper.current = given.labels
        heading = form.format(n=label[0], l=label[1], L=label[1].upper(), t=TITLES[label])
        paper.put(heading, style=dice.choice(["U", "I", "B"]), size=paper.points + dice.choice([0, 1, 2]))
        _body(paper, given)
    paper.current = ()
    return paper


def run_in(dice: random.Random) -> Paper:
    """The label at the beginning of the answer's first line, and nothing set apart but by some room."""
    paper = _new(dice)
    form = dice.choice(["({n}{l}) ", "{n}{l}: ", "{n}-{l}. ", "{n}.{l}.  ", "[{n}{l}] ", "Ans {n}{l}) "])
    for given in answers(dice, 7):
        label = given.labels[0]
        paper.ln(2.5)
        paper.current = given.labels
        _body(paper, given, form.format(n=label[0], l=label[1]))
        paper.current = ()
    return paper


def nested(dice: random.Random) -> Paper:
    """A problem's title, and then parts by their letter alone."""
    paper = _new(dice)
    title = dice.choice(["Question {n}", "PROBLEM {n}", "Section {n}: my answers", "Exercise {n}"])
    part = dice.choice(["Part ({l})", "({l})", "part {l}:", "{l})"])
    problem = ""
    for given in answers(dice, 8):
        label = given.labels[0]
        paper.current = ()
        paper.ln(3)
        if label[0] != problem:
            paper.put(title.format(n=label[0]), style="B", size=paper.points + 4)
            problem = label[0]
        paper.current = given.labels
        paper.put(part.format(l=label[1]), style=dice.choice(["", "B"]))
        _body(paper, given)
    paper.current = ()
    return paper


def pages_each(dice: random.Random) -> Paper:
    """Each item on a page of its own, in any order, sometimes with the question above the answer."""
    paper = _new(dice)
    given = answers(dice, 14)
    dice.shuffle(given)
    for number, one in enumerate(given):
        label = one.labels[0]
        paper.current = one.labels
        paper.put(f"Problem {label[0]}({label[1]}): {TITLES[label]}", style="B", size=14)
        _body(paper, one)
        paper.current = ()
        if number + 1 < len(given):
            paper.add_page()
    return paper


def report(dice: random.Random) -> Paper:
    """A cover, a list of what was answered where, the answers, and something that belongs elsewhere."""
    paper = _new(dice)
    given = answers(dice, 8)
    paper.put("Deep Learning\nHomework 3", style="B", size=22, align="C")
    paper.put("Parts answered: " + ", ".join(one.labels[0] for one in given))
    for one in given:
        paper.put(f"{one.labels[0]}   page {dice.randint(2, 9)}")
    paper.add_page()
    for one in given:
        label = one.labels[0]
        paper.ln(4)
        paper.current = one.labels
        paper.put(f"{label}. {TITLES[label]}", style="B", size=13)
        _body(paper, one)
        paper.current = ()
    paper.add_page()
    paper.put(
        dice.choice(["Bibliography", "Appendix B. Full training log", "Supplementary figures"]),
        style="B",
        size=15,
    )
    for _ in range(dice.randint(1, 12)):
        paper.put(paragraph(dice, "", 5))
        paper.ln(3)
    return paper


def handwritten(dice: random.Random) -> Paper:
    """Photographs of paper."""
    image = Image.new("RGB", (500, 700), "white")
    ImageDraw.Draw(image).text((50, 50), "1a " + " ".join(WRITTEN), fill="black")
    paper = _Bare(dice)
    for _ in range(dice.randint(1, 4)):
        paper.add_page()
        paper.image(image, x=0, y=0, w=paper.w)
    return paper


class _Bare(Paper):
    """Pages with nothing on them but what is put there."""

    def __init__(self, dice: random.Random) -> None:
        FPDF.__init__(self)
        self.dice, self.current, self.truth = dice, (), defaultdict(set)

    def header(self) -> None:
        """Nothing."""

    def footer(self) -> None:
        """Nothing."""


STYLES: dict[str, Callable[[random.Random], Paper]] = {
    "exercises": exercises,
    "run_in": run_in,
    "nested": nested,
    "pages_each": pages_each,
    "report": report,
    "handwritten": handwritten,
}


def sample(style: str, seed: int) -> Sample:
    """The PDF of a style and a seed."""
    paper = STYLES[style](random.Random(f"held out {style} {seed}"))
    data = io.BytesIO()
    paper.output(data)
    return Sample(
        style,
        data.getvalue(),
        {item: frozenset(pages) for item, pages in paper.truth.items()},
        paper.page_no(),
    )
