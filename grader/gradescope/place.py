"""Where things lie in the platform's container, and what the zip was built with; standard library only."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_MINUTES = 10.0
MIB = 1 << 20
ENOUGH_MEMORY = 640 * MIB
"""Less than this to spare, and the grader's own kernel is ended half-way: measured with the master notebook,
which needs 550 MiB where memory is short and 610 MiB where it is not."""
COMFORTABLE_MEMORY = 1200 * MIB


@dataclass(frozen=True)
class Place:
    """The platform's folder, which another one stands for when a zip is tried elsewhere."""

    base: Path

    @classmethod
    def here(cls) -> Place:
        """As the environment says, or the platform's own."""
        return cls(Path(os.environ.get("HW3_AUTOGRADER") or "/autograder"))

    @property
    def source(self) -> Path:
        """What was in the zip."""
        return self.base / "source"

    @property
    def submission(self) -> Path:
        """What the student handed in."""
        return self.base / "submission"

    @property
    def results(self) -> Path:
        """The file that the platform reads."""
        return self.base / "results" / "results.json"

    @property
    def metadata(self) -> Path:
        """What the platform tells about the submission."""
        return self.base / "submission_metadata.json"

    @property
    def minutes(self) -> float:
        """After how long the platform ends a run, by the zip's settings."""
        minutes = self._settings().get("minutes")
        return min(max(float(minutes), 0.5), 40.0) if isinstance(minutes, (int, float)) else DEFAULT_MINUTES

    @property
    def secret_seed(self) -> bool:
        """Whether the zip must hold a seed; one built with the public seed says so."""
        return self._settings().get("seed") != "public"

    def _settings(self) -> dict[str, Any]:
        return read_mapping(self.source / "settings.json")

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Keep other users out of everything here but the folder itself, as far as this user may."""
        folder = self.results.parent
        mode = folder.stat().st_mode & 0o777
        for path, wanted in (
            (self.source, 0o700),
            (self.submission, 0o700),
            (folder, 0o700),
            (self.metadata, 0o600),
        ):
            with contextlib.suppress(OSError):
                path.chmod(wanted)
        try:
            yield
        finally:
            # Whoever collects the results may be another user.
            with contextlib.suppress(OSError):
                folder.chmod(mode & ~0o022)

    def open_to_others(self) -> Path | None:
        """A path here that another user can read or write although they must not, if there is one."""
        for path, bits in ((self.source, 0o005), (self.results.parent, 0o007)):
            with contextlib.suppress(OSError):
                if path.stat().st_mode & bits:
                    return path
        return None


def read_mapping(path: Path) -> dict[str, Any]:
    """What a JSON file of ours holds; empty when it is not there."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
