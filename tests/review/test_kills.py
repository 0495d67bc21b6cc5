"""Four graders in four browser contexts while the server is killed again and again: no decision lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from grader.gradebook.book import NAME, Gradebook
from grader.gradebook.events import Kind
from grader.review.classroom import handle_of
from tests.review.made import RUBRIC, Browser, make_class, site_of
from tests.review.running import Client, Running
from tests.review.served import CHROMIUM, FLAGS

async_api = pytest.importorskip("playwright.async_api")
GRADERS = ("Ann", "Ben", "Cleo", "Dan")
ITEMS = [item.id for item in RUBRIC.by_hand]
_PATIENCE = 300
_STATUS = "document.getElementById('status')?.textContent || ''"
_SAVED = f"({_STATUS}).startsWith('saved') || ({_STATUS}).startsWith('not saved: ') && !({_STATUS}).includes('trying again')"
_CHECKED = "[...document.querySelectorAll('#grade input[name=entry]:checked')].map((box) => box.value)"
_PLACE = "document.getElementById('answer')?.dataset.place || ''"


@dataclass
class Evening:
    """What four graders saw, and what their pages told them was saved."""

    folder: Path
    server: Running
    shown: dict[str, list[str]] = field(default_factory=lambda: {who: [] for who in GRADERS})
    saved: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    """Who, and the entries, by place."""
    problems: list[str] = field(default_factory=list)
    is_over: bool = False


async def sign_in(browser: Any, evening: Evening, number: int) -> Any:
    """A page of a new context whose grader gave a name."""
    page = await (await browser.new_context()).new_page()
    page.set_default_timeout(_PATIENCE * 1000)
    await page.goto(evening.server.addresses[number])
    await page.wait_for_url("**/name")
    await page.fill("#who", GRADERS[number])
    await page.press("#who", "Enter")
    await page.wait_for_url(f"{evening.server.base}/")
    return page


async def grade(page: Any, evening: Evening, who: str, seed: int) -> None:
    """Grade item after item by keyboard, as a person who notices nothing of restarts."""
    dice = random.Random(seed)
    for item in ITEMS:
        place = await opened(page, f"{evening.server.base}/item/{item}")
        while place and not evening.is_over:
            evening.shown[who].append(place)
            await page.keyboard.press(str(dice.randint(1, 3)))
            # A page of an item that waits has nothing saved yet.
            await until(page, _SAVED)
            status, entries = await page.evaluate(_STATUS), await page.evaluate(_CHECKED)
            if status.startswith("saved"):
                evening.saved[place] = (who, tuple(entries))
            else:
                evening.problems.append(f"{who} at {place}: {status}")
            await page.keyboard.press("n")
            await until(page, f"({_PLACE}) !== '{place}'")
            place = await page.evaluate(_PLACE)
        if evening.is_over:
            return


async def until(page: Any, condition: str) -> None:
    """Wait until something holds on a page. Playwright's own waiting evaluates text in the page, which our policy refuses."""
    deadline = time.monotonic() + _PATIENCE
    while not await page.evaluate(condition):
        assert time.monotonic() < deadline, (page.url, condition)
        await asyncio.sleep(0.02)


