"""Messages between the judge and the agent, over either kind of socket."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from grader.kernel.inside import packets

STREAM = "a stream, as on macOS"


@pytest.fixture(params=["packets of Linux", STREAM])
def ends(request, monkeypatch):
    if request.param == STREAM:
        plain = socket.socketpair

        def socketpair(family, kind):
            if kind == socket.SOCK_SEQPACKET:
                raise OSError("Protocol not supported")
            return plain(family, kind)

        monkeypatch.setattr(packets.socket, "socketpair", socketpair)
    ours, theirs = packets.pair()
    assert (ours.type == socket.SOCK_STREAM) == (request.param == STREAM)
    with ours, theirs:
        yield ours, theirs


def test_messages_stay_apart(ends):
    for text in (b"one", b"{}", b"x" * 1000):
        packets.send(ends[0], text)
    assert [packets.receive(ends[1], 1 << 16) for _ in range(3)] == [(b"one", []), (b"{}", []), (b"x" * 1000, [])]


def test_descriptors_come_along(ends):
    packets.send(ends[0], b"before")
    reads, writes = os.pipe()
    packets.send(ends[0], b"a pipe", [writes])
    os.close(writes)
    assert packets.receive(ends[1], 100, 4) == (b"before", [])
    text, (handed,) = packets.receive(ends[1], 100, 4)
    os.write(handed, b"through")
    os.close(handed)
    assert (text, os.read(reads, 100), os.read(reads, 1)) == (b"a pipe", b"through", b"")
    os.close(reads)


def test_a_long_message_arrives_whole(ends):
    """A specification takes hundreds of kilobytes, which is more than a socket's buffer holds."""
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    text = os.urandom(400_000)
    sender = threading.Thread(target=packets.send, args=(ends[0], text))
    sender.start()
    assert packets.receive(ends[1], 1 << 20)[0] == text
    sender.join()


def test_the_end_is_seen(ends):
    ends[0].close()
    assert packets.receive(ends[1], 100, 1) == (b"", [])


def test_silence_has_an_end(ends):
    ends[1].settimeout(0.05)
    with pytest.raises(TimeoutError):
        packets.receive(ends[1], 100)
    assert ends[1].gettimeout() == 0.05


def test_a_stream_that_trickles_takes_no_longer_than_its_time():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(0.2)
        ended = threading.Event()

        def trickle():
            ours.send((1000).to_bytes(4, "big"))
            while not ended.wait(0.05):
                ours.send(b"x")

        sender = threading.Thread(target=trickle)
        sender.start()
        with pytest.raises(TimeoutError):
            packets.receive(theirs, 1 << 16)
        ended.set()
        sender.join()


@pytest.mark.parametrize("size", [0, 101, 0xFFFFFFFF])
def test_a_length_that_no_message_has_is_refused(size):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.send(size.to_bytes(4, "big") + b"x" * 200)
        with pytest.raises(OSError, match="at most 100"):
            packets.receive(theirs, 100)
