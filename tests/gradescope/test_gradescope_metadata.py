"""Dates from the platform: lateness by the time of handing in, and no trust in the file's shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.gradescope.metadata import Late, Metadata, _understood, lateness, read_metadata
from grader.scoring.rubric import Lateness

GIVEN: dict[str, Any] = {
    "id": 123456,
    "created_at": "2018-07-01T14:22:32.365935-07:00",
    "assignment": {
        "due_date": "2018-07-01T14:00:00.000000-07:00",
        "late_due_date": None,
        "total_points": "20.0",
    },
    "users": [{"email": "student@example.com", "id": 1234, "name": "Student User"}],
    "previous_submissions": [
        {"submission_time": "2017-04-06T14:24:48.087023-07:00", "score": 0.0, "results": {}}
    ],
}


def read(tmp_path: Path, given: Any) -> Metadata:
    path = tmp_path / "submission_metadata.json"
    path.write_bytes(given if isinstance(given, bytes) else json.dumps(given).encode())
    return read_metadata(path)


def late(tmp_path: Path, rule: Lateness | None = None, **changes: Any) -> Late:
    return lateness(read(tmp_path, {**GIVEN, **changes}), rule or Lateness())


def test_lateness_is_told_and_costs_nothing(tmp_path: Path) -> None:
    found = late(tmp_path)
    assert (found.note, found.percent) == ("handed in 23 min after the due date", 0)
    assert read(tmp_path, GIVEN).earlier == 1


def test_in_time_is_not_told(tmp_path: Path) -> None:
    assert late(tmp_path, created_at="2018-07-01T14:00:00-07:00") == Late()
    assert late(tmp_path, created_at="2018-07-01T21:00:00Z") == Late(), "the same moment in another zone"


@pytest.mark.parametrize(
    ("created", "percent"),
    [
        ("2018-07-01T14:15:00-07:00", 0),
        ("2018-07-01T14:15:01-07:00", 10),
        ("2018-07-02T14:15:00-07:00", 10),
        ("2018-07-02T14:15:01-07:00", 20),
        ("2018-07-30T14:15:01-07:00", 50),
    ],
)
def test_each_day_begun_costs_up_to_a_limit_after_the_grace(
    tmp_path: Path, created: str, percent: float
) -> None:
    rule = Lateness(percent_per_day=10.0, grace_minutes=15.0, max_percent=50.0)
    assert late(tmp_path, rule, created_at=created).percent == percent


def test_an_extension_counts_and_a_groups_is_its_longest(tmp_path: Path) -> None:
    users = [
        {"id": 1, "assignment": {"due_date": "2018-07-01T14:20:00-07:00"}},
        {"id": 2, "assignment": {"due_date": "2018-07-03T14:00:00-07:00"}},
        {"id": 3},
    ]
    assert late(tmp_path, users=users) == Late()
    assert "your own due date" in late(tmp_path, users=users[:1]).note


def test_after_the_last_date_for_late_work_is_told(tmp_path: Path) -> None:
    dates = {"due_date": "2018-07-01T14:00:00-07:00", "late_due_date": "2018-07-01T14:10:00-07:00"}
    assert "after the last date" in late(tmp_path, assignment=dates).note


def test_no_file(tmp_path: Path) -> None:
    assert read_metadata(tmp_path / "none.json").warning


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        b"[]",
        b"3",
        b'{"created_at": 1e999}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_malformed_files_cost_nothing(tmp_path: Path, data: bytes) -> None:
    found = read(tmp_path, data)
    assert found.warning and lateness(found, Lateness(percent_per_day=100.0)) == Late()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just("9999-12-31T23:59:59-23:59"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "created_at", "assignment", "users", "due_date", "late_due_date"]),
            inner,
            max_size=4,
        )
    ),
)


@given(ANYTHING)
def test_any_shape_is_understood(given_: Any) -> None:
    assert lateness(_understood(given_), Lateness(percent_per_day=10.0)).percent >= 0
