"""The wire between judge and kernel: one frame is a JSON header and raw buffers, each with a length cap.

Both sides load this file; it needs the standard library alone. A value is written as a tagged list, so that nothing but
the types named here can cross:

    ["n"] None          ["b", true] bool       ["i", 3] int       ["f", "0x1.8p+1"] float    ["s", "text"] str
    ["t", [...]] tuple  ["l", [...]] list      ["d", [[k, v], ...]] dict with str keys
    ["a", dtype, shape, buffer index] tensor   ["o", type name] anything else, by name only
"""

from __future__ import annotations

import errno
import json
import socket
import struct
import time
from typing import Any

MAX_HEADER = 16 << 20
OWN_WANT = frozenset({errno.ENOBUFS, errno.ENOMEM})
"""Errors of a connection that say nothing of the other side: this one is short of memory."""
MAX_BUFFERS = 1 << 16
MAX_PAYLOAD = 256 << 20
_PREFIX = struct.Struct("<4sIIQ")
_MAGIC = b"hw3\x01"


class FrameError(Exception):
    """The other side closed the connection, took too long, or broke the format."""


class FrameRefused(FrameError):
    """What came breaks the format or is too large."""


class FrameTimeout(FrameError):
    """The other side took longer than the deadline allows."""


def send_frame(
    connection: socket.socket, header: Any, buffers: list[bytes], deadline: float | None = None
) -> None:
    """Send one frame; ``deadline`` is a ``time.monotonic()`` value."""
    sizes = [len(buffer) for buffer in buffers]
    text = json.dumps([header, sizes], separators=(",", ":"), allow_nan=False).encode("ascii")
    prefix = _PREFIX.pack(_MAGIC, len(text), len(buffers), sum(sizes))
    view = memoryview(b"".join([prefix, text, *buffers]))
    while view:
        _arm(connection, deadline)
        try:
            view = view[connection.send(view) :]
        except TimeoutError:
            raise FrameTimeout("the other side stopped reading") from None
        except OSError as error:
            if error.errno in OWN_WANT:
                raise
            raise FrameError(f"the connection broke ({error})") from None


def receive_frame(
    connection: socket.socket,
    deadline: float | None = None,
    *,
    most_text: int = MAX_HEADER,
    most_payload: int = MAX_PAYLOAD,
) -> tuple[Any, list[bytes]]:
    """Receive one frame: the decoded header and its buffers. Raises `FrameError` on anything out of bounds."""
    magic, text_size, count, payload = _PREFIX.unpack(_read(connection, _PREFIX.size, deadline))
    if magic != _MAGIC:
        raise FrameRefused("a frame with a bad prefix")
    if text_size > most_text or count > MAX_BUFFERS or payload > most_payload:
        raise FrameRefused(
            f"a frame beyond the size limits: {text_size >> 10} KiB of text, {payload >> 10} KiB of numbers"
        )
    text = _read(connection, text_size, deadline)
    body = _read(connection, payload, deadline)
    try:
        header, sizes = json.loads(text.decode("ascii"))
        plain = all(type(size) is int and size >= 0 for size in sizes)
        if not plain or len(sizes) != count or sum(sizes) != payload:
            raise ValueError("buffer sizes do not add up")
    except (ValueError, TypeError, RecursionError) as error:
        raise FrameRefused(f"a frame whose header is malformed ({type(error).__name__})") from None
    buffers, start = [], 0
    for size in sizes:
        buffers.append(body[start : start + size])
        start += size
    return header, buffers


def _read(connection: socket.socket, size: int, deadline: float | None) -> bytes:
    chunks: list[bytes] = []
    missing = size
    while missing:
        _arm(connection, deadline)
        try:
            chunk = connection.recv(min(missing, 1 << 20))
        except TimeoutError:
            raise FrameTimeout("no answer in time") from None
        except OSError as error:
            if error.errno in OWN_WANT:
                raise
            raise FrameError(f"the connection broke ({error})") from None
        if not chunk:
            raise FrameError("the connection was closed")
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)


def _arm(connection: socket.socket, deadline: float | None) -> None:
    if deadline is None:
        connection.settimeout(None)
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise FrameTimeout("no answer in time")
    connection.settimeout(left)
