"""The students' PDFs in a review: whose they are, where each item stands in them, and their pages as images."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.batch.roster import ROSTER, load_roster
from grader.batch.store import Manifest, Member
from grader.batch.submissions import Entry
from grader.errors import GraderError
from grader.grades.load import GradedClass
from grader.homework import Homework
from grader.pdfs import Document, Found, Pairing, find_items, pair, read, render
from grader.pdfs.process import require_pdfium
from grader.pdfs.rendering import render_pages
from grader.submission.reading import Submission, read_submission

WIDTH = 1100
"""Pixels of a page."""
_AHEAD_PAGES = 4
_MOST_WANTED = 64
"""Answers whose pages wait to be drawn; older ones are dropped, as their graders have moved on."""


@dataclass(frozen=True)
class Shown:
    """The PDF beside an answer: which of its pages, or why there is none."""

    pages: tuple[int, ...] = ()
    total: int = 0
    reason: str = ""
    problem: str = ""
    chosen: bool = False
    """Whether a person chose the pages."""


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
        self._known: dict[str, tuple[Document, Mapping[str, Found]] | str] = {}
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
            path = self.path(submission)
            if path is not None:
                # What cannot be drawn is said where it is shown.
                with contextlib.suppress(GraderError):
                    render_pages(path, pages, WIDTH, self._cache / "pages")

    def warm_up(self) -> None:
        """Read all PDFs in another thread, so that nobody waits for one."""
        threading.Thread(target=self._read_all, daemon=True).start()

    def _read_all(self) -> None:
        for key in self.pairing.pdfs:
            self._found(key)

    def path(self, submission: str) -> Path | None:
        """A submission's PDF; None if there is none."""
        files = self.pairing.pdfs.get(submission)
        return files[0] if files else None

    def shown(self, submission: str, item: str, chosen: tuple[int, ...] | None) -> Shown:
        """What to show of a submission's PDF beside an item; ``chosen`` are the pages that a person chose."""
        found = self._found(submission)
        if isinstance(found, str):
            return Shown(problem=found)
        document, by_item = found
        total = len(document.pages)
        if chosen is not None:
            return Shown(tuple(page for page in chosen if 1 <= page <= total), total, "", "", chosen=True)
        place = by_item.get(item)
        if place is None:
            return Shown(document.numbers, total, "this item was not looked up")
        return Shown(place.pages, total, place.reason)

    def image(self, submission: str, page: int) -> Path:
        """A page as a PNG file; raises `UnreadablePdf`."""
        path = self.path(submission)
        if path is None:
            raise GraderError("there is no PDF")
        return render(path, page, WIDTH, self._cache / "pages")

    def problems(self) -> list[tuple[str, str]]:
        """The submissions whose PDF cannot be read, as far as that is known, and why."""
        return [(key, found) for key, found in sorted(self._known.items()) if isinstance(found, str)]

    def _found(self, submission: str) -> tuple[Document, Mapping[str, Found]] | str:
        path = self.path(submission)
        if path is None:
            return "No PDF was handed in."
        with self._lock:
            known = self._known.get(submission)
        if known is None:
            try:
                document = read(path, self._cache / "text")
                known = document, find_items(document, self._items, self._template)
            except GraderError as error:
                known = str(error)
            with self._lock:
                self._known[submission] = known
        return known


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
