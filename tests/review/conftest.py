from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.review.web import Site
from tests.review.made import Pupil, make_class, site_of


@pytest.fixture
def people(tmp_path: Path) -> list[Pupil]:
    """The students of a class in `tmp_path`/hw3."""
    return make_class(tmp_path / "hw3", 4)


@pytest.fixture
def site(tmp_path: Path, people: list[Pupil]) -> Iterator[Site]:
    """That class, served."""
    made = site_of(tmp_path / "hw3")
    yield made
    made.room.close()
