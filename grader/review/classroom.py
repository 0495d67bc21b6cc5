"""The class that is graded: items with their questions, answers with their evidence, and the order in which they come."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from grader.authoring.notebooks import model_answers
from grader.batch.decisions import Decisions
from grader.errors import GraderError, UsageError
from grader.gradebook.book import Gradebook
from grader.gradebook.content import content_of, without_images
from grader.grades.handed_pdfs import NAME as PDFS
from grader.grades.handed_pdfs import remember, remembered, with_pdfs
from grader.grades.load import GradedClass, load_class, load_result
from grader.homework import Homework
from grader.review.pdfs import Pdfs
from grader.review.pictures import Pictures
from grader.scoring.evidence import is_whole
from grader.scoring.result import Evidence, ItemResult, Result
from grader.scoring.rubric import ManualItem, TrainingItem
from grader.submission.reading import Submission, read_submission
from grader.text.safe_text import one_line

ByHand = ManualItem | TrainingItem
_YOUR_ANSWER = re.compile(r"\n*\*\*Answer\.?\*\*\.?\s*(?:\*your answer here\*)?\s*$", re.I)


class NotThere(GraderError):
    """An address names an item or an answer that the class does not have."""


@dataclass(frozen=True)
class Question:
    """What stands beside an answer: the template's text, the model answer, and notes for graders.

    ``template`` is the text with the line on which the answer begins, as students get it.
    """

    text: str
    model_answer: str
    notes: str
    template: str = ""


@dataclass(frozen=True)
class Answer:
    """One student's answer to one item.

    Args:
        item: the id of the item.
        submission: the key of the row in the class.
        handle: what stands in addresses instead of the key, which may be a name.
        evidence: what the notebook holds, and what training found.
        content: tells this answer from an earlier one.
        notes: what the grader remarked on the item.
        problem: why there is nothing to see of a notebook.
        has_pdf: whether a PDF was handed in, too.
    """

    item: str
    submission: str
    handle: str
    evidence: tuple[Evidence, ...] = ()
    content: str = ""
    notes: tuple[str, ...] = ()
    problem: str = ""
    has_pdf: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether a text is longer than what is shown of it."""
        return not is_whole(self.evidence)

    @property
    def text(self) -> str:
        """All text of the evidence."""
        return "\n".join(each.text for each in self.evidence if each.text)


