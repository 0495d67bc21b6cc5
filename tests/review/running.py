"""`grader review` as a process of its own, and a grader's client that keeps one connection, as a browser does."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode, urlsplit

ROOT = Path(__file__).resolve().parents[2]
_IDLE = 3.0
"""Seconds after which the server may close a connection that nobody uses."""
_ADDRESS = re.compile(r"^\s+(http://127\.0\.0\.1:\d+/\?token=\S+)$")


class Running:
    """A server on a class, from its start to its end. ``addresses`` work once each."""

    def __init__(self, folder: Path, *options: object, graders: int = 4, timeout: float = 120.0) -> None:
        command = [sys.executable, "-m", "grader", "review", str(folder), "--no-browser", "--graders", str(graders)]
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [*command, *map(str, options)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []
        self.addresses: list[str] = []
        self._ready = threading.Event()
        self._graders = graders
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._ready.wait(timeout) or len(self.addresses) < graders:
            self.kill()
            raise RuntimeError("the server did not start:\n" + "".join(self.lines[-20:]))
        self.seconds = time.perf_counter() - started
        """Until it listened."""

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if found := _ADDRESS.match(line.rstrip("\n")):
                self.addresses.append(found[1])
                if len(self.addresses) == self._graders:
                    self._ready.set()
        self._ready.set()

    @property
    def base(self) -> str:
        """The address without a token."""
        return self.addresses[0].partition("/?")[0]

    @property
    def port(self) -> int:
        """Where it listens."""
        return urlsplit(self.base).port or 80

    def memory(self, name: str = "VmRSS") -> float:
        """Resident memory of the server in MB; ``VmHWM`` is the most so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+)", status)
        return int(found[1]) / 1024 if found else 0.0

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, how)
        self.process.wait(60)
        self._reader.join(10)

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if error is not None:
            print("".join(self.lines[-60:]), file=sys.stderr)


@dataclass(frozen=True)
class Reply:
    """What the server answered; ``seconds`` until all of it was there."""

    status: int
    body: bytes
    location: str
    seconds: float

    @property
    def text(self) -> str:
        """The body."""
        return self.body.decode()


class Client:
    """A grader who signs in with a one-time address, and grades."""

    def __init__(self, address: str, who: str) -> None:
        place = urlsplit(address)
        self._host = place.netloc
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=60)
        self._connect()
        self._cookie = ""
        self._send("GET", f"/?{place.query}")
        found = re.search(r'name="csrf" content="([^"]+)"', self.get("/name").text)
        assert found is not None
        self._csrf = found[1]
        self.post("/name", {"who": who})

    def _connect(self) -> None:
        self._connection.connect()
        self._last = time.monotonic()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def reconnect(self) -> None:
        """Go on with a server that was started again at the same port."""
        self._connection.close()
        self._connect()

    def get(self, path: str) -> Reply:
        """A page, without following redirects."""
        return self._send("GET", path)

    def open(self, path: str) -> tuple[Reply, str]:
        """A page after its redirects, with the time of all of them, and where it is."""
        reply, seconds = self.get(path), 0.0
        while reply.status in (302, 303) and reply.location:
            seconds += reply.seconds
            path = reply.location
            reply = self.get(path)
        return Reply(reply.status, reply.body, "", seconds + reply.seconds), path

    def post(self, path: str, fields: Mapping[str, str | Sequence[str]]) -> Reply:
        """What the page's script sends."""
        return self._send("POST", path, urlencode(fields, doseq=True))

    def grade(self, path: str, entries: Sequence[str], content: str, act: str) -> dict[str, Any]:
        """Save a grade at the address of an answer; raises RuntimeError where the server refuses it."""
        reply = self.post(f"{path}/grade", {"entry": entries, "content": content, "act": act})
        if reply.status != 200:
            raise RuntimeError(f"{path}: {reply.status} {reply.text[:200]}")
        found: dict[str, Any] = {**json.loads(reply.body), "seconds": reply.seconds}
        return found

    def _send(self, method: str, path: str, body: str | None = None) -> Reply:
        headers = {"Host": self._host}
        if self._cookie:
            headers["Cookie"] = self._cookie
        if body is not None:
            headers |= {
                "Origin": f"http://{self._host}",
                "Content-Type": "application/x-www-form-urlencoded",
                "x-grader-review": "1",
                "x-csrf": self._csrf,
            }
        if time.monotonic() - self._last > _IDLE:
            self.reconnect()
        started = time.perf_counter()
        self._connection.request(method, path, body, headers)
        reply = self._connection.getresponse()
        data = reply.read()
        seconds, self._last = time.perf_counter() - started, time.monotonic()
        if given := reply.getheader("set-cookie"):
            self._cookie = given.partition(";")[0]
        return Reply(reply.status, data, reply.getheader("location", ""), seconds)
