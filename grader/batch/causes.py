"""The likely causes of the points that a class lost, from the verdicts that the store keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grader.batch.rows import Row
from grader.batch.store import Record
from grader.homework import Homework
from grader.insight.causes import Cause


def causes_of_class(rows: Sequence[Row], records: Mapping[str, Record], homework: Homework) -> list[Cause]:
    """The causes, most points first.

    Args:
        rows: the class with its decisions.
        records: what was judged, by content.
        homework: its fingerprints name the causes.
    """
    raise NotImplementedError
