"""Who is let in, and what a page may do."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from grader.review.app import make_app
from grader.review.classroom import handle_of
from grader.review.security import POLICY, Access
from grader.review.web import Site
from tests.review.made import BASE, Browser, Pupil


def test_a_token_opens_one_session_and_then_nothing() -> None:
    access = Access()
    token = access.new_token()
    cookie = access.redeem(token)
    assert cookie is not None and access.session(cookie) is not None
    assert access.redeem(token) is None and access.redeem("") is None and access.redeem("é") is None
    assert access.session("") is None


def test_the_link_works_once_and_sets_a_strict_cookie(site: Site) -> None:
    address = f"/?token={site.access.new_token()}"
    client = TestClient(make_app(site), base_url=BASE, follow_redirects=False)
    first = client.get(address)
    cookie = first.headers["set-cookie"]
    assert first.status_code == 200
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    assert "token" not in cookie
    other = TestClient(make_app(site), base_url=BASE, follow_redirects=False)
    assert other.get(address).status_code == 403
    assert other.get("/").status_code == 403
    assert client.get("/name").status_code == 200


@pytest.mark.parametrize("path", ["/", "/grades", "/static/review.js", "/item/1a", "/nothing"])
def test_without_a_session_nothing_is_shown(site: Site, path: str) -> None:
    reply = TestClient(make_app(site), base_url=BASE).get(path)
    assert reply.status_code == 403 and "terminal" in reply.text


def test_every_reply_has_the_policy(site: Site) -> None:
    browser = Browser(site)
    for path in ("/", "/static/review.css", "/nothing", "/item/9z", "/grades"):
        headers = browser.get(path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"
    assert "unsafe" not in POLICY and "default-src 'none'" in POLICY and "data:" not in POLICY
    assert TestClient(make_app(site), base_url=BASE).get("/").headers["content-security-policy"] == POLICY


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8000", "127.0.0.2:8000", "localhost.:8000", "", "localhost:8000@evil"]
)
def test_another_host_is_refused(site: Site, host: str) -> None:
    assert Browser(site).get("/", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9", "https://127.0.0.1:8000", ""])
def test_a_form_of_another_origin_is_refused(site: Site, people: list[Pupil], origin: str) -> None:
    browser = Browser(site)
    reply = browser.post(f"/item/1a/{handle_of('1a', people[0].key)}/grade", {"entry": "both"}, origin=origin)
    assert reply.status_code == 403
    assert site.room.book.events() == []


@pytest.mark.parametrize("csrf", ["", "wrong", "é"])
def test_a_form_without_what_the_page_gave_is_refused(site: Site, people: list[Pupil], csrf: str) -> None:
    browser = Browser(site)
    path = f"/item/1a/{handle_of('1a', people[0].key)}/grade"
    assert browser.post(path, {"entry": "both", "csrf": csrf}).status_code == 403
    other = Browser(site, "Ben")
    assert browser.post(path, {"entry": "both", "csrf": other.csrf}).status_code == 403
    assert site.room.book.events() == []


def test_other_sites_and_methods_are_refused(site: Site) -> None:
    browser = Browser(site)
    assert browser.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert browser.get("/", headers={"sec-fetch-site": "none"}).status_code == 200
    assert browser.client.put("/name").status_code == 405
    large = browser.client.post("/name", content=b"x" * (2 << 20), headers={"origin": BASE})
    assert large.status_code == 413


def test_an_action_never_leads_elsewhere(site: Site) -> None:
    browser = Browser(site)
    for back in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        assert browser.post("/undo", {"back": back}).headers["location"] == "/"


def test_who_grades_is_asked_first(site: Site) -> None:
    browser = Browser(site, who="")
    assert browser.get("/item/1a").headers["location"] == "/name"
    assert browser.post("/name", {"who": "  "}).status_code == 400
    assert browser.post("/name", {"who": "Tessa"}).headers["location"] == "/"
    assert "Tessa" in browser.get("/").text
