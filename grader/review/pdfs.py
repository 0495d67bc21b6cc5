"""The students' PDFs in a review: whose they are, where each item stands in them, and their pages as images."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from grader.batch.roster import ROSTER, load_roster
from grader.batch.store import Manifest, Member
from grader.batch.submissions import Entry
from grader.errors import GraderError
from grader.grades.load import GradedClass
from grader.homework import Homework
from grader.pdfs import Document, Found, Pairing, find_items, pair, read, render
from grader.pdfs.document import digest_of
from grader.pdfs.process import require_pdfium
from grader.pdfs.rendering import render_pages
from grader.submission.reading import Submission, read_submission
from grader.text.safe_text import one_line

WIDTH = 1100
"""Pixels of a page."""
_AHEAD_PAGES = 4
_MOST_WANTED = 64
"""Answers whose pages wait to be drawn; older ones are dropped, as their graders have moved on."""


@dataclass(frozen=True)
class Shown:
    """The PDF beside an answer: which of its pages, or why there is none.

    Args:
        pages: their numbers, from 1.
        total: pages of the whole PDF.
        reason: what these pages rest on.
        problem: why nothing can be shown.
        chosen: whether a person chose the pages.
        sizes: width and height by page, in points.
        begins_on: the page on which to begin to read; 0 where that is not known.
        top: how far down on it, as a fraction of its height.
    """

    pages: tuple[int, ...] = ()
    total: int = 0
    reason: str = ""
    problem: str = ""
    chosen: bool = False
    sizes: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    begins_on: int = 0
    top: float = 0.0

    @property
    def listed(self) -> str:
        """The pages in words, such as ``2, 4-6``."""
        runs: list[list[int]] = []
        for page in self.pages:
            if runs and page == runs[-1][-1] + 1:
                runs[-1].append(page)
            else:
                runs.append([page])
        return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


@dataclass(frozen=True)
class _Read:
    """A PDF that could be read, and where the items stand in it."""

    path: Path
    document: Document
    items: Mapping[str, Found]


class Pdfs:
    """The PDFs of a class. What is wrong with one is said where it would be shown."""

    def __init__(self, folder: Path, archive: Path, graded: GradedClass, homework: Homework) -> None:
        require_pdfium()
        self._cache = folder / "pdfs"
        listed = load_roster(folder / ROSTER)[0] if (folder / ROSTER).is_file() else ()
        self.pairing: Pairing = pair(archive, _entries(graded.manifest, folder), self._cache / "unpacked", listed)
        self._items = [item.id for item in graded.rubric.items]
        self._template = _template(homework)
        self._lock = threading.Lock()
        self._known: dict[str, tuple[_Read, ...] | str] = {}
        self._wanted: deque[tuple[str, tuple[int, ...]]] = deque(maxlen=_MOST_WANTED)
        self._is_wanted = threading.Condition()
        self._artist: threading.Thread | None = None

    def draw_ahead(self, places: Sequence[tuple[str, str, tuple[int, ...] | None]]) -> None:
        """Draw the pages of answers that come next in another thread: submissions, items, and the pages that people chose."""
        with self._is_wanted:
            for submission, item, chosen in places:
                found = self._known.get(submission)
                if isinstance(found, tuple):
                    pages = self.shown(submission, item, chosen).pages[:_AHEAD_PAGES]
                    if pages and (submission, pages) not in self._wanted:
                        self._wanted.append((submission, pages))
            if self._artist is None:
                self._artist = threading.Thread(target=self._draw, daemon=True)
                self._artist.start()
            self._is_wanted.notify()

    def _draw(self) -> None:
        while True:
            with self._is_wanted:
                self._is_wanted.wait_for(lambda: self._wanted)
                submission, pages = self._wanted.popleft()
            for path, numbers in self._by_file(submission, pages):
                # What cannot be drawn is said where it is shown.
                with contextlib.suppress(GraderError):
                    render_pages(path, numbers, WIDTH, self._cache / "pages")

    def warm_up(self) -> None:
        """Read all PDFs in another thread, so that nobody waits for one."""
        threading.Thread(target=self._read_all, daemon=True).start()

    def _read_all(self) -> None:
        for key in self.pairing.pdfs:
            self._found(key)

    def digests(self) -> dict[str, str]:
        """What tells the PDFs of a submission from others, by its key; raises nothing for a PDF that cannot be read."""
        return {key: _digest_of(files) for key, files in self.pairing.pdfs.items()}

    def shown(self, submission: str, item: str, chosen: tuple[int, ...] | None) -> Shown:
        """What to show of a submission's PDF beside an item; ``chosen`` are the pages that a person chose.

        Several PDFs of one student are shown as one, in their order.
        """
        found = self._found(submission)
        if isinstance(found, str):
            return Shown(problem=found)
        sizes, places, offset = {}, [], 0
        for read_one in found:
            pages = read_one.document.pages
            sizes.update({offset + page.number: (round(page.width), round(page.height)) for page in pages})
            place = read_one.items.get(item)
            if place is not None:
                moved = tuple(offset + page for page in place.pages)
                named = f"{place.reason} of {one_line(read_one.path.name, 80)}" if len(found) > 1 else place.reason
                places.append(replace(place, pages=moved, page=offset + place.page, reason=named))
            offset += len(pages)
        sure = [place for place in places if place.confidence > 0]
        best = max(sure, key=lambda place: place.confidence, default=None)
        begins = (best.page, best.top) if best else (0, 0.0)
        if chosen is not None:
            kept = tuple(page for page in chosen if 1 <= page <= offset)
            return Shown(kept, offset, "", "", True, sizes, *begins)
        kept = tuple(sorted({page for place in sure or places for page in place.pages}))
        reason = best.reason if best else next((place.reason for place in places), "this item was not looked up")
        return Shown(kept or tuple(range(1, offset + 1)), offset, reason, "", False, sizes, *begins)

    def image(self, submission: str, page: int) -> Path:
        """A page as a PNG file; raises `GraderError`."""
        for path, numbers in self._by_file(submission, [page]):
            return render(path, numbers[0], WIDTH, self._cache / "pages")
        found = self._found(submission)
        raise GraderError(found if isinstance(found, str) else "the PDF has no such page")

    def _by_file(self, submission: str, pages: Sequence[int]) -> Iterator[tuple[Path, list[int]]]:
        """Each file of a student that has some of the pages, with their numbers in it."""
        found, offset = self._found(submission), 0
        for read_one in found if not isinstance(found, str) else ():
            count = len(read_one.document.pages)
            numbers = [page - offset for page in pages if 0 < page - offset <= count]
            if numbers:
                yield read_one.path, numbers
            offset += count

    def problems(self) -> list[tuple[str, str]]:
        """The submissions whose PDF cannot be read, as far as that is known, and why."""
        with self._lock:
            known = list(self._known.items())
        return sorted((key, found) for key, found in known if isinstance(found, str) and key in self.pairing.pdfs)

    def _found(self, submission: str) -> tuple[_Read, ...] | str:
        files = self.pairing.pdfs.get(submission, ())
        if not files:
            return "No PDF was handed in."
        with self._lock:
            known = self._known.get(submission)
        if known is None:
            try:
                documents = [(path, read(path, self._cache / "text")) for path in files]
                known = tuple(
                    _Read(path, document, find_items(document, self._items, self._template)) for path, document in documents
                )
            except GraderError as error:
                known = str(error)
            with self._lock:
                self._known[submission] = known
        return known


def _digest_of(files: Sequence[Path]) -> str:
    try:
        digests = [digest_of(path) for path in files]
    except GraderError:
        return "unreadable"
    return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _template(homework: Homework) -> Submission | None:
    with contextlib.suppress(GraderError):
        return read_submission(homework.template)
    return None


def _entries(manifest: Manifest, folder: Path) -> list[Entry]:
    """The rows of the class, as those who look for files know them."""
    by_key = {key: identity for identity, key in manifest.keys.items() if identity.startswith("roster:")}
    return [_entry(member, folder, by_key.get(member.key, "")) for member in manifest.members]


def _entry(member: Member, folder: Path, roster: str) -> Entry:
    fields = {name: value for name, value in member if name != "file"}
    return Entry(**fields, file=member.file, path=folder / member.file, roster=roster)
