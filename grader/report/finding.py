"""What a check of this machine found, as the terminal shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing about the host."""

    name: str
    ok: bool | None
    """True: as it should be. False: grading fails or is weaker. None: absent, and nothing depends on it."""
    detail: str
    remedy: str = ""
    """What a person can do; empty where there is nothing to do."""