@dataclass(frozen=True)
class Class:
    """A class as it was read at one time."""

    graded: GradedClass
    homework: Homework
    questions: Mapping[str, Question]
    items: Mapping[str, ByHand]
    answers: Mapping[str, Mapping[str, Answer]]
    """By item, in the order of handles, which is a different one for each item."""
    handles: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Keys by item and handle."""

    def item(self, item: str) -> ByHand:
        """An item that people grade; raises `NotThere`."""
        if item not in self.items:
            raise NotThere(f"{one_line(item)}: is not an item that people grade")
        return self.items[item]

    def answer(self, item: str, handle: str) -> Answer:
        """The answer behind a handle; raises `NotThere`."""
        self.item(item)
        key = self.handles.get((item, handle))
        if key is None:
            raise NotThere(f"{item}: there is no such answer in this class")
        return self.answers[item][key]

    def result(self, submission: str) -> Result | None:
        """What the grader found; None where it has not judged yet."""
        return self.graded.results.get(submission)

    def found(self, submission: str, item: str) -> ItemResult | None:
        """What the grader found on an item."""
        result = self.result(submission)
        return next((each for each in result.items if each.id == item), None) if result else None

    def order(self, item: str) -> tuple[str, ...]:
        """The keys of all submissions that were handed in, in the order in which an item is graded."""
        self.item(item)
        return tuple(self.answers[item])



class Room:
    """The class in a folder, read again when a batch has changed it, with its gradebook and its PDFs.

    ``imported`` says what was taken from `overrides.yaml`, a line for each override.
    """

    def __init__(self, folder: Path, archive: Path | None = None) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._held = threading.local()
        graded = load_class(folder)
        self.pdfs = Pdfs(folder, archive, graded, graded.manifest.homework) if archive else None
        if self.pdfs is not None:
            digests = self.pdfs.digests()
            remember(folder, digests)
            graded = replace(graded, students=with_pdfs(graded.students, remembered(folder)))
        # A class that was graded before there was a gradebook has its decisions in the file.
        self.imported = Decisions(folder, graded.manifest, graded.rubric).import_file()
        self._stamp = self._now()
        self._class = class_of(graded)
        self.book = Gradebook.of_class(folder, graded.rubric)
        self.pictures = Pictures()

    def close(self) -> None:
        """Close the gradebook."""
        self.book.close()

    def image(self, answer: Answer, number: int) -> bytes:
        """The bytes of an image of an answer as the notebook holds it; raises `NotThere`."""
        if not 0 <= number < len(answer.evidence) or not answer.evidence[number].data:
            raise NotThere(f"{answer.item}: there is no such image")
        graded = self.klass.graded
        result = load_result(self.folder, graded, answer.submission)
        found = next((each for each in result.items if each.id == answer.item), None) if result else None
        student = graded.students.get(answer.submission)
        if found is None or student is None or content_of(found, student.notebook, student.pdf) != answer.content:
            raise NotThere(f"{answer.item}: the answer has changed; reload the page")
        return base64.b64decode(found.evidence[number].data or "")

    @contextlib.contextmanager
    def steady(self) -> Iterator[None]:
        """One class for all of a request, whatever a batch writes meanwhile; nor is the disk asked each time."""
        self._held.klass = self.klass
        try:
            yield
        finally:
            self._held.klass = None

    @property
    def klass(self) -> Class:
        """The class as it is now."""
        held: Class | None = getattr(self._held, "klass", None)
        if held is not None:
            return held
        with self._lock:
            stamp = self._now()
            if stamp != self._stamp:
                # A batch may be writing; what was read before holds until all of it can be read.
                with contextlib.suppress(GraderError):
                    changed = read_class(self.folder)
                    if changed.graded.rubric.digest != self._class.graded.rubric.digest:
                        # Other threads may still read the old one.
                        self.book = Gradebook.of_class(self.folder, changed.graded.rubric)
                    self._class, self._stamp = changed, stamp
            return self._class

    def _now(self) -> tuple[int, ...]:
        """What changes when a batch or a rescoring has written."""
        found = []
        for name in ("batch.json", "rubric.yaml", "grades.csv", "roster.csv", PDFS):
            with contextlib.suppress(OSError):
                found.append((self.folder / name).stat().st_mtime_ns)
        return tuple(found)


def read_class(folder: Path) -> Class:
    """Read the folder of a batch for grading; raises `GraderError`."""
    return class_of(load_class(folder))


def class_of(graded: GradedClass) -> Class:
    """What people grade of a class; raises `UsageError` where its rubric leaves nothing to them."""
    # `Room.image` reads an image again when a page shows it.
    graded = replace(graded, results={key: without_images(result) for key, result in graded.results.items()})
    homework = graded.manifest.homework
    items = {item.id: item for item in graded.rubric.by_hand}
    if not items:
        raise UsageError("the rubric of this class has no item that people grade")
    answers: dict[str, dict[str, Answer]] = {}
    for item in items:
        found = [
            _answer(graded, item, key, handle_of(item, key))
            for key, student in graded.students.items()
            if student.handed_in or student.pdf
        ]
        answers[item] = {answer.submission: answer for answer in sorted(found, key=lambda answer: answer.handle)}
    handles = {(item, answer.handle): key for item, by_key in answers.items() for key, answer in by_key.items()}
    return Class(graded, homework, questions_of(homework, items), items, answers, handles)


def handle_of(item: str, submission: str) -> str:
    """What stands for a submission in the addresses of an item: the same in each run, and no name."""
    return hashlib.sha256(f"{item}\0{submission}".encode()).hexdigest()[:10]


def _answer(graded: GradedClass, item: str, key: str, handle: str) -> Answer:
    result, student = graded.results.get(key), graded.students[key]
    has_pdf = bool(student.pdf)
    if not student.handed_in:
        content = content_of(None, "", student.pdf)
        return Answer(item, key, handle, content=content, problem="No notebook was handed in.", has_pdf=has_pdf)
    if result is None:
        return Answer(item, key, handle, problem="The grader has not read this submission yet.", has_pdf=has_pdf)
    found = next((each for each in result.items if each.id == item), None)
    content = content_of(found, student.notebook, student.pdf)
    if result.error is not None or found is None:
        return Answer(item, key, handle, content=content, problem=result.error or "", has_pdf=has_pdf)
    return Answer(item, key, handle, found.evidence, content, found.notes, has_pdf=has_pdf)


def questions_of(homework: Homework, items: Mapping[str, ByHand]) -> dict[str, Question]:
    """What is asked for each item, as far as the homework says."""
    template = template_of(homework)
    try:
        models = model_answers(homework)
    except (OSError, ValueError, GraderError):  # a homework may have none
        models = {}
    found = {}
    for name, item in items.items():
        cells = [cell.source for cell in template.markdown if cell.part == name] if template else []
        text = "\n\n".join(_YOUR_ANSWER.sub("", cell).strip() for cell in cells)
        heading = item.model_answer if isinstance(item, ManualItem) else name
        found[name] = Question(text, models.get(heading, ""), item.grading_notes, "\n\n".join(cells))
    return found


def template_of(homework: Homework) -> Submission | None:
    """The notebook that students got; None where it cannot be read."""
    try:
        return read_submission(homework.template)
    except GraderError:
        return None


def in_order_after(order: Sequence[str], submission: str | None) -> list[str]:
    """An order that begins after a submission and goes round to it, without it."""
    if submission is None or submission not in order:
        return list(order)
    place = order.index(submission) + 1
    return [*order[place:], *order[: place - 1]]
