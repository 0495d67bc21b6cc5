"""The judge's end of the connection to the trainer in the kernel."""

from __future__ import annotations

import socket
import time
from typing import Any

from grader.kernel.inside import frames
from grader.kernel.remote import NoReply, ReplyTimedOut, StudentError, error_of
from grader.kernel.wire import WireError, decode, encode


class TrainerLink:
    """Asks `inside/trainer.py` for one thing after the other."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self.lost = False
        """Whether a reply did not come, or not whole. It may come yet, and would be taken for the next one's."""

    def ask(self, name: str, seconds: float, /, **arguments: Any) -> Any:
        """The trainer's reply within so many seconds; raises `StudentError` or `NoReply`.

        Nothing can be asked after a reply that was not received.
        """
        if self.lost:
            raise NoReply("an earlier reply did not come in time")
        self.lost = True
        buffers: list[bytes] = []
        deadline = time.monotonic() + seconds
        try:
            frames.send_frame(self._stream, [name, encode(arguments, buffers)], buffers, deadline)
            reply, received = frames.receive_frame(self._stream, deadline)
            self.lost = False
            if type(reply) is not dict or len(reply) != 1:
                raise WireError("a malformed reply")
            if "error" in reply:
                raise error_of(reply["error"])
            return decode(reply.get("value"), received)
        except frames.FrameTimeout:
            raise ReplyTimedOut from None
        except (frames.FrameError, WireError) as error:
            raise NoReply(str(error)) from None


__all__ = ["NoReply", "ReplyTimedOut", "StudentError", "TrainerLink"]
