"""A class as it looks in life: answers of all qualities, some in the notebook and some in a PDF, half of it graded."""

from __future__ import annotations

import base64
import io
import math
import random
import re
from pathlib import Path

from PIL import Image

from grader.authoring.notebooks import model_answers
from grader.gradebook.events import Decision, Kind
from grader.homework3 import HOMEWORK
from grader.review.web import Site
from grader.scoring.result import Evidence, Flag
from tests.review.made import RUBRIC, Pupil, make_class, site_of

PDFS_ALONE = 2
"""Students who handed in a PDF and no notebook; they come last, before the one who handed in nothing."""
FIRST = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gia", "Hal", "Ida", "Jon")
LAST = ("Abel", "Berg", "Cole", "Diaz", "Egli", "Funk", "Gray", "Hart")
FORMULAS = {
    "1a": (
        r"$$h_2 = W_h W_x x_1 + W_x x_2, \qquad y_2 = \phi_y(W_y h_2)$$",
        r"We insert $h_1$: $h_2 = W_h h_1 + W_x x_2$ and $y_2 = \phi_y(W_y h_2)$.",
        r"$h_2 = W_x W_h x_1 + W_x x_2$, and $y_2 = \phi_y(W_y W_x W_h x_1 + W_y W_x x_2)$",
    ),
    "1b": (
        r"$$h_3 = W_h^2 W_x x_1 + W_h W_x x_2 + W_x x_3, \qquad y_3 = \phi_y(W_y h_3)$$",
        r"$h_3 = W_h^3 W_x x_1 + W_h W_x x_2 + W_x x_3$ and $y_3 = \phi_y(W_y h_3)$",
    ),
    "1c": (
        r"$$h_T = \sum_{t=1}^{T} W_h^{T-t} W_x x_t, \qquad y_T = \phi_y\Big(W_y \sum_{t=1}^{T} W_h^{T-t} W_x x_t\Big)$$",
        r"$$h_T = \sum_{t=1}^{T} W_h^{t} W_x x_t$$ and $y_T$ is $\phi_y(W_y h_T)$.",
        r"In general $h_T = W_h h_{T-1} + W_x x_T$.",
    ),
}
FAILED = {
    "attention_head.test_alpha_is_the_softmax_of_scaled_scores": "alpha[0, 1, 0] is 0.4387, expected 0.4069",
    "multi_headed_attention.test_num_heads_heads_of_the_given_sizes": (
        "expected 2 distinct AttentionHeads (num_heads=2), but forward used 1"
    ),
}
GENERATED = (
    "<START> KING RICHARD III : I will not be the king , and I will be the king of my father 's death , and I will be the "
    "king of the world , and so I will be the king . <END>",
    "<START> ROMEO : O , speak again , my lord ; I have a word with thee , and thou shalt not be so bold to say the duke is "
    "dead . Good night , good night , sweet nurse , I do beseech your grace to hear me speak . <END>",
    "<START> the the the , , the the , the the the the",
)


def heatmap(seed: int) -> str:
    """An image with its attention beside it, in base64."""
    size, scale = 8, 24
    image = Image.new("RGB", (2 * size * scale + 16, size * scale), "white")
    dice = random.Random(seed)
    x0, y0 = dice.uniform(2, 6), dice.uniform(2, 6)
    for row in range(size):
        for column in range(size):
            near = math.exp(-((row - y0) ** 2 + (column - x0) ** 2) / 6) * dice.uniform(0.7, 1)
            plain = (int(90 + 90 * near), int(150 - 40 * near), int(200 - 150 * near))
            warm = (int(255 * min(1.0, 1.6 * near)), int(200 * near * near), int(90 * (1 - near)))
            for left, color in ((0, plain), (size * scale + 16, warm)):
                image.paste(color, (left + column * scale, row * scale, left + (column + 1) * scale, (row + 1) * scale))
    encoded = io.BytesIO()
    image.save(encoded, "png")
    return base64.b64encode(encoded.getvalue()).decode()


