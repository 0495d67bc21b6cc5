"""A class with planted duplicates and variations in 15 written answers of each student, with images, and PDFs of the same."""

from __future__ import annotations

import base64
import io
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from grader.homework3 import HOMEWORK
from grader.review.classroom import template_of
from grader.scoring.result import Evidence
from tests.insight.made_class import MadeAnswer
from tests.insight.made_class import make_class as make_answers
from tests.pdfs import styles
from tests.pdfs.answers import Answer, Block
from tests.review.made import RUBRIC, Pupil, make_class, pupils

FIRST = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gia", "Hal", "Ida", "Jon", "Kai", "Lea", "Max", "Nia", "Ole", "Pia")
LAST = ("Abel", "Berg", "Cole", "Diaz", "Egli", "Funk", "Gupta", "Haas", "Imai", "Jain", "Kim", "Lam", "Mori", "Nash", "Ott")
MIDDLE = ("", "von ", "de ", "Mac")
MOST = len(FIRST) * len(LAST) * len(MIDDLE)


@dataclass(frozen=True)
class LargeClass:
    """A made class: its folder, its PDFs, what each answer is, and the pages of the PDF that hold it."""

    folder: Path
    archive: Path
    people: list[Pupil]
    answers: dict[str, dict[str, MadeAnswer]]
    """By item and key."""
    pages: dict[str, dict[str, tuple[int, ...]]]
    """By key and item."""


def make_large_class(root: Path, size: int = 300, seed: int = 0, *, pdfs: bool = True) -> LargeClass:
    """Write a class into ``root``, the same for the same arguments."""
    names = _names(size, seed)
    # Keys follow from the numbers, so they are known before the class is written.
    keys = [one.key for one in pupils(size)]
    by_item: dict[str, dict[str, MadeAnswer]] = defaultdict(dict)
    for made in make_answers(size, seed, _templates()):
        by_item[made.item][keys[int(made.submission.removeprefix("s"))]] = made
    evidence = {key: _evidence(key, number, by_item) for number, key in enumerate(keys)}
    people = make_class(root / "class", size, evidence=evidence, names=names)
    pages = {}
    archive = root / "pdfs"
    archive.mkdir()
    if pdfs:
        for one in people:
            pages[one.key] = _write_pdf(archive / f"{one.name}.pdf", one, by_item, seed)
    return LargeClass(root / "class", archive, people, dict(by_item), pages)


def _names(size: int, seed: int) -> list[str]:
    if size > MOST:
        raise ValueError(f"a class has at most {MOST} names")
    all_names = [f"{first} {middle}{last}" for middle in MIDDLE for first in FIRST for last in LAST]
    return random.Random(seed).sample(all_names, size)


def _templates() -> dict[str, str]:
    """The cells in which students write their answers."""
    template = template_of(HOMEWORK)
    assert template is not None
    return {cell.part: cell.source for cell in template.markdown if cell.part and cell.role == "text-answer"}


def _evidence(key: str, number: int, by_item: dict[str, dict[str, MadeAnswer]]) -> dict[str, list[Evidence]]:
    found: dict[str, list[Evidence]] = {}
    for item in RUBRIC.by_hand:
        pieces = []
        if "reported_accuracy" in item.evidence:
            text = f"val accuracy {0.45 + number % 20 / 100:.2f}"
            pieces.append(Evidence(kind="reported_accuracy", title="reported by code cell 30", cell=30, text=text))
        if "image" in item.evidence:
            pieces += [
                Evidence(kind="image", title=f"code cell {cell}", cell=cell, mime="image/png", data=plot(number, cell))
                for cell in (31, 32)
            ]
        text = by_item[item.id][key].text.strip() if item.id in by_item else ""
        if text:
            pieces.append(Evidence(kind="written_answer", title="text in the notebook", text=text[:3000]))
        if pieces:
            found[item.id] = pieces
    return found


def plot(number: int, cell: int) -> str:
    """A PNG as large as a notebook's plots, in base64: 640 times 480 pixels, about 100 kB."""
    dice = random.Random(number * 100 + cell)
    small = Image.frombytes("L", (200, 150), dice.randbytes(200 * 150))
    image = small.resize((640, 480), Image.Resampling.NEAREST).convert("RGB")
    ImageDraw.Draw(image).text((20, 20), f"heatmap {number}/{cell}", fill="red")
    encoded = io.BytesIO()
    image.save(encoded, "png")
    return base64.b64encode(encoded.getvalue()).decode()


def _write_pdf(
    path: Path, one: Pupil, by_item: dict[str, dict[str, MadeAnswer]], seed: int
) -> dict[str, tuple[int, ...]]:
    dice = random.Random(f"{seed} {one.key}")
    given = []
    for item, answers in by_item.items():
        made = answers[one.key]
        if made.change in ("empty", "untouched"):
            continue
        text = made.text.rpartition("**Answer.**")[2].replace("*your answer here*", "")
        blocks = [Block("text", " ".join(text.split()))]
        if item == "3d":
            blocks.append(Block("figure", "220"))
        given.append(Answer((item,), tuple(blocks)))
    flow = dice.choice([styles.latex, styles.word])(dice, given)
    data, truth, _ = flow.done()
    path.write_bytes(data)
    return {item: tuple(sorted(found)) for item, found in truth.items()}
