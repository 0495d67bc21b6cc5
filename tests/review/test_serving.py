"""`grader review`: what it prints, and what it refuses."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grader.cli import app
from grader.errors import UsageError
from grader.review.serve import HOST, listen, serve
from tests.review.made import make_class, site_of


def test_it_listens_on_loopback_only() -> None:
    with listen(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1" == HOST


def test_a_reply_is_sent_without_delay() -> None:
    """asyncio turns Nagle's algorithm off only for sockets that name their protocol."""
    with listen(0) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.proto == socket.IPPROTO_TCP


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port {port}"):
            listen(port)


def test_what_is_no_class_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a batch folder"):
        serve(tmp_path, browser=False)


def test_the_command_refuses_a_taken_port_before_it_serves(tmp_path: Path) -> None:
    make_class(tmp_path / "hw3", 1)
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        arguments = ["review", str(tmp_path / "hw3"), "--port", str(taken.getsockname()[1]), "--no-browser"]
        ran = CliRunner().invoke(app, arguments)
    assert isinstance(ran.exception, UsageError) and "choose another" in str(ran.exception)


def test_overrides_of_a_class_that_never_had_a_gradebook_are_imported_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "hw3"
    one = make_class(folder, 1)[0]
    entry = f"- {{submission: {one.key}, item: 2a, points: 3.5, who: C. Babbage, why: the mask was right}}\n"
    (folder / "overrides.yaml").write_text(entry, encoding="utf-8")
    monkeypatch.setattr("grader.review.serve._Server.run", lambda self, sockets: sockets[0].close())
    said: list[str] = []
    serve(folder, browser=False, show=said.append)
    assert said == [f"imported from overrides.yaml: {one.key} 2a = 3.5 by C. Babbage: the mask was right"]
    site = site_of(folder)
    assert site.room.imported == ()
    assert [each.points for each in site.room.book.state().overrides(one.key)] == [3.5]
    site.room.close()


def test_overrides_that_cannot_be_read_are_named_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "hw3"
    make_class(folder, 1)
    (folder / "overrides.yaml").write_text("- {submission: nobody, item: 2a, points: 1, who: x, why: y}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"overrides\.yaml:1: nobody: no submission"):
        serve(folder, browser=False)
