"""Every error that the grader raises on purpose; each says what to do in one line."""

from __future__ import annotations


class GraderError(Exception):
    """Base of all errors that reach a user as one line instead of a traceback."""


class NothingToGrade(GraderError):
    """The submission cannot be read as a notebook, or holds no code (exit status 3)."""


class UsageError(GraderError):
    """The command was given something it cannot work with (exit status 2)."""


class RubricError(GraderError):
    """The rubric is malformed; the message names file, line and reason (exit status 2)."""


class KernelError(GraderError):
    """The kernel could not be started or broke the protocol; names the cause."""
