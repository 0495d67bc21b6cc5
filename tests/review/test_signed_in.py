"""Sign-ins survive a restart of the server, and nothing else does: no token, no file that somebody else wrote."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from grader.cli import app
from grader.review.app import make_app
from grader.review.classroom import handle_of
from grader.review.security import Access
from grader.review.signed_in import FOLDER, HOURS, SignedIn, forget_all, ports
from grader.review.web import Site
from tests.review.made import BASE, Browser, Pupil, site_of

PORT = 8000


def restarted(folder: Path) -> Site:
    """The class served at the same port, as a new process would."""
    site = site_of(folder)
    site.access.signed_in = SignedIn(folder, PORT)
    return site


def test_an_open_page_saves_after_a_restart(tmp_path: Path, people: list[Pupil]) -> None:
    folder = tmp_path / "hw3"
    first = restarted(folder)
    token = first.access.new_token()
    browser = Browser(first, "Tessa")
    csrf, cookies = browser.csrf, dict(browser.client.cookies)
    first.room.close()

    second = restarted(folder)
    client = TestClient(make_app(second), base_url=BASE, follow_redirects=False, cookies=cookies)
    where = f"/item/1a/{handle_of('1a', people[0].key)}"
    headers = {"origin": BASE, "x-grader-review": "1"}
    saved = client.post(f"{where}/grade", data={"csrf": csrf, "entry": "both"}, headers=headers)
    assert saved.status_code == 200 and saved.json()["message"] == "saved: 1 of 1"
    assert [event.who for event in second.room.book.events()] == ["Tessa"]
    # A token that nobody used ends with its server, and one that was used opens nothing either.
    other = TestClient(make_app(second), base_url=BASE, follow_redirects=False)
    assert other.get(f"/?token={token}").status_code == 403
    assert other.get("/").status_code == 403
    second.room.close()


def test_what_is_kept_lets_nobody_in(tmp_path: Path) -> None:
    access = Access(signed_in=SignedIn(tmp_path, PORT))
    token = access.new_token()
    cookie = access.redeem(token)
    assert cookie is not None
    session = access.session(cookie)
    assert session is not None
    access.name(session, "Tessa")
    path = tmp_path / FOLDER / f"{PORT}.json"
    text = path.read_text(encoding="utf-8")
    assert "Tessa" in text
    for secret in (cookie, session.csrf, token):
        assert secret not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    # What stands in the file is no cookie.
    again = Access(signed_in=SignedIn(tmp_path, PORT))
    assert again.session(json.loads(text)[0]["cookie"]) is None
    assert again.session("") is None and again.session(cookie + "x") is None
    known = again.session(cookie)
    assert known is not None and (known.who, known.csrf) == ("Tessa", session.csrf)


def test_a_sign_in_without_use_ends(tmp_path: Path) -> None:
    now = 1e9
    SignedIn(tmp_path, PORT, lambda: now).remember("a", "Ann")
    then = SignedIn(tmp_path, PORT, lambda: now + HOURS * 3600 - 1)
    assert then.known("a") == "Ann"
    then.used("a")
    assert SignedIn(tmp_path, PORT, lambda: now + 2 * HOURS * 3600 - 2).known("a") == "Ann"
    assert SignedIn(tmp_path, PORT, lambda: now + 2 * HOURS * 3600).known("a") is None
    # A clock that was set back makes no sign-in last longer.
    assert SignedIn(tmp_path, PORT, lambda: now - 3600).known("a") is None


def test_each_port_has_its_own(tmp_path: Path) -> None:
    first, second = SignedIn(tmp_path, 8001), SignedIn(tmp_path, 8002)
    first.remember("a", "Ann")
    second.remember("b", "Ben")
    os.utime(tmp_path / FOLDER / "8001.json", (1, 1))
    assert SignedIn(tmp_path, 8001).known("a") == "Ann" and SignedIn(tmp_path, 8001).known("b") is None
    os.utime(tmp_path / FOLDER / "8001.json", (1, 1))
    assert ports(tmp_path) == [8002, 8001]
    forget_all(tmp_path)
    assert SignedIn(tmp_path, 8001).known("a") is None and SignedIn(tmp_path, 8002).known("b") is None


@pytest.mark.parametrize("where", ["file", "folder"])
def test_what_others_could_have_written_does_not_count(tmp_path: Path, where: str) -> None:
    SignedIn(tmp_path, PORT).remember("a", "Ann")
    folder = tmp_path / FOLDER
    place = folder / f"{PORT}.json" if where == "file" else folder
    place.chmod(place.stat().st_mode | 0o020)
    refused = SignedIn(tmp_path, PORT)
    assert refused.known("a") is None
    assert str(place) in refused.problem and "chmod" in refused.problem and "\n" not in refused.problem
    # Signing in still works, for as long as the server runs.
    refused.remember("b", "Ben")
    assert refused.known("b") == "Ben"
    place.chmod(place.stat().st_mode & ~0o022)
    assert SignedIn(tmp_path, PORT).known("a") == "Ann" and SignedIn(tmp_path, PORT).known("b") is None


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "class").mkdir()
    SignedIn(tmp_path / "elsewhere", PORT).remember("a", "Ann")
    (tmp_path / "class" / FOLDER).symlink_to(tmp_path / "elsewhere" / FOLDER)
    refused = SignedIn(tmp_path / "class", PORT)
    assert refused.known("a") is None and "link" in refused.problem
    forget_all(tmp_path / "class")
    assert (tmp_path / "elsewhere" / FOLDER / f"{PORT}.json").is_file()
    assert not SignedIn(tmp_path / "class", PORT).problem


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_does_not_count(tmp_path: Path) -> None:
    SignedIn(tmp_path, PORT).remember("a", "Ann")
    os.chown(tmp_path / FOLDER / f"{PORT}.json", 12345, 12345)
    refused = SignedIn(tmp_path, PORT)
    assert refused.known("a") is None and "belongs to somebody else" in refused.problem


@pytest.mark.parametrize("text", ["", "{", "[{}]", "[1]", '{"a": 1}', '[{"cookie": "x", "who": "A", "used": 1e300}]', "\xff"])
def test_a_damaged_file_signs_everybody_out(tmp_path: Path, text: str) -> None:
    SignedIn(tmp_path, PORT).remember("a", "Ann")
    (tmp_path / FOLDER / f"{PORT}.json").write_bytes(text.encode("latin-1"))
    found = SignedIn(tmp_path, PORT)
    assert found.known("a") is None and not found.problem
    found.remember("b", "Ben")
    assert SignedIn(tmp_path, PORT).known("b") == "Ben"


def test_sign_out_is_an_option(tmp_path: Path) -> None:
    # The class is read first, so a wrong folder loses nothing.
    SignedIn(tmp_path, PORT).remember("a", "Ann")
    CliRunner().invoke(app, ["review", str(tmp_path), "--sign-out", "--no-browser"])
    assert SignedIn(tmp_path, PORT).known("a") == "Ann"


def test_a_grade_that_was_given_meanwhile_is_not_replaced(tmp_path: Path, people: list[Pupil], site: Site) -> None:
    ann, ben = Browser(site, "Ann"), Browser(site, "Ben")
    key = people[0].key
    where = f"/item/1a/{handle_of('1a', key)}"
    assert 'name="graded" value=""' in ann.get(where).text
    # Ann's lock expires while her laptop sleeps.
    site.room.book.release("Ann", key, "1a")
    assert ben.grade(key, "1a", "both", graded="").status_code == 200
    site.room.book.release("Ben", key, "1a")
    refused = ann.grade(key, "1a", "wrong", graded="")
    assert refused.status_code == 400 and "Ben has graded this answer" in refused.json()["problem"]
    grade = site.room.book.state().grade(key, "1a")
    assert grade is not None and (grade.who, grade.entries) == ("Ben", ("both",))
    # Who has seen it may replace it.
    assert f'name="graded" value="{grade.act}"' in ann.get(where).text
    assert ann.grade(key, "1a", "wrong", graded=grade.act).status_code == 200
    assert ann.grade(key, "1a", "one", graded=grade.act).status_code == 200
