"""Causes of lost points in the review: groups, a preview, and one act for all submissions that undo takes back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from grader.batch import causes as batch_causes
from grader.batch.causes import causes_by_student, causes_of_class, for_summary, found_causes
from grader.batch.reports import feedback
from grader.batch.results import load_records, report
from grader.batch.rows import Row, rows_of
from grader.batch.store import Store
from grader.errors import UsageError
from grader.grade import Judged
from grader.gradebook.events import Decision, Kind
from grader.homework3 import HOMEWORK
from grader.insight.fingerprints import Calibration, Fingerprints, KnownFault
from grader.insight.symptoms import Symptom
from grader.review.web import Site
from grader.scoring.compose import Facts, Findings, compose_result
from grader.scoring.verdict import Verdict
from tests.review.made import RUBRIC, VERSIONS, Browser, Pupil, make_class, site_of

FIRST = RUBRIC.automatic[0]
LOST = FIRST.criteria[0]
CAUSE = "The mask is applied after the softmax."
MESSAGE = "the row alpha[0, 1] sums to 0.5 <script>alert(1)</script>"


def _table() -> Fingerprints:
    symptoms = {LOST.properties[0]: Symptom("failed", "the row alpha[#, #] sums to # <script>alert(#)</script>")}
    fault = KnownFault(f"{FIRST.id}/late", FIRST.id, (CAUSE,), "Weights are multiplied by the mask.", symptoms)
    return Fingerprints((fault,), (), {}, Calibration())


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Pupil]:
    """A class of five, of whom four fail one property by one message and the fifth nothing."""
    people = make_class(tmp_path / "hw3", 5)
    with Store(tmp_path / "hw3") as store:
        digests = {member.key: member.digest for member in store.manifest().members}
        for one in people[:4]:
            verdicts = {name: Verdict(name, "passed") for name in RUBRIC.properties}
            name = LOST.properties[0]
            verdicts[name] = Verdict(name, "failed", MESSAGE, "x = [1, 2]", "Rows sum to 1.")
            result = compose_result(RUBRIC, Facts(f"{one.key}.ipynb", VERSIONS), Findings(verdicts))
            store.keep(digests[one.key], "c", Judged(result, verdicts), again=True)
    monkeypatch.setattr(batch_causes, "load_fingerprints", lambda path: _table())
    return people


@pytest.fixture
def room(tmp_path: Path, failing: list[Pupil]) -> Any:
    site = site_of(tmp_path / "hw3")
    yield site
    site.room.close()


def rows(site: Site) -> dict[str, Row]:
    klass = site.room.klass
    made = rows_of(klass.graded.manifest, RUBRIC, klass.graded.results, site.room.book.state())
    return {row.member.key: row for row in made}


def criterion(site: Site, key: str) -> float:
    result = rows(site)[key].result
    assert result is not None
    return next(each.points for item in result.items for each in item.criteria if each.id == LOST.id)


def address(browser: Browser) -> str:
    found = re.search(r'action="(/causes/[0-9a-f]+)"', browser.get("/causes").text)
    assert found is not None
    return found[1]


def test_the_page_names_the_cause_with_its_cost_and_an_example(room: Site, failing: list[Pupil]) -> None:
    text = Browser(room).get("/causes").text
    assert f"{FIRST.id}: {CAUSE}" in text and "Weights are multiplied by the mask." in text
    assert "points lost by <strong>4</strong> submissions" in text and "x = [1, 2]" in text
    assert all(f"/submission/{one.key}" in text for one in failing[:4]) and failing[4].key not in text
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text


def test_a_preview_shows_who_changes_and_records_nothing(room: Site, failing: list[Pupil]) -> None:
    browser = Browser(room)
    text = browser.post(address(browser), {"points": "0.25", "reason": "The hint was wrong."}).text
    assert "4 submissions change" in text and "+0.25" in text and "+1" in text
    assert all(one.name in text for one in failing[:4])
    assert room.room.book.events() == []


def test_one_act_gives_points_back_to_all_and_one_undo_takes_it_back(room: Site, failing: list[Pupil]) -> None:
    browser, keys = Browser(room), [one.key for one in failing[:4]]
    form = {"points": "0.25", "reason": "The hint was wrong.", "apply": "1", "act": "b" * 32}
    for _ in range(2):  # a repeated request records nothing again
        assert browser.post(address(browser), form).status_code == 303
    events = room.room.book.events()
    assert {event.act for event in events} == {"b" * 32} and [event.submission for event in events] == keys
    assert [criterion(room, key) for key in keys] == [0.25] * 4
    told = rows(room)[keys[0]].overrides[0]
    assert (told.criterion, told.reason, told.who) == (LOST.id, "The hint was wrong.", "Tessa")
    browser.post("/undo", script=True)
    assert [criterion(room, key) for key in keys] == [0.0] * 4


def test_nobody_gets_more_than_the_cause_cost(room: Site, failing: list[Pupil]) -> None:
    browser = Browser(room)
    form = {"points": "100", "reason": "All of it.", "apply": "1"}
    browser.post(address(browser), form)
    assert {criterion(room, one.key) for one in failing} == {LOST.points}
    assert "All points were given back." in browser.get("/causes").text


def test_points_of_a_whole_item_that_a_person_set_stay(room: Site, failing: list[Pupil]) -> None:
    key = failing[0].key
    data = {"points": 1, "reason": "Looked at it.", "criterion": None, "content": ""}
    room.room.book.record("Ben", [Decision(Kind.override, key, FIRST.id, data)])
    browser = Browser(room)
    text = browser.post(address(browser), {"points": "0.25", "reason": "x"}).text
    assert "3 submissions change" in text and "Ben set the points of the whole item" in text
    browser.post(address(browser), {"points": "0.25", "reason": "x", "apply": "1"})
    assert next(item.points for item in rows(room)[key].result.items if item.id == FIRST.id) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "form",
    [{"points": "0", "reason": "x"}, {"points": "-1", "reason": "x"}, {"points": "much", "reason": "x"}, {"points": "1"}],
)
def test_a_decision_that_makes_no_sense_is_refused(room: Site, form: dict[str, str]) -> None:
    browser = Browser(room)
    assert browser.post(address(browser), {**form, "apply": "1"}).status_code == 400
    assert room.room.book.events() == []


def test_a_cause_that_is_gone_is_a_page_that_is_not_there(room: Site) -> None:
    assert Browser(room).post("/causes/0123456789ab", {"points": "1", "reason": "x"}).status_code == 404


def test_a_class_without_lost_points_has_no_causes(site: Site) -> None:
    assert "No points were lost" in Browser(site).get("/causes").text


# -- what a batch writes ---------------------------------------------------------------------------------------------------


def _reported(folder: Path, rubric: Any = RUBRIC) -> Any:
    with Store(folder) as store:
        manifest = store.manifest()
        site = site_of(folder)
        report(store, manifest, rubric, load_records(store, manifest), site.room.book.state())
        site.room.close()
    return folder


def test_a_batch_tells_graders_and_not_students(tmp_path: Path, failing: list[Pupil]) -> None:
    folder = _reported(tmp_path / "hw3")
    assert CAUSE.rstrip(".") in (folder / "summary.md").read_text(encoding="utf-8")
    for path in (folder / "feedback").iterdir():
        assert CAUSE.rstrip(".") not in path.read_text(encoding="utf-8")
    allowed = RUBRIC.model_copy(update={"causes_for": "students"})
    _reported(folder, allowed)
    for suffix in (".md", ".html"):
        pages = {one.key: (folder / "feedback" / f"{one.key}{suffix}").read_text("utf-8") for one in failing}
        assert [key for key, page in pages.items() if CAUSE.rstrip(".") in page] == [one.key for one in failing[:4]]


def test_a_damaged_table_stops_no_report(
    tmp_path: Path, failing: list[Pupil], monkeypatch: pytest.MonkeyPatch, room: Site
) -> None:
    def broken(path: Path) -> Fingerprints:
        raise UsageError("fingerprints.json: cannot be read")

    monkeypatch.setattr(batch_causes, "load_fingerprints", broken)
    found = found_causes(list(rows(room).values()), {}, RUBRIC, HOMEWORK)
    assert found.causes == () and "cannot be read" in for_summary(found)


def test_a_table_that_is_out_of_date_says_so(room: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Fingerprints((), (), {FIRST.id: "0" * 16}, Calibration())
    monkeypatch.setattr(batch_causes, "load_fingerprints", lambda path: old)
    assert f"likely causes of {FIRST.id} may be wrong" in Browser(room).get("/causes").text


def test_unknown_causes_are_not_told_to_students(room: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_causes, "load_fingerprints", lambda path: Fingerprints())
    made = rows(room)
    records = load_records(Store(room.room.folder, create=False), room.room.klass.graded.manifest)
    causes = causes_of_class(list(made.values()), records, RUBRIC, HOMEWORK)
    assert [(cause.is_known, len(cause.students)) for cause in causes] == [(False, 4)]
    assert causes_by_student(causes) == {}
    assert "What may have gone wrong" not in feedback(next(iter(made.values())), RUBRIC)
