"""Grading a class: what is saved, who gets which answer, groups, entries, regrades, and what undo takes back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from grader.gradebook.events import Kind
from grader.review.classroom import handle_of
from grader.review.desk import last_act, second_queue
from grader.review.grading import page_numbers
from grader.review.web import Site
from grader.scoring.result import Evidence, Flag
from tests.review.made import Browser, Pupil, evidence_of, make_class, picture, site_of


def state(site: Site) -> Any:
    return site.room.book.state()


def test_a_saved_grade_is_in_the_gradebook_with_what_was_seen(site: Site, people: list[Pupil]) -> None:
    key = people[0].key
    reply = Browser(site).grade(key, "1a", "slip", adjustment="-0,25", comment="h_1 is left in.")
    assert reply.json()["message"] == "saved: 0.25 of 1" and reply.json()["graded"] == 1
    grade = state(site).grade(key, "1a")
    assert (grade.points, grade.entries, grade.comment, grade.who) == (0.25, ("slip",), "h_1 is left in.", "Tessa")
    assert grade.content == site.room.klass.answers["1a"][key].content != ""


def test_a_repeated_request_is_recorded_once(site: Site, people: list[Pupil]) -> None:
    browser, act = Browser(site), "a" * 32
    for _ in range(2):
        assert browser.grade(people[0].key, "1a", "both", act=act).status_code == 200
    assert len(site.room.book.events()) == 1
    assert browser.grade(people[0].key, "1a", "both", act="x").status_code == 400


def test_taking_all_entries_off_withdraws_the_grade(site: Site, people: list[Pupil]) -> None:
    browser, key = Browser(site), people[0].key
    assert browser.grade(key).json()["message"] == "saved: no grade"
    assert site.room.book.events() == []
    browser.grade(key, "1a", "both")
    browser.grade(key)
    assert state(site).grade(key, "1a") is None


@pytest.mark.parametrize(
    ("entries", "data"),
    [(["nothing-such"], {}), (["both", "slip"], {}), (["both"], {"adjustment": "much"}), (["both"], {"adjustment": "nan"})],
)
def test_a_grade_that_makes_no_sense_is_refused_with_a_reason(
    site: Site, people: list[Pupil], entries: list[str], data: dict[str, str]
) -> None:
    reply = Browser(site).grade(people[0].key, "1a", *entries, **data)
    assert reply.status_code == 400 and reply.json()["problem"]
    assert site.room.book.events() == []


def test_undo_takes_back_the_own_last_act(site: Site, people: list[Pupil]) -> None:
    tessa, ben = Browser(site), Browser(site, "Ben")
    tessa.grade(people[0].key, "1a", "both")
    tessa.grade(people[0].key, "1a", "slip")
    ben.grade(people[1].key, "1a", "both")
    assert tessa.post("/undo", script=True).json()["message"].startswith("undone: graded: 0.5 (slip)")
    assert state(site).grade(people[0].key, "1a").points == 1
    tessa.post("/undo", script=True)
    assert state(site).grade(people[0].key, "1a") is None
    assert tessa.post("/undo", script=True).json()["message"] == "nothing to undo"
    assert last_act(state(site), "Ben")[0].submission == people[1].key


def test_no_answer_goes_to_two_graders(site: Site) -> None:
    opened = [Browser(site, who).get("/item/1a").headers["location"] for who in ("Tessa", "Ben", "Cleo", "Dan")]
    assert len(set(opened)) == 4
    assert "Other graders have the remaining answers open" in Browser(site, "Eve").get("/item/1a").text


def test_an_answer_that_someone_has_open_can_be_read_but_not_graded(site: Site, people: list[Pupil]) -> None:
    path = f"/item/1a/{handle_of('1a', people[0].key)}"
    assert "has this answer open" not in Browser(site).get(path).text
    ben = Browser(site, "Ben")
    shown = ben.get(path).text
    assert "<strong>Tessa</strong> has this answer open" in shown and "<fieldset disabled" in shown
    reply = ben.grade(people[0].key, "1a", "both")
    assert reply.status_code == 400 and "Tessa has this answer open" in reply.json()["problem"]
    site.room.book.release("Tessa", people[0].key, "1a")
    assert ben.grade(people[0].key, "1a", "both").status_code == 200


def test_next_goes_through_all_answers_and_skipped_ones_come_last(site: Site) -> None:
    browser = Browser(site)
    order = [handle_of("1a", key) for key in site.room.klass.order("1a")]
    place = browser.get("/item/1a").headers["location"]
    assert place == f"/item/1a/{order[0]}"
    place = browser.get(f"/item/1a?after={order[0]}&skip=1").headers["location"]
    seen = []
    keys = {handle_of("1a", key): key for key in site.room.klass.order("1a")}
    for _ in range(4):
        handle = place.rpartition("/")[2]
        seen.append(handle)
        browser.grade(keys[handle], "1a", "both")
        reply = browser.get(f"/item/1a?after={handle}")
        place = reply.headers.get("location", "")
    assert seen == [*order[1:], order[0]]
    assert "Nothing is left to grade in 1a" in reply.text


def test_names_are_hidden_until_somebody_asks_which_is_logged(site: Site, people: list[Pupil]) -> None:
    browser, one = Browser(site), people[0]
    path = f"/item/1a/{handle_of('1a', one.key)}"
    hidden = browser.get(path).text + browser.get("/answers/1a").text + browser.get("/groups/1d").text
    for known in (one.name, one.key, one.sid):
        assert known not in hidden
    assert browser.post(f"{path}/reveal").status_code == 303
    assert one.name in browser.get(path).text and one.name not in Browser(site, "Ben").get(path).text
    assert [event.kind for event in site.room.book.events(one.key, "1a")] == [Kind.reveal]
    orders = {item: [answer.submission for answer in site.room.klass.answers[item].values()] for item in ("1a", "1b", "1d")}
    assert len(set(map(tuple, orders.values()))) > 1


def test_one_decision_grades_a_group_and_one_undo_takes_it_back(tmp_path: Path) -> None:
    people = make_class(tmp_path / "hw3", 7)
    site = site_of(tmp_path / "hw3")
    browser = Browser(site)
    page = browser.get("/groups/1d").text
    assert "3 answers. Identical" in page
    handles = re.findall(r'name="member" value="(\w+)"', page.partition("3 answers")[2])[:3]
    ben = Browser(site, "Ben")
    ben.get(f"/item/1d/{handles[0]}")
    reply = browser.post("/groups/1d", {"member": handles, "entry": ["no-condition"]}, script=True)
    assert reply.json()["message"] == "saved: 2 answers; 1 left out, as others have them open"
    keys = [one.key for one in people if handle_of("1d", one.key) in handles[1:]]
    assert {event.act for event in site.room.book.events()} == {reply.json()["act"]}
    assert [state(site).grade(key, "1d").points for key in keys] == [0.5, 0.5]
    browser.post("/undo")
    assert [state(site).grade(key, "1d") for key in keys] == [None, None]
    assert browser.post("/groups/1d", {"entry": ["no-condition"]}, script=True).status_code == 400


def test_a_changed_entry_is_previewed_and_changes_everybody_who_has_it(site: Site, people: list[Pupil]) -> None:
    browser = Browser(site)
    for one in people[:2]:
        browser.grade(one.key, "1a", "slip")
    change = {"id": "slip", "points": "0.75", "text": "One slip.", "exclusive": "1"}
    preview = browser.post("/entries/1a", change).text
    assert "2 answers change, by +0.5 points together" in preview
    assert state(site).grade(people[0].key, "1a").points == 0.5
    assert browser.post("/entries/1a", {**change, "apply": "1"}).status_code == 303
    assert [state(site).grade(one.key, "1a").points for one in people[:2]] == [0.75, 0.75]
    browser.post("/entries/1a", {"points": "0.25", "text": "A new finding.", "apply": "1"})
    assert state(site).entries("1a")[-1].id == "a-new-finding"
    removed = browser.post("/entries/1a", {**change, "remove": "1"}).text
    assert "2 answers change, by -1.5 points together" in removed
    browser.post("/undo")
    assert "a-new-finding" not in [entry.id for entry in state(site).entries("1a")]


def test_a_regrade_request_reopens_an_answer_until_it_is_decided(site: Site, people: list[Pupil]) -> None:
    browser, key = Browser(site), people[0].key
    path = f"/item/1a/{handle_of('1a', key)}"
    for one in people:
        browser.grade(one.key, "1a", "slip")
    browser.post(f"{path}/request", {"text": "h_1 is <b>mine</b>"})
    assert browser.get("/item/1a").headers["location"] == path
    shown = browser.get(path).text
    assert "A regrade was requested" in shown and "h_1 is &lt;b&gt;mine&lt;/b&gt;" in shown
    browser.grade(key, "1a", "both")
    assert browser.post(f"{path}/answer", {"outcome": "changed", "text": "You are right."}).status_code == 303
    request = state(site).request(key, "1a")
    assert request.answer.outcome == "changed" and not request.is_open
    shown = browser.get(path).text
    assert "regrade request changed: You are right." in shown and "graded: 0.5 (slip)" in shown
    assert browser.post(f"{path}/answer", {"outcome": "upheld"}, script=True).status_code == 400


def test_penalties_lateness_notes_flags_and_set_points(tmp_path: Path) -> None:
    flag = Flag(kind="altered", message="FFN differs from the template's", cell=3)
    one = make_class(tmp_path / "hw3", 1, flags=[flag])[0]
    site = site_of(tmp_path / "hw3")
    browser, path = Browser(site), f"/submission/{one.key}"
    page = browser.get(path).text
    assert one.name in page and "FFN differs" in page
    name = re.search(r'name="flag" value="([^"]+)"', page)
    assert name is not None
    sent = [
        ("penalty", {"id": "page-assignment", "on": "1", "reason": "No pages assigned."}),
        ("lateness", {"percent": "10", "reason": "One day."}),
        ("note", {"text": "See me."}),
        ("flag", {"flag": name[1], "reason": "Only a comment."}),
        ("override", {"item": "2a", "points": "3.5", "reason": "The mask was right."}),
    ]
    for what, data in sent:
        if "reason" in data:
            assert browser.post(f"{path}/{what}", {**data, "reason": " "}).status_code == 400
        assert browser.post(f"{path}/{what}", data).headers["location"] == path
    now = state(site)
    assert [each.id for each in now.penalties(one.key)] == ["page-assignment"]
    assert now.lateness(one.key).percent == 10 and now.notes(one.key)[0].text == "See me."
    assert now.flags(one.key)[0].resolved and now.overrides(one.key)[0].points == 3.5
    assert "No open flags" in browser.get("/").text
    assert browser.post(f"{path}/override", {"item": "2a", "points": "99", "reason": "x"}).status_code == 400
    assert browser.post(f"{path}/penalty", {"id": "other", "on": "1", "reason": "x"}).status_code == 400
    assert browser.get("/submission/nobody").status_code == 404
    reveals = [event for event in site.room.book.events(one.key) if event.kind is Kind.reveal]
    assert len(reveals) == 1


def test_a_second_grading_is_blind_and_a_difference_is_settled(site: Site, people: list[Pupil]) -> None:
    tessa, ben = Browser(site), Browser(site, "Ben")
    for one in people:
        tessa.grade(one.key, "1d", "no-condition", comment="first thoughts")
    ben.grade(people[0].key, "1e", "none")
    queue = second_queue(site.room.klass, state(site), "Ben")
    assert [answer.item for answer in queue] == ["1d"]
    answer = queue[0]
    assert ben.get("/second").headers["location"] == "/agreement"  # Tessa has it open
    site.room.book.release("Tessa", answer.submission, "1d")
    path = ben.get("/second").headers["location"]
    assert path == f"/second/item/1d/{answer.handle}"
    shown = ben.get(path).text
    assert "first thoughts" not in shown and "checked" not in shown and "Tessa" not in shown
    assert ben.post(f"{path}/grade", {"entry": "wrong"}, script=True).json()["message"] == "saved: 0 of 1"
    assert state(site).grade(answer.submission, "1d").points == 0.5
    assert second_queue(site.room.klass, state(site), "Ben") == []
    page = tessa.get("/agreement").text
    assert "Ben: 0, Tessa: 0.5" in page
    site.room.book.release("Ben", answer.submission, "1d")
    shown = tessa.get(f"/item/1d/{answer.handle}?settle=1").text
    assert "Tessa gave 0.5, Ben gave 0" in shown
    tessa.post(f"/item/1d/{answer.handle}/grade", {"entry": "wrong", "settle": "1"}, script=True)
    assert state(site).grade(answer.submission, "1d").points == 0 and state(site).settled("1d") == (answer.submission,)
    assert "Ben: 0, Tessa: 0.5" in tessa.get("/agreement").text


def test_an_answer_that_changed_after_it_was_graded_comes_again(tmp_path: Path) -> None:
    people = make_class(tmp_path / "hw3", 2)
    site = site_of(tmp_path / "hw3")
    browser = Browser(site)
    for one in people:
        browser.grade(one.key, "1d", "no-condition")
    before = site.room.klass.answers["1d"][people[0].key].content
    changed = evidence_of(0)
    changed["1d"] = [Evidence(kind="written_answer", title="text in the notebook", text="Now it explodes.")]
    make_class(tmp_path / "hw3", 2, evidence={people[0].key: changed})
    place = browser.get("/item/1d").headers["location"]
    assert place == f"/item/1d/{handle_of('1d', people[0].key)}"
    assert "The answer changed after it was graded" in browser.get(place).text
    stale = browser.grade(people[0].key, "1d", "wrong", content=before)
    assert stale.status_code == 400 and "has changed" in stale.json()["problem"]
    browser.grade(people[0].key, "1d", "wrong")
    assert "Nothing is left" in browser.get("/item/1d").text


def test_formulas_are_checked_as_advice(site: Site, people: list[Pupil]) -> None:
    browser = Browser(site)
    path = f"/item/1a/{handle_of('1a', people[0].key)}/formula"
    own = browser.post(path, script=True).json()["findings"]
    assert [one["verdict"] for one in own] == ["equal", "equal"]
    typed = browser.post(path, {"formula": "h_2 = W_x W_h x_1 + W_x x_2"}, script=True).json()["findings"]
    assert typed[0]["verdict"] == "differs"
    assert browser.post(path, {"formula": "<b>"}).text.count("<b>") == 0
    assert browser.post(f"/item/1d/{handle_of('1d', people[0].key)}/formula", script=True).status_code == 400
    assert site.room.book.events() == []


def test_page_numbers() -> None:
    assert page_numbers("2, 4-6 2") == (2, 4, 5, 6)
    for text in ("", "0", "two", "-1"):
        with pytest.raises(Exception, match="pages"):
            page_numbers(text)


def test_final_grades_and_search(site: Site, people: list[Pupil]) -> None:
    browser = Browser(site)
    for item in site.room.klass.items.values():
        assert browser.grade(people[0].key, item.id, adjustment=str(item.points)).status_code == 200
    page = browser.get("/grades").text
    assert "1 of 4 students graded fully" in page
    found = browser.get(f"/search?q={people[0].name.split()[0]}").text
    assert f'href="/submission/{people[0].key}"' in found
    assert "It vanishes." in browser.get("/search?q=it vanishes").text


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><style>*{}</style>{{7*7}}$\\text{<b>}$"


def test_hostile_content_in_every_field_is_only_text(tmp_path: Path) -> None:
    pieces = [
        Evidence(kind="written_answer", title=HOSTILE, text=HOSTILE),
        Evidence(kind="generated_text", title=HOSTILE, cell=1, text=HOSTILE),
        Evidence(kind="image", title=HOSTILE, cell=1, mime="image/png", data=picture()),
    ]
    evidence = dict.fromkeys(evidence_of(0), pieces)
    people = make_class(tmp_path / "hw3", 2)
    keys = {one.key: evidence for one in people}
    flag = Flag(kind=HOSTILE, message=HOSTILE)
    make_class(tmp_path / "hw3", 2, evidence=keys, names=[HOSTILE] * 2, flags=[flag], warnings=[HOSTILE])
    site = site_of(tmp_path / "hw3")
    browser, key = Browser(site, HOSTILE[:70]), people[0].key
    path = f"/item/1d/{handle_of('1d', key)}"
    browser.grade(key, "1d", "no-condition", comment=HOSTILE)
    browser.post(f"{path}/request", {"text": HOSTILE})
    browser.post(f"{path}/reveal")
    browser.post(f"/submission/{key}/note", {"text": HOSTILE})
    browser.post("/entries/1d", {"points": "0", "text": HOSTILE, "apply": "1"})
    pages = ["/", path, "/groups/1d", "/entries/1d", "/answers/1d", "/agreement", "/grades", f"/submission/{key}"]
    pages += ["/search?q=alert", "/search?q=<script>alert(1)</script>", "/item/<script>", "/second"]
    for page in pages:
        text = browser.get(page).text
        assert "<script>" not in text and "<img src=x" not in text and "<style>" not in text and "<b>" not in text, page
        assert "onerror=alert(2)>" not in text and "{49}" not in text, page
    assert browser.get(path).text.count("&lt;script&gt;") >= 3
