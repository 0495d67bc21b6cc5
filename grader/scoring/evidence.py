"""What a submission's stored outputs and text hold for the person who grades the manual items."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Callable, Collection, Sequence
from typing import Literal

from grader.scoring.result import Evidence
from grader.scoring.rubric import AutomaticItem, Rubric
from grader.submission.reading import CodeCell, Submission

MOST_IMAGES = 12
MOST_TEXTS = 4
LARGEST_IMAGE = 2 << 20
MOST_TEXT = 3000
"""Characters of an output that are shown."""
MOST_ANSWER = 50_000
"""Characters of a written answer, of all its cells together. A person reads all of it; only a hostile one is longer."""

_ACCURACY = re.compile(r"\bacc(?:uracy)?\b", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_MIMES: dict[str, Literal["image/png", "image/jpeg"]] = {"image/png": "image/png", "image/jpeg": "image/jpeg"}


def collect(
    submission: Submission, rubric: Rubric, text_calls: Collection[str] = ()
) -> dict[str, list[Evidence]]:
    """Evidence by item id, for the kinds that the rubric asks for; bounded in number and size.

    ``text_calls`` are the functions by whose calls a cell that generates text is known where no cell is marked.
    """
    finders: dict[str, Callable[[Submission, str], list[Evidence]]] = {
        "image": _images,
        "generated_text": functools.partial(_generated, _calls_of(text_calls)),
        "reported_accuracy": _accuracies,
        "written_answer": _written,
    }
    found: dict[str, list[Evidence]] = {}
    for item in rubric.items:
        if isinstance(item, AutomaticItem):
            continue
        shown = [evidence for kind in item.evidence for evidence in finders[kind](submission, item.id)]
        if shown:
            found[item.id] = shown
    return found


def _cells(submission: Submission, part: str) -> Sequence[CodeCell]:
    """The cells of a part where the notebook says which they are, else all of them."""
    marked = [cell for cell in submission.cells if cell.part == part]
    return marked or submission.cells


def _images(submission: Submission, part: str) -> list[Evidence]:
    found = []
    for cell in _cells(submission, part):
        for output in cell.outputs:
            mime = _MIMES.get(output.mime)
            if mime is not None and 0 < len(output.data) <= LARGEST_IMAGE:
                data = base64.b64encode(output.data).decode()
                title = f"image from code cell {cell.number}"
                found.append(
                    Evidence(kind="image", title=title, cell=cell.number, mime=mime, data=data)
                )
    return found[-MOST_IMAGES:]


def _texts(cell: CodeCell) -> str:
    return "\n".join(output.text for output in cell.outputs if output.text)


def _calls_of(names: Collection[str]) -> re.Pattern[str]:
    """Calls of one of these functions; nothing if there are none."""
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names)))})\s*\(" if names else r"(?!)")


def _generated(calls: re.Pattern[str], submission: Submission, part: str) -> list[Evidence]:
    found = []
    for cell in _cells(submission, part):
        text = _texts(cell)
        if text.strip() and (cell.part == part or calls.search(cell.source)):
            title = f"output of code cell {cell.number}"
            found.append(Evidence(kind="generated_text", title=title, cell=cell.number, text=text[-MOST_TEXT:]))
    return found[-MOST_TEXTS:]


def _accuracies(submission: Submission, part: str) -> list[Evidence]:
    found = []
    for cell in _cells(submission, part):
        line = next(filter(_states_accuracy, reversed(_texts(cell).split("\n"))), None)
        if line is not None:
            title = f"reported by code cell {cell.number}; a number in an output proves nothing"
            found.append(
                Evidence(kind="reported_accuracy", title=title, cell=cell.number, text=line[:300])
            )
    return found[-MOST_TEXTS:]


def _states_accuracy(line: str) -> bool:
    """Whether a line names an accuracy and has a number after it, found in one pass: a line may be megabytes long."""
    named = _ACCURACY.search(line)
    return named is not None and _DIGIT.search(line, named.end()) is not None


def is_whole(evidence: Sequence[Evidence]) -> bool:
    """Whether all text of an item is shown, and not only the beginning or the end of it."""
    outputs = [each.text or "" for each in evidence if each.kind != "written_answer"]
    written = sum(len(each.text or "") for each in evidence if each.kind == "written_answer")
    return written < MOST_ANSWER and all(len(text) < MOST_TEXT for text in outputs)


def _written(submission: Submission, part: str) -> list[Evidence]:
    marked = [cell for cell in submission.markdown if cell.part == part and cell.role == "text-answer"]
    found = []
    left = MOST_ANSWER
    for text in filter(None, (cell.source.strip() for cell in marked)):
        if left > 0:
            found.append(Evidence(kind="written_answer", title="text in the notebook", text=text[:left]))
            left -= len(text)
    # Photos of handwritten formulas, for instance.
    pasted = [output for cell in marked for output in cell.attachments]
    for output in pasted[:MOST_IMAGES]:
        mime = _MIMES.get(output.mime)
        if mime is not None and 0 < len(output.data) <= LARGEST_IMAGE:
            data = base64.b64encode(output.data).decode()
            found.append(Evidence(kind="written_answer", title="image in the answer", mime=mime, data=data))
    return found
