"""Messages with file descriptors between the judge and the kernel's agent, over a pair of Unix sockets.

Linux has sockets that keep messages apart. Where there are none, as on macOS, each message goes over a stream after its
length. Both ends tell by the socket which way it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import Iterable

_LENGTH = struct.Struct("!I")


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends; closing one is seen at the other. Raises OSError."""
    with contextlib.suppress(OSError, AttributeError):
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def send(end: socket.socket, data: bytes, descriptors: Iterable[int] = ()) -> None:
    """Send one message, never empty, with descriptors; raises OSError."""
    handed = list(descriptors)
    if end.type != socket.SOCK_STREAM:
        if handed:
            socket.send_fds(end, [data], handed)
        else:
            end.send(data)
        return
    message = _LENGTH.pack(len(data)) + data
    sent = socket.send_fds(end, [message], handed) if handed else 0
    end.sendall(message[sent:])


def receive(end: socket.socket, limit: int, descriptors: int = 0) -> tuple[bytes, list[int]]:
    """One message of at most ``limit`` bytes, with up to so many descriptors; empty once the other end is closed.

    It takes no longer in all than the socket's time limit. Raises OSError, TimeoutError among them.
    """
    if end.type != socket.SOCK_STREAM:
        return _part(end, limit, descriptors)
    seconds = end.gettimeout()
    last = None if seconds is None else time.monotonic() + seconds
    try:
        head, handed = _exactly(end, _LENGTH.size, descriptors, last)
        if not head:
            return b"", handed
        (size,) = _LENGTH.unpack(head)
        if not 0 < size <= limit:
            for number in handed:
                os.close(number)
            raise OSError(errno.EMSGSIZE, f"a message of {size} bytes, at most {limit} are taken")
        return _exactly(end, size, 0, last)[0], handed
    finally:
        end.settimeout(seconds)


def _part(end: socket.socket, size: int, descriptors: int) -> tuple[bytes, list[int]]:
    if not descriptors:
        return end.recv(size), []
    data, handed, _, _ = socket.recv_fds(end, size, descriptors)
    return data, handed


def _exactly(end: socket.socket, size: int, descriptors: int, last: float | None) -> tuple[bytes, list[int]]:
    """So many bytes; empty if the other end is closed before the last of them."""
    data = b""
    handed: list[int] = []
    while len(data) < size:
        if last is not None:
            end.settimeout(max(last - time.monotonic(), 0.001))
        more, numbers = _part(end, size - len(data), descriptors if not handed else 0)
        handed += numbers
        if not more:
            return b"", handed
        data += more
    return data, handed
