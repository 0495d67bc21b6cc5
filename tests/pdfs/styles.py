"""PDFs as students hand them in, in many layouts, with the pages that each item takes. All of it follows from one seed."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reportlab.pdfgen.canvas import Canvas

from tests.pdfs.answers import PROBLEMS, TITLES, Answer, Block, answer, answers, paragraph, template_cells
from tests.pdfs.canvas import A4_SIZE, FAMILIES, LETTER, Flow


@dataclass(frozen=True)
class Sample:
    """A PDF, and the pages of each item that it answers."""

    style: str
    data: bytes
    truth: dict[str, frozenset[int]]
    pages: int


def sample(style: str, seed: int) -> Sample:
    """The PDF of a style and a seed."""
    dice = random.Random(f"{style} {seed}")
    flow = STYLES[style](dice)
    data, truth, pages = flow.done()
    return Sample(style, data, {item: frozenset(found) for item, found in truth.items()}, pages)


# -- written answers -----------------------------------------------------------------------------------------------


def _furniture(dice: random.Random) -> Callable[[Canvas, int], None] | None:
    header = dice.choice(
        ["", "", "Homework 3", "CS 2025 — Ada Lovelace — Homework 3", "Deep Learning, Problem Set 3"]
    )
    footer = dice.choice(["", "{}", "Page {}", "{} / 20"])
    if not header and not footer:
        return None

    def draw(canvas: Canvas, page: int) -> None:
        canvas.setFont("Times-Roman", 9)
        canvas.drawString(72, canvas._pagesize[1] - 40, header)
        canvas.drawCentredString(canvas._pagesize[0] / 2, 36, footer.format(page))

    return draw


def _blocks(
    flow: Flow, blocks: Sequence[Block], font: str, size: float, dice: random.Random, justified: bool
) -> None:
    for block in blocks:
        if block.kind == "text":
            flow.text(block.text, font, size, justified=justified)
            flow.gap(dice.choice([0, 4, 8]))
        elif block.kind == "formula":
            flow.gap(4)
            flow.text(block.text, font, size, indent=80)
            flow.gap(4)
        elif block.kind == "list":
            for entry in block.text.splitlines():
                flow.text(entry, font, size, indent=22, justified=justified)
        elif block.kind == "figure":
            flow.figure(float(block.text))
        else:
            flow.code(block.text)


def _written(
    flow: Flow,
    dice: random.Random,
    given: Sequence[Answer],
    scheme: str,
    family: str,
    size: float,
    *,
    justified: bool,
) -> None:
    font, bold = FAMILIES[family]
    large = size * dice.choice([1.0, 1.15, 1.3])
    problem = ""
    for one in given:
        label = one.labels[0]
        number, letter = label[0], label[1]
        blocks = list(one.blocks)
        flow.current = ()
        if scheme in ("problem-part", "sections", "enumerate", "number-part") and number != problem:
            title = {
                "problem-part": f"Problem {number}",
                "sections": f"{number} Problem {number}",
                "enumerate": f"{number}. {PROBLEMS[number]}",
                "number-part": f"{number}.",
            }[scheme]
            plain = scheme in ("enumerate", "number-part")
            flow.heading(title, font if plain else bold, size if plain else size * 1.4, above=14)
            if scheme != "number-part" and dice.random() < 0.4:
                flow.text(
                    f"All of this follows {dice.choice(['the notes', '1a', 'the code in the notebook'])}.",
                    font,
                    size,
                )
        problem = number
        flow.current = one.labels
        heading = {
            "plain": label,
            "spaced": f"{number} ({letter})",
            "worded": f"Problem {label}",
            "question": f"Question {number} ({letter})",
            "dotted": f"{number}.{letter}",
            "titled": f"{label}. {TITLES[label]}",
            "solution": f"Solution to {number}({letter})",
            "comma": f"Problem {number}, part {letter}",
            "sections": f"{number}.{ord(letter) - 96} ({letter}) {TITLES[label]}",
            "bracketed": f"({label})",
        }.get(scheme)
        if heading is not None:
            flow.heading(heading, bold, large, above=dice.choice([8, 14]))
        else:
            run_in = {
                "problem-part": f"({letter}) ", "enumerate": f"({letter}) ", "number-part": f"{letter}) ", "dot": f"{label}. ",
                "paren": f"{label}) ", "colon": f"Q{number}({letter}): ",
            }[scheme]  # fmt: skip
            flow.gap(dice.choice([4, 8, 12]))
            flow.room(3 * size)
            first = blocks.pop(0).text if blocks[0].kind == "text" else ""
            indent = 14 if scheme == "enumerate" else 0
            flow.text((run_in + first).strip(), font, size, indent=indent, justified=justified)
        _blocks(flow, blocks, font, size, dice, justified)
        if dice.random() < 0.12:
            flow.current = ()
            flow.new_page()
    flow.current = ()


_LATEX = (
    "problem-part",
    "spaced",
    "worded",
    "sections",
    "enumerate",
    "dotted",
    "solution",
    "titled",
    "comma",
)
_WORD = ("plain", "dot", "paren", "question", "colon", "number-part", "titled", "bracketed", "worded")


def latex(
    dice: random.Random, given: Sequence[Answer] | None = None, schemes: Sequence[str] = _LATEX
) -> Flow:
    """As LaTeX sets it: serifs, justified, a title."""
    flow = Flow(dice.choice([LETTER, A4_SIZE]), dice.choice([60, 72, 90]), _furniture(dice))
    family, size = dice.choice(["Times", "Stix", "Serif"]), dice.choice([10, 11, 12])
    scheme = dice.choice(list(schemes))
    given = answers(dice) if given is None else given
    if dice.random() < 0.7:
        flow.heading("Homework 3", FAMILIES[family][0], 20, above=0)
        flow.text("Ada Lovelace, 12 October 2025", FAMILIES[family][0], size)
    if dice.random() < 0.3:
        flow.heading("Contents", FAMILIES[family][1], 14)
        for one in given:
            flow.text(
                f"{one.labels[0]} {TITLES[one.labels[0]]} " + ". " * 20 + str(dice.randint(1, 9)),
                FAMILIES[family][0],
                size,
            )
        flow.new_page()
    elif dice.random() < 0.2:
        flow.text(
            "I worked alone; 1a was discussed with Bob. Problem 4(e) is the one that I am least sure of.",
            FAMILIES[family][0],
            size,
        )
    _written(flow, dice, given, scheme, family, size, justified=True)
    return flow


def word(dice: random.Random, given: Sequence[Answer] | None = None, schemes: Sequence[str] = _WORD) -> Flow:
    """As a word processor sets it: ragged, few gaps, headings that are hardly larger."""
    flow = Flow(dice.choice([LETTER, A4_SIZE]), 72, _furniture(dice))
    family, size = dice.choice(["Helvetica", "DejaVu", "Times"]), dice.choice([10, 11, 12])
    given = answers(dice) if given is None else given
    if dice.random() < 0.5:
        flow.heading("Assignment 3 written answers", FAMILIES[family][1], 16, above=0)
    _written(flow, dice, given, dice.choice(list(schemes)), family, size, justified=False)
    return flow


def short(dice: random.Random) -> Flow:
    """Several items on each page."""
    return dice.choice([latex, word])(dice, answers(dice, 2))


def shuffled(dice: random.Random) -> Flow:
    """Items in any order."""
    given = answers(dice, 8)
    dice.shuffle(given)
    return dice.choice([latex, word])(
        dice, given, ("plain", "spaced", "worded", "dotted", "titled", "question", "comma")
    )


def several(dice: random.Random) -> Flow:
    """Some items answered together, under one heading."""
    flow = Flow(LETTER, 72, _furniture(dice))
    font, bold = FAMILIES["Times"]
    for heading, labels in (
        ("1 (a) and (b)", ("1a", "1b")), ("1c", ("1c",)), ("1d, 1e", ("1d", "1e")), ("1f", ("1f",)), ("2d", ("2d",)),
        ("3b–3e", ("3b", "3c", "3d", "3e")), ("4e", ("4e",)), ("4f & 4g", ("4f", "4g")), ("4(h)-(i)", ("4h", "4i")),
    ):  # fmt: skip
        flow.current = labels
        flow.heading(heading, bold, 13)
        _blocks(flow, answer(dice, labels, 14).blocks, font, 11, dice, True)
    flow.current = ()
    return flow


def appendix(dice: random.Random) -> Flow:
    """Something after the answers, or before them, that answers nothing."""
    kind = dice.choice(["headed", "titled", "sized", "references"])
    flow = dice.choice([latex, word])(dice, answers(dice, 6))
    flow.current = ()
    if kind == "references":
        flow.heading("References", "Times-Bold", 14)
        flow.text(
            "[1] Vaswani et al. Attention is all you need. 2017. [2] Dosovitskiy et al. 2021.",
            "Times-Roman",
            11,
        )
        return flow
    flow.new_page(LETTER if kind != "sized" else (720, 540))
    if kind == "headed":
        flow.heading(
            dice.choice(["Appendix", "Appendix A: logs of training", "A Appendix"]), "Times-Bold", 16
        )
    elif kind == "titled":
        flow.heading(
            dice.choice(["Lab 2: heat and work", "Notes on thermodynamics", "CS 101 syllabus"]),
            "Helvetica-Bold",
            26,
        )
    for _ in range(dice.randint(1, 4)):
        flow.text(paragraph(dice, "", dice.randint(3, 12)), "Times-Roman", 11)
        flow.code("1 0.93 2.1\n2 0.71 2.4\n3 0.52 2.9")
        flow.gap(10)
        if dice.random() < 0.5:
            flow.new_page()
    return flow


# -- notebooks ------------------------------------------------------------------------------------------------------


def notebook(dice: random.Random, flow: Flow | None = None, answered: float = 0.85) -> Flow:
    """The template, exported with some answers filled in."""
    numbered = dice.random() < 0.4
    if flow is None:
        flow = Flow(dice.choice([LETTER, A4_SIZE]), 50)
    font, bold = FAMILIES["Times" if numbered else dice.choice(["Helvetica", "DejaVu"])]
    size, counter, execution = dice.choice([9, 10, 11]), [0, 0, 0], 0
    for cell in template_cells():
        source = "".join(cell["source"])  # type: ignore[arg-type]
        if cell["cell_type"] == "code":
            execution += 1
            flow.gap(6)
            flow.code(f"In [{execution}]:" if dice.random() < 0.9 else "In [ ]:", size=8)
            flow.code(source, size=8, boxed=True)
            if dice.random() < 0.4:
                flow.gap(4)
                flow.code(
                    "tensor([1., 2.])\nokay" if dice.random() < 0.7 else "1 2.41 0.3\n2 1.9 0.4", size=8
                )
                flow.said.update(flow.current)
            if "heatmaps" in source and dice.random() < 0.8:
                flow.figure(220)
                flow.said.update(flow.current)
            continue
        for line in source.splitlines():
            _markdown(flow, dice, line, Print(font, bold, size, counter if numbered else None), answered)
        flow.gap(6)
    flow.current = ()
    return flow


class Print(NamedTuple):
    """How Markdown is printed; headings are numbered where there is a ``counter``."""

    font: str
    bold: str
    size: float
    counter: list[int] | None


def _markdown(flow: Flow, dice: random.Random, line: str, how: Print, answered: float) -> None:
    font, bold, size, counter = how
    if match := re.match(r"(#+) (.*)", line):
        depth, title = len(match[1]), match[2]
        label = re.match(r"\d[a-z]", title)
        flow.current = (label[0],) if label else ()
        if counter is not None:
            counter[depth - 1] += 1
            counter[depth:] = [0] * (3 - depth)
            title = ".".join(map(str, counter[:depth])) + " " + title
        flow.heading(title + ("¶" if dice.random() < 0.1 else ""), bold, size * (2.2, 1.7, 1.35)[depth - 1])
    elif "your answer here" in line:
        if dice.random() < answered:
            flow.text("Answer. " + paragraph(dice, (*flow.current, "")[0], dice.randint(1, 8)), font, size)
        else:
            flow.text("Answer. your answer here", font, size)
    elif line:
        flow.text(line.replace("**", "").replace("`", ""), font, size)


def both(dice: random.Random) -> Flow:
    """Written answers, and then the notebook with nothing written into its cells."""
    flow = dice.choice([latex, word])(dice, answers(dice, 6))
    flow.current = ()
    flow.furniture = None
    flow.new_page()
    written, flow.truth, flow.said = flow.truth, defaultdict(set), set()
    notebook(dice, flow, 0.0)
    # An item that was answered in writing is in the notebook too only if something was added there.
    for label, pages in written.items():
        flow.truth[label] = pages | (flow.truth[label] if label in flow.said else set())
    return flow


# -- scans ----------------------------------------------------------------------------------------------------------


def scanned(dice: random.Random) -> Flow:
    """Images alone."""
    flow = Flow(LETTER, 72)
    pages = dice.randint(1, 5)
    for number in range(pages):
        flow.scan("1a\nh_2 = ...")
        if number + 1 < pages:
            flow.new_page()
    flow.truth.clear()
    return flow


def photos(dice: random.Random) -> Flow:
    """A typed heading on each page, and handwriting below it or on the next page."""
    flow = Flow(LETTER, 72)
    given = answers(dice, 1)
    for number, one in enumerate(given):
        flow.current = one.labels
        flow.heading(f"Problem {one.labels[0]}", "Helvetica-Bold", 14)
        if dice.random() < 0.5:
            flow.figure(400)
        else:
            flow.new_page(dice.choice([LETTER, (500, 700)]))
            flow.scan("as in 1a")
        if number + 1 < len(given):
            flow.new_page(LETTER)
    flow.current = ()
    return flow


STYLES: dict[str, Callable[[random.Random], Flow]] = {
    "latex": latex,
    "word": word,
    "notebook": notebook,
    "short": short,
    "shuffled": shuffled,
    "several": several,
    "appendix": appendix,
    "both": both,
    "scanned": scanned,
    "photos": photos,
}
