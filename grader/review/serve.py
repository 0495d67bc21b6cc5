"""Serves a class on loopback until Ctrl-C, and opens the browser with a one-time address."""

from __future__ import annotations

import contextlib
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn

from grader.errors import UsageError
from grader.review.app import make_app
from grader.review.classroom import Room
from grader.review.signed_in import SignedIn, forget_all, ports
from grader.review.web import Site

HOST = "127.0.0.1"


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()


def serve(
    folder: Path,
    archive: Path | None = None,
    *,
    port: int = 0,
    graders: int = 1,
    browser: bool = True,
    sign_out: bool = False,
    show: Callable[[str], None] = print,
) -> None:
    """Serve the class in a folder. Raises `GraderError` where it cannot be read or the port is taken.

    Args:
        folder: the folder of a batch.
        archive: the students' PDFs.
        port: where to listen; 0 takes the one of the last run, as open pages know it, or else a free one.
        graders: how many one-time addresses to show.
        browser: whether to open the first one.
        sign_out: forget who was signed in before.
        show: called with each line for the terminal.
    """
    site = Site(Room(folder, archive))
    try:
        if sign_out:
            forget_all(folder)
        for line in site.room.imported:
            show(f"imported from overrides.yaml: {line}")
        if site.room.pdfs is not None:
            site.room.pdfs.warm_up()
        listening = listen_again(folder) if port == 0 else listen(port)
        site.access.signed_in = SignedIn(folder, listening.getsockname()[1])
        if site.access.signed_in.problem:
            show(f"Earlier sign-ins have ended: {site.access.signed_in.problem}")
        base = f"http://{HOST}:{listening.getsockname()[1]}"
        addresses = [f"{base}/?token={site.access.new_token()}" for _ in range(graders)]

        def ready() -> None:
            show(f"Grading {folder} at {base}; stop with Ctrl-C.")
            show("Open in a browser; each address works once:")
            for address in addresses:
                show(f"  {address}")
            if browser:
                webbrowser.open(addresses[0])

        config = uvicorn.Config(make_app(site), log_level="warning", access_log=False, server_header=False, lifespan="off")
        _Server(config, ready).run([listening])
    finally:
        site.room.close()


def listen_again(folder: Path) -> socket.socket:
    """A socket on a port that a server of this class had lately, or else on a free one."""
    for port in ports(folder):
        with contextlib.suppress(UsageError):
            return listen(port)
    return listen(0)


def listen(port: int) -> socket.socket:
    """A socket that listens on loopback, on a free port for 0; raises `UsageError`."""
    # Where the protocol is not named, asyncio leaves Nagle's algorithm on, which holds each reply up by 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # A server that was just stopped leaves connections that would keep its port.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise UsageError(f"--port {port}: cannot be used ({error.strerror or error}); choose another") from None
    return listening
