"""One version, wherever it is named."""

from __future__ import annotations

from pathlib import Path

import yaml

from grader import __version__

ROOT = Path(__file__).resolve().parents[1]


def test_every_place_names_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert (ROOT / "tests" / "batch" / "folders" / f"{__version__}.zip").is_file()
