"""Every error that the grader raises on purpose; each says what to do in one line."""

from __future__ import annotations

import errno


class GraderError(Exception):
    """Base of all errors that reach a user as one line instead of a traceback."""


class NothingToGrade(GraderError):
    """The submission cannot be read as a notebook, or holds no code (exit status 3)."""


class UsageError(GraderError):
    """The command was given something it cannot work with (exit status 2)."""


class RubricError(GraderError):
    """The rubric is malformed; the message names file, line and reason of each fault (exit status 2)."""


class KernelError(GraderError):
    """The kernel could not be started or broke the protocol; names the cause."""


class HostError(GraderError):
    """The machine ran out of something that the grader needs: no submission's fault, and worth another try."""


_SCARCE = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC, errno.EIO),
        *(getattr(errno, name, -1) for name in ("ETOOMANYREFS", "EDQUOT", "EUSERS")),
    }
)


def host_error(error: BaseException) -> HostError | None:
    """The `HostError` that an exception in the judge amounts to, if it is one: itself, or an OSError for want of something.

    That the other side hung up is none: that is what the other side did.
    """
    if isinstance(error, HostError):
        return error
    # A process that cannot be started; sockets say the same when their time is up, with another class.
    scarce = isinstance(error, OSError) and (error.errno in _SCARCE or type(error) is BlockingIOError)
    return HostError(f"the machine is short of something: {error}") if scarce else None
