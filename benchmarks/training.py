"""``python -m benchmarks.training``: what a training check costs here, where its time goes, and how accuracy grows with it.

Needs CIFAR-10 (``grader data fetch``). On a GPU it also says for which share of the time that works.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import platform
import re
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.run import grader, make_class, say, table
from benchmarks.watching import EVERY, descendants, watched
from grader.kernel import gpu


class _Rates(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class Seen:
    """Samples of a command from outside: GPU utilisation in percent, the largest process in MB."""

    def __init__(self) -> None:
        self.rates: list[int] = []
        self.largest = 0.0
        self._library = gpu.management_library()
        self._device = ctypes.c_void_p()
        if self._library and self._library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(self._device)) != 0:
            self._library = None

    def look(self, main: int) -> None:
        """Take one sample of a command, its descendants and the GPU."""
        rates = _Rates()
        if self._library and self._library.nvmlDeviceGetUtilizationRates(self._device, ctypes.byref(rates)) == 0:
            self.rates.append(rates.gpu)
        self.largest = max([self.largest, *map(_peak, descendants(main))])

    def share(self, seconds: float | None = None) -> int:
        """Mean utilisation in percent; of the best stretch of so many seconds if given."""
        count = len(self.rates)
        width = count if seconds is None else max(1, min(count, round(seconds / EVERY)))
        return round(max(statistics.fmean(self.rates[at : at + width]) for at in range(count - width + 1)))


def _peak(pid: int) -> float:
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


def single(path: Path, work: Path, options: Sequence[object]) -> dict[str, Any]:
    """One notebook from the command to the verdict."""
    file = work / "result.json"
    seen = Seen()
    seconds = watched(grader("train", path, "--json", file, "--evidence-seconds", 0, *options), seen.look)
    result = json.loads(file.read_text(encoding="utf-8"))
    item = next(item for item in result["items"] if item["id"] == "3c")
    figures = {
        "verdict": item["status"],
        "command to verdict (s)": round(seconds, 2),
        "by stage (s)": {**result["seconds"], "the rest": round(seconds - sum(result["seconds"].values()), 2)},
        "largest process (MB)": round(seen.largest),
        "notes": [note for note in item["notes"] if "trained here on" in note or "accuracy by" in note],
    }
    if seen.rates:
        figures["GPU at work (%)"] = {
            "of the whole command": seen.share(),
            "of training": seen.share(result["seconds"]["training"]),
        }
    return figures


def whole_class(count: int, work: Path, options: Sequence[object]) -> dict[str, Any]:
    """Submissions back to back, by the command that a class is graded with."""
    make_class(work / "class", count)
    out = work / "out"
    command = grader("batch", work / "class", "--out", out, "--only", "3c", "--training", "always", *options)
    seen = Seen()
    seconds = watched(command, seen.look)
    results = [json.loads(path.read_text(encoding="utf-8")) for path in (out / "results").glob("*.json")]
    items = [item for result in results for item in result["items"] if item["id"] == "3c"]
    figures: dict[str, Any] = {
        "submissions": count,
        "passed": sum(item["status"] == "passed" for item in items),
        "seconds": round(seconds, 1),
        "seconds each": round(seconds / count, 2),
    }
    if seen.rates:
        figures["GPU at work (%)"] = seen.share()
    return figures


def main() -> None:
    """Parse arguments, measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--submissions", type=int, default=0, help="train a class of so many as well")
    parser.add_argument("--repeat", type=int, default=1, help="how often the single notebook is trained")
    parser.add_argument("--data", type=Path, help="CIFAR-10, where it is not in the cache")
    parser.add_argument("--json", type=Path, default=Path("benchmark.json"))
    arguments = parser.parse_args()
    options = ["--data", arguments.data] if arguments.data else []
    work = Path(tempfile.mkdtemp(prefix="hw3-benchmark-"))
    figures: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    }
    try:
        (path,) = make_class(work / "single", 1)
        for number in range(arguments.repeat):
            say(f"one notebook, run {number + 1}")
            figures[f"one notebook, run {number + 1}"] = single(path, work, options)
        if arguments.submissions:
            say(f"a class of {arguments.submissions}")
            figures["class"] = whole_class(arguments.submissions, work, options)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(table(figures))


if __name__ == "__main__":
    main()
