"""What people decided about a class in a folder: its gradebook, and `overrides.yaml` where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grader.batch.store import Manifest
from grader.gradebook.book import NAME, Gradebook
from grader.gradebook.content import content_of
from grader.gradebook.entries import entries_of, worth_of
from grader.gradebook.overrides import NAME as OVERRIDES
from grader.gradebook.overrides import (
    WrittenOverride,
    changes_of,
    import_overrides,
    load_overrides,
    previewed,
)
from grader.gradebook.state import Log, State
from grader.scoring.rubric import Rubric


class Decisions:
    """The decisions about a class; raises `GraderError` where the gradebook or the file is faulty."""

    def __init__(self, folder: Path, manifest: Manifest, rubric: Rubric, before: Manifest | None = None) -> None:
        self.folder, self.rubric = folder, rubric
        # An override of an earlier version's folder was made for what was handed in by then.
        self._digests = {member.key: member.digest for member in manifest.members}
        self._digests |= {m.key: m.digest for m in (before.members if before else ()) if m.key in self._digests}
        self._written = load_overrides(folder, manifest.members, rubric, manifest.keys.values())

    @property
    def _exists(self) -> bool:
        return (self.folder / NAME).exists()

    def _content(self, key: str) -> str | None:
        return content_of(None, self._digests[key]) if key in self._digests else None

    def import_file(self) -> tuple[str, ...]:
        """Record what `overrides.yaml` says that the gradebook does not know yet; gives a line for each override."""
        if not self._written and not self._exists:
            return ()
        with Gradebook.of_class(self.folder, self.rubric) as book:
            return () if self._written is None else import_overrides(book, self._written, self._content)

    def state(self, rubric: Rubric | None = None) -> State:
        """What holds, together with what `overrides.yaml` says; writes nothing."""
        rubric = rubric or self.rubric
        written: Sequence[WrittenOverride] = self._written or ()
        if not self._exists:
            state, base = empty_state(rubric), None
        else:
            with Gradebook.of_class(self.folder, rubric) as book:
                state, base = book.state(), book.imported(OVERRIDES)
        return state if self._written is None else previewed(state, changes_of(state, written, base, self._content))


def empty_state(rubric: Rubric) -> State:
    """The state of a class about which nobody decided anything."""
    return State(Log(), entries_of(rubric), worth_of(rubric))


__all__ = ["Decisions", "empty_state"]
