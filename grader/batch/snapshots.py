"""A class as it was graded at one time, to be compared with another time."""

from __future__ import annotations

from collections.abc import Mapping

from grader.batch.falls import Graded
from grader.batch.results import load_records, results_of
from grader.batch.store import Manifest, Record, Store
from grader.errors import GraderError
from grader.scoring.rubric import Rubric, load_rubric


def graded(store: Store, manifest: Manifest, rubric: Rubric, records: Mapping[str, Record]) -> Graded:
    """The class by these records."""
    return Graded(manifest, rubric, records, results_of(store, manifest, rubric, dict(records)))


def graded_before(store: Store, manifest: Manifest | None) -> Graded | None:
    """The class as the folder has it; None where nothing is graded yet, or its rubric or homework is gone."""
    if manifest is None:
        return None
    try:
        rubric = load_rubric(store.folder / "rubric.yaml")
        return graded(store, manifest, rubric, load_records(store, manifest))
    except GraderError:
        return None