async def opened(page: Any, address: str) -> str:
    """The place that a page shows at an address, which is opened until there is a server; empty where nothing is left."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        with contextlib.suppress(async_api.Error):
            await page.goto(address)
            if await page.locator("main").count():
                found: str = await page.evaluate(_PLACE)
                return found
        assert time.monotonic() < deadline, address
        await asyncio.sleep(0.2)


async def kill(evening: Evening, kills: int, seed: int) -> None:
    """Kill the server so many times, at random moments while somebody grades, and start it again at the same port."""
    dice = random.Random(seed)
    for _ in range(kills):
        before = len(evening.saved)
        deadline = time.monotonic() + _PATIENCE
        while len(evening.saved) == before:
            assert time.monotonic() < deadline, evening.problems
            await asyncio.sleep(0.01)
        await asyncio.sleep(dice.uniform(0, 2.5))
        evening.server.kill()
        evening.server = await asyncio.to_thread(Running, evening.folder, graders=1, timeout=_PATIENCE)
    before = len(evening.saved)
    while len(evening.saved) < before + len(GRADERS):
        await asyncio.sleep(0.05)
    evening.is_over = True


async def spend(evening: Evening, kills: int) -> None:
    """The whole evening."""
    async with async_api.async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        pages = [await sign_in(browser, evening, number) for number in range(len(GRADERS))]
        graders = [
            asyncio.create_task(grade(page, evening, who, number))
            for number, (page, who) in enumerate(zip(pages, GRADERS, strict=True))
        ]
        killer = asyncio.create_task(kill(evening, kills, kills))
        try:
            await asyncio.wait_for(asyncio.gather(killer, *graders), 120 * (kills + 2))
        finally:
            for task in (killer, *graders):
                task.cancel()
            await browser.close()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(
    "kills", [pytest.param(3, marks=pytest.mark.long), pytest.param(30, marks=pytest.mark.slow)]
)
def test_killed_in_the_middle_nothing_is_lost_doubled_or_given_to_two(tmp_path: Path, kills: int) -> None:
    folder = tmp_path / "hw3"
    people = make_class(folder, 20 + 2 * kills)
    evening = Evening(folder, Running(folder, graders=len(GRADERS), timeout=_PATIENCE))
    try:
        asyncio.run(spend(evening, kills))
    finally:
        evening.server.kill()
    keys = {f"{item}/{handle_of(item, one.key)}": (one.key, item) for item in ITEMS for one in people}
    with Gradebook.of_class(folder, RUBRIC) as book:
        events, state = book.events(), book.state()
    given = Counter((event.submission, event.item) for event in events if event.kind is Kind.grade)

    assert evening.problems == []
    lost = {
        place: (found, state.grade(*keys[place]))
        for place, found in evening.saved.items()
        if (grade := state.grade(*keys[place])) is None or (grade.who, grade.entries) != found
    }
    assert lost == {}
    assert {place: count for place, count in given.items() if count > 1} == {}
    assert len({event.act for event in events}) == len(events)
    # What was recorded and not acknowledged was under way when the evening ended.
    assert len(given) - len(evening.saved) <= len(GRADERS)
    shown = Counter(place for places in evening.shown.values() for place in set(places))
    assert {place: count for place, count in shown.items() if count > 1} == {}
    connection = sqlite3.connect(folder / NAME)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert len(evening.saved) > kills and all(len(places) > 1 for places in evening.shown.values())
    print(f"\n{kills} kills, {len(evening.saved)} decisions acknowledged, {len(given)} recorded; all of them once")


@pytest.mark.long
def test_the_next_start_takes_the_same_port_and_can_sign_everybody_out(tmp_path: Path) -> None:
    make_class(tmp_path / "hw3", 1)
    with Running(tmp_path / "hw3", graders=1) as first:
        client, port = Client(first.addresses[0], "Ann"), first.port
        first.kill()
    with Running(tmp_path / "hw3", graders=1) as second:
        assert second.port == port and second.addresses != first.addresses
        client.reconnect()
        assert client.get("/").status == 200
        # A second server on the class takes another port and shares the gradebook.
        with Running(tmp_path / "hw3", graders=1) as beside:
            assert beside.port != port
            other = Client(beside.addresses[0], "Ben")
            path = client.open("/item/1a")[1]
            assert "has this answer open" in other.get(path).text
    with Running(tmp_path / "hw3", "--sign-out", "--port", port, graders=1):
        client.reconnect()
        assert client.get("/").status == 403


def test_servers_on_one_class_share_locks_and_decisions(tmp_path: Path) -> None:
    people = make_class(tmp_path / "hw3", 4)
    sites = [site_of(tmp_path / "hw3") for _ in range(2)]
    ann, ben = Browser(sites[0], "Ann"), Browser(sites[1], "Ben")
    opened = [browser.get("/item/1a").headers["location"] for browser in (ann, ben)]
    assert opened[0] != opened[1]
    assert "Ann</strong> has this answer open" in ben.get(opened[0]).text
    key = next(one.key for one in people if opened[0].endswith(handle_of("1a", one.key)))
    refused = ben.grade(key, "1a", "both")
    assert refused.status_code == 400 and "Ann has this answer open" in refused.json()["problem"]
    assert ann.grade(key, "1a", "both").status_code == 200
    assert "1 of 4 graded" in ben.get(opened[1]).text
    for site in sites:
        site.room.close()

