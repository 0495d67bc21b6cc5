"""`grader review`: what it prints, and what it refuses."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grader.cli import app
from grader.errors import UsageError
from grader.review.serve import HOST, listen, serve
from tests.review.made import make_class


def test_it_listens_on_loopback_only() -> None:
    with listen(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1" == HOST


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
