"""Writes a wheel of pure Python: the same files give the same bytes, and no build backend is needed."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Metadata:
    """What a wheel says of itself."""

    name: str
    version: str
    summary: str
    requires_python: str
    requires: Sequence[str]

    @property
    def stem(self) -> str:
        """The beginning of the wheel's file name."""
        return f"{self.name.replace('-', '_')}-{self.version}"

    def text(self) -> str:
        """The METADATA file."""
        lines = [
            "Metadata-Version: 2.1",
            f"Name: {self.name}",
            f"Version: {self.version}",
            f"Summary: {self.summary}",
            f"Requires-Python: {self.requires_python}",
            *(f"Requires-Dist: {each}" for each in self.requires),
        ]
        return "\n".join(lines) + "\n"


def write_wheel(folder: Path, metadata: Metadata, files: Mapping[str, bytes]) -> Path:
    """Write a wheel with ``files`` (by path) into ``folder``, which is made if it is missing, and return its path."""
    info = f"{metadata.stem}.dist-info"
    wheel = "Wheel-Version: 1.0\nGenerator: grader\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    everything = dict(sorted(files.items()))
    everything[f"{info}/METADATA"] = metadata.text().encode()
    everything[f"{info}/WHEEL"] = wheel.encode()
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in everything.items()]
    everything[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]).encode() + b"\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{metadata.stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in everything.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return path


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
