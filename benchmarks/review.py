"""``python -m benchmarks.review``: how fast four graders get on with `grader review`, and what a class of 300 costs it.

Makes a class with planted duplicates and variations in 15 written answers of each student, with images and PDFs, starts the
server as a process, and grades through HTTP. Everything but times is the same in each run. Needs the extra ``dev``.

On a machine that others use too, compare the server's CPU time for a step rather than its wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import sqlite3
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

from benchmarks.review_groups import found_groups
from benchmarks.run import grader, run, say, table, timed
from grader.gradebook.book import NAME, Gradebook
from grader.gradebook.events import Decision, Kind
from grader.review.classroom import handle_of, read_class
from grader.review.grading import page_numbers
from tests.review.large import LargeClass, make_large_class
from tests.review.running import Client, Running

GRADERS = ("Ann", "Ben", "Cleo", "Dan")
WITH_IMAGES = "3d"
AT_ONCE = 4
"""Items that the graders grade at once; those of other items are decided before, so that the gradebook is nearly full."""
_TICKS = os.sysconf("SC_CLK_TCK")
_CONTENT = re.compile(r'name="content" value="([^"]*)"')
_ENTRY = re.compile(r'name="entry" value="([^"]*)"')
_IMAGE = re.compile(r'<img[^>]* src="([^"]+)"')
_PAGES = re.compile(r"Pages? ([\d, -]+) of \d+")


@dataclass
class Steps:
    """Times of what graders did, in seconds, and the pages of PDFs that they saw, by key and item."""

    next: list[float] = field(default_factory=list)
    save: list[float] = field(default_factory=list)
    image: list[float] = field(default_factory=list)
    pdf_page: list[float] = field(default_factory=list)
    seen: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)

    def figures(self) -> dict[str, str]:
        """Median, 95th percentile and maximum of each in milliseconds, and of how many."""
        named = {"next answer": self.next, "save": self.save, "image": self.image, "PDF page": self.pdf_page}
        return {name: percentiles(values) for name, values in named.items() if values}


def percentiles(seconds: Sequence[float]) -> str:
    """Median, 95th percentile and maximum in milliseconds, and of how many."""
    ordered = sorted(seconds)
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    shown = " / ".join(f"{1000 * value:.1f}" for value in (statistics.median(ordered), high, ordered[-1]))
    return f"{shown} ({len(ordered)})"


def grade_item(client: Client, item: str, made: LargeClass, steps: Steps, pause: float = 0.0) -> int:
    """Grade what is left of an item with one grader, each answer with its images; how many that were."""
    path, count = f"/item/{item}", 0
    keys = {handle_of(item, key): key for key in made.answers[item]}
    while True:
        reply, where = client.open(path)
        if reply.status != 200:
            raise SystemExit(f"{path}: {reply.status} {reply.text[:300]}")
        content = _CONTENT.search(reply.text)
        if content is None:
            return count
        steps.next.append(reply.seconds)
        handle = where.rpartition("/")[2]
        if pages := _PAGES.search(reply.text):
            steps.seen[keys[handle], item] = tuple(page_numbers(pages[1]))
        for source in _IMAGE.findall(reply.text):
            seconds = client.get(unescape(source)).seconds
            (steps.pdf_page if "/page/" in source else steps.image).append(seconds)
        time.sleep(pause)
        entries = _ENTRY.findall(reply.text)
        chosen = entries[int(handle, 16) % len(entries)]
        steps.save.append(client.grade(where, [chosen], content[1], uuid.uuid4().hex)["seconds"])
        path, count = f"/item/{item}?after={handle}", count + 1


def four_at_once(clients: Sequence[Client], items: Iterable[str], made: LargeClass) -> tuple[Steps, int]:
    """Grade items with all graders at once and without a pause; what it took, and how many answers were graded."""
    steps, total, failures = Steps(), [0], []

    def work(client: Client) -> None:
        try:
            for item in items:
                total[0] += grade_item(client, item, made, steps)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return steps, total[0]


class Cpu:
    """CPU seconds of the server between two looks."""

    def __init__(self, server: Running) -> None:
        self._path = Path(f"/proc/{server.process.pid}/stat")
        self._before = self._now()

    def _now(self) -> float:
        fields = self._path.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def spent(self) -> float:
        """Since it was made."""
        return self._now() - self._before


def measure(students: int, root: Path) -> dict[str, Any]:
    """All figures."""
    say(f"making a class of {students}")
    made = make_large_class(root, students)
    items = list(made.answers)
    figures: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "load before": round(os.getloadavg()[0], 1),
        "class": f"{students} students, {sum(map(len, made.answers.values()))} answers, {students} PDFs",
    }
    through_http = [item for item in items if item != WITH_IMAGES][:AT_ONCE]
    before = _decide(made, [item for item in items if item not in (*through_http, WITH_IMAGES)])
    figures["decisions before the graders begin"] = before
    say("the server starts")
    with Running(made.folder, graders=len(GRADERS), timeout=600) as server:
        figures["start of the server (s)"] = round(server.seconds, 1)
        memory = {"at the start": round(server.memory())}
        clients = [Client(address, who) for address, who in zip(server.addresses, GRADERS, strict=True)]
        say("groups")
        figures["groups"] = found_groups(clients[0], made)
        say("four graders at once")
        cpu, started = Cpu(server), time.perf_counter()
        steps, count = four_at_once(clients, through_http, made)
        seconds = time.perf_counter() - started
        figures["four graders without a pause"] = {
            **steps.figures(),
            "answers a second": round(count / seconds, 1),
            "server CPU an answer (ms)": round(1000 * cpu.spent() / count, 1),
        }
        memory["after four graders"] = round(server.memory())
        server.stop()
    say("the server starts with PDFs")
    with Running(made.folder, "--pdfs", made.archive, timeout=600) as server:
        client = clients[0]
        client.reconnect()
        figures["PDFs read after (s)"] = round(_wait_for_pdfs(made), 1)
        memory["with all PDFs read"] = round(server.memory())
        say("one grader with images and PDF pages")
        cpu, steps = Cpu(server), Steps()
        count = grade_item(client, WITH_IMAGES, made, steps, pause=0.2)
        figures["one grader with images and PDF pages"] = {
            **steps.figures(),
            "server CPU an answer (ms)": round(1000 * cpu.spent() / count, 1),
        }
        memory["after all decisions"] = round(server.memory())
        memory["at most"] = round(server.memory("VmHWM"))
        figures["memory of the server (MB)"] = memory
        figures["other pages (ms)"] = {
            path: round(1000 * client.get(path).seconds) for path in ("/", "/grades", "/answers/1d", "/agreement")
        }
        server.stop()
    figures["gradebook (MB)"] = _size(made.folder)
    say("final grades")
    figures["grader grades (s)"] = round(timed(lambda: run(grader("grades", made.folder))), 1)
    figures["load after"] = round(os.getloadavg()[0], 1)
    pages = {key: by_item[WITH_IMAGES] for key, by_item in made.pages.items() if WITH_IMAGES in by_item}
    right = sum(steps.seen.get((key, WITH_IMAGES)) == where for key, where in pages.items())
    figures[f"pages of {WITH_IMAGES} found"] = f"{right} of {len(pages)}"
    return figures


def _decide(made: LargeClass, items: Sequence[str]) -> int:
    """Decide all answers to some items, a decision an act as the page makes them, and say how many that were."""
    klass = read_class(made.folder)
    count = 0
    with Gradebook.of_class(made.folder, klass.graded.rubric) as book:
        for item in items:
            entries = book.state().entries(item)
            for number, answer in enumerate(klass.answers[item].values()):
                chosen = entries[number % len(entries)].id
                data = {"entries": [chosen], "adjustment": 0.0, "comment": "", "content": answer.content}
                book.record(GRADERS[number % 4], [Decision(Kind.grade, answer.submission, item, data)])
                count += 1
    return count


def _wait_for_pdfs(made: LargeClass) -> float:
    """Seconds until the server has read all PDFs."""
    started, texts = time.perf_counter(), made.folder / "pdfs" / "text"
    while not texts.is_dir() or len(list(texts.glob("*.json"))) < len(made.people):
        time.sleep(0.1)
        if time.perf_counter() - started > 3600:
            raise SystemExit("the server does not read the PDFs")
    # The last one is written before it is searched.
    time.sleep(1)
    return time.perf_counter() - started


def _size(folder: Path) -> dict[str, Any]:
    connection = sqlite3.connect(folder / NAME)
    events, grades = (
        connection.execute(f"SELECT count(*) FROM events{where}").fetchone()[0] for where in ("", " WHERE kind = 'grade'")
    )
    connection.close()
    size = sum(path.stat().st_size for path in folder.glob(f"{NAME}*"))
    return {"size": round(size / 1e6, 2), "events": events, "grades": grades}


def main() -> None:
    """Parse arguments, measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.review", description=__doc__)
    parser.add_argument("--students", type=int, default=300, help="size of the class")
    parser.add_argument("--json", type=Path, default=Path("benchmark.json"))
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="hw3-benchmark-"))
    try:
        figures = measure(arguments.students, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(table(figures))


if __name__ == "__main__":
    main()