def written(item: str, number: int) -> str:
    """What a student wrote: the whole answer, a part of it, hardly anything, or nothing."""
    dice = random.Random(f"{item} {number}")
    if item in FORMULAS:
        return dice.choice((*FORMULAS[item], FORMULAS[item][0], ""))
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z0-9])", model_answers(HOMEWORK).get(item, "").replace("\n", " "))
    sentences = [one for one in sentences if not re.fullmatch(r"\d+\.?", one)]
    kind = dice.random()
    if kind < 0.1:
        return ""
    if kind < 0.2:
        return "I am not sure, but I think it is the second one."
    kept = sentences if kind < 0.6 else sentences[: max(1, len(sentences) // 2)]
    opening = dice.choice(("", "", "In my opinion: ", "As we saw in the lecture, "))
    return opening + " ".join(kept)


def evidence_of(number: int, *, in_notebook: bool) -> dict[str, list[Evidence]]:
    """What a notebook holds; without written answers where those are in a PDF."""
    found: dict[str, list[Evidence]] = {}
    for item in RUBRIC.by_hand:
        pieces = []
        for kind in item.evidence:
            if kind == "written_answer":
                text = written(item.id, number) if in_notebook else ""
                pieces += [Evidence(kind=kind, title="text in the notebook", text=text)] if text else []
            elif kind == "image":
                pieces += [
                    Evidence(kind=kind, title=f"image from code cell {cell}", cell=cell, mime="image/png", data=data)
                    for cell in (21, 22)
                    for data in (heatmap(cell * 97 + number),)
                ]
            elif kind == "reported_accuracy":
                title = "reported by code cell 19; a number in an output proves nothing"
                text = f"epoch 10: train loss 1.21, val accuracy {0.42 + number % 7 / 40:.3f}"
                pieces.append(Evidence(kind=kind, title=title, cell=19, text=text))
            else:
                text = GENERATED[number % len(GENERATED)]
                pieces.append(Evidence(kind=kind, title="output of code cell 31", cell=31, text=text))
        if pieces:
            found[item.id] = pieces
    return found


def plain(text: str) -> str:
    """Markdown and LaTeX as somebody would type it in a word processor."""
    text = re.sub(r"\\mathbf\{(\w)\}", r"\1", text)
    text = text.replace(r"\phi", "phi").replace(r"\sum", "sum ").replace(r"\qquad", "   ").replace(r"\Big", "")
    return re.sub(r"[$*`]|\\,", "", text)


def write_pdf(path: Path, number: int) -> None:
    """The written answers of a student as a PDF, a part of which begins a new page."""
    from tests.pdfs.canvas import FAMILIES, Flow

    font, bold = FAMILIES[("Times", "Helvetica", "Stix")[number % 3]]
    flow = Flow()
    flow.heading("Homework 3", bold, 18)
    for item in RUBRIC.by_hand:
        if "written_answer" not in item.evidence:
            continue
        flow.heading(f"Problem {item.id}", bold, 13, above=18)
        for paragraph in (plain(written(item.id, number)) or "(no answer)").split("\n\n"):
            flow.text(paragraph, font, 11)
            flow.gap(6)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(flow.done()[0])


def make(folder: Path, size: int = 30) -> tuple[Path, Path, list[Pupil]]:
    """Write a class and its PDFs; gives the folder of the batch, that of the PDFs, and the students."""
    absent = PDFS_ALONE + 1
    names = [f"{first} {last}" for last in LAST for first in FIRST][:size]
    people = make_class(folder / "hw3", size, absent=absent)
    evidence = {one.key: evidence_of(number, in_notebook=number % 3 != 1) for number, one in enumerate(people)}
    flags = [
        Flag(kind="altered", message="provided code was changed: FFN (cell 12) differs from the template's", cell=12),
    ]
    people = make_class(folder / "hw3", size, evidence=evidence, names=names, failed=FAILED, flags=flags, absent=absent)
    archive = folder / "pdfs"
    for number, one in enumerate(people[: size - 1]):
        if number != 2:
            write_pdf(archive / f"{one.name}.pdf", number)
    (archive / f"{people[2].name}.pdf").write_bytes(b"%PDF-1.4\nnothing else")
    write_pdf(archive / "homework (final).pdf", 5)
    return folder / "hw3", archive, people


def site(folder: Path, size: int = 30) -> Site:
    """Such a class, served with its PDFs; nothing is graded yet."""
    batch, archive, _ = make(folder, size)
    return site_of(batch, archive)


def grade_half(site: Site) -> None:
    """Decisions of two graders of all kinds: grades, a second grading that differs, a regrade request, a penalty, a note."""
    room = site.room
    klass, dice = room.klass, random.Random(5)
    for item in ("1a", "1b", "1d", "1e", "3d", "4h"):
        entries = [entry.id for entry in room.book.state().entries(item)]
        for place, (key, answer) in enumerate(klass.answers[item].items()):
            if item in ("1e", "4h") and place > 11:
                break
            chosen = dice.choice(entries[:3])
            comment = "Say why, not only what." if place % 7 == 3 else ""
            data = {"entries": [chosen], "adjustment": 0.0, "comment": comment, "content": answer.content}
            who = ("Tessa", "Ben")[place % 2]
            room.book.record(who, [Decision(Kind.grade, key, item, data)])
            if place % 9 == 4:
                other = {**data, "entries": [dice.choice(entries[:3])], "comment": ""}
                room.book.record(("Ben", "Tessa")[place % 2], [Decision(Kind.second, key, item, other)])
    first = next(iter(klass.answers["1d"]))
    text = "I named both cases: below 1 it vanishes, above 1 it explodes. Please look at the second sentence again."
    room.book.record("Tessa", [Decision(Kind.request, first, "1d", {"text": text})])
    penalty = {"id": "page-assignment", "on": True, "reason": "No pages assigned."}
    room.book.record("Ben", [Decision(Kind.penalty, first, None, penalty)])
    room.book.record("Ben", [Decision(Kind.note, first, None, {"text": "Please assign pages next time."})])
