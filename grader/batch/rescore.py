"""Another rubric, or other overrides, for verdicts that are stored: nothing is run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.batch.decisions import Decisions
from grader.batch.falls import record_falls
from grader.batch.results import load_records, report, results_of
from grader.batch.rows import Row, rows_of
from grader.batch.snapshots import graded, graded_before
from grader.batch.store import Manifest, Record, Store
from grader.errors import UsageError
from grader.scoring.rubric import Rubric, load_rubric


@dataclass(frozen=True)
class Change:
    """How a new rubric changes one submission: score before and after, and points by item where they differ."""

    key: str
    name: str
    before: float
    after: float
    items: tuple[tuple[str, float | None, float | None], ...]


@dataclass(frozen=True)
class Rescoring:
    """What a new rubric would change, until `write` is called."""

    store: Store
    manifest: Manifest
    rubric: Rubric
    text: bytes
    records: Mapping[str, Record]
    changes: tuple[Change, ...]
    total_before: float
    total_after: float

    def write(self) -> tuple[str, ...]:
        """Write results, feedback, grades and summary anew; gives a line for each override that was imported.

        Raises `GraderError`.
        """
        decisions = Decisions(self.store.folder, self.manifest, self.rubric)
        imported = decisions.import_file()
        earlier = graded_before(self.store, self.manifest)
        manifest, settings = self.manifest, self.manifest.settings
        if settings is not None:
            # The next batch in this folder goes on with this rubric.
            settings = settings.model_copy(update={"rubric": self.rubric.digest[:16]})
            manifest = manifest.model_copy(update={"settings": settings})
            self.store.write_manifest(manifest)
        self.store.put("rubric.yaml", self.text.decode("utf-8", "replace"))
        record_falls(self.store, earlier, graded(self.store, manifest, self.rubric, self.records))
        report(self.store, manifest, self.rubric, dict(self.records), decisions.state())
        return imported


def prepare(store: Store, path: Path) -> Rescoring:
    """Compare stored verdicts under the batch's rubric and another; writes nothing.

    Raises `UsageError` when the new rubric asks for properties that were never judged.
    """
    manifest = store.manifest()
    old = load_rubric(store.folder / "rubric.yaml")
    new = load_rubric(path)
    records = load_records(store, manifest)
    known = set(old.properties)
    absent = [name for name in new.properties if name not in known]
    if absent:
        raise UsageError(
            f"{path.name}: {absent[0]} was not judged in this batch; run `grader batch` with this rubric instead"
        )
    changes = _changes(_rows(store, manifest, old, records), _rows(store, manifest, new, records), old, new)
    return Rescoring(store, manifest, new, path.read_bytes(), records, changes, old.total, new.total)


def rewrite(store: Store, against: Sequence[Path] = ()) -> None:
    """Write what is made of the store, the gradebook and the rubric anew; raises `GraderError`.

    Code is compared with that in the folders ``against``, too.
    """
    manifest = store.manifest()
    rubric = load_rubric(store.folder / "rubric.yaml")
    decisions = Decisions(store.folder, manifest, rubric)
    report(store, manifest, rubric, load_records(store, manifest), decisions.state(), against)


def _rows(store: Store, manifest: Manifest, rubric: Rubric, records: dict[str, Record]) -> list[Row]:
    state = Decisions(store.folder, manifest, rubric).state()
    return rows_of(manifest, rubric, results_of(store, manifest, rubric, records), state)


def _changes(
    before: Sequence[Row], after: Sequence[Row], old: Rubric, new: Rubric
) -> tuple[Change, ...]:
    ids = list(dict.fromkeys([*(item.id for item in old.items), *(item.id for item in new.items)]))
    changes = []
    for one, other in zip(before, after, strict=True):
        pairs = [(item, one.points(item), other.points(item)) for item in ids]
        differing = tuple((item, was, now) for item, was, now in pairs if was != now)
        if differing:
            changes.append(
                Change(
                    one.member.key,
                    one.member.name,
                    one.totals(old)[0],
                    other.totals(new)[0],
                    differing,
                )
            )
    return tuple(changes)
