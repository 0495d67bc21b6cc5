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
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.run import ROOT, grader, make_class, say, table
from grader.kernel import gpu

EVERY = 0.1
"""Seconds between two samples."""


class _Rates(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


@dataclass
class Seen:
    """Samples of a command from outside: when, GPU utilisation in percent, the largest process in MB."""

    rates: list[tuple[float, int]] = field(default_factory=list)
    largest: float = 0.0

    def share(self, seconds: float | None = None) -> float | None:
        """Mean utilisation; of the best stretch of so many seconds if given. None without a GPU."""
        values = [rate for _, rate in self.rates]
        if not values:
            return None
        width = len(values) if seconds is None else max(1, min(len(values), round(seconds / EVERY)))
        return max(statistics.fmean(values[at : at + width]) for at in range(len(values) - width + 1))


@contextlib.contextmanager
def seeing(process: subprocess.Popen[str]) -> Iterator[Seen]:
    """Look at a command, its descendants and the GPU while it runs."""
    seen, ended = Seen(), threading.Event()
    library = gpu.management_library()
    device = ctypes.c_void_p()
    if library is not None and library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) != 0:
        library = None

    def look() -> None:
        while not ended.wait(EVERY):
            rates = _Rates()
            if library is not None and library.nvmlDeviceGetUtilizationRates(device, ctypes.byref(rates)) == 0:
                seen.rates.append((time.monotonic(), rates.gpu))
            seen.largest = max([seen.largest, *map(_peak, _descendants(process.pid))])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def _descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from _descendants(child)


def _peak(pid: int) -> float:
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


def watched(command: Sequence[str]) -> tuple[float, Seen]:
    """Wall seconds of a command, and what was seen of it."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with seeing(process) as seen:
        text, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{text[-3000:]}")
    return time.perf_counter() - started, seen


def single(path: Path, work: Path, options: Sequence[object]) -> dict[str, Any]:
    """One notebook from the command to the verdict."""
    file = work / "result.json"
    seconds, seen = watched(grader("train", path, "--json", file, "--gpt-seconds", 0, *options))
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
            "of the whole command": round(seen.share() or 0),
            "of training": round(seen.share(result["seconds"]["training"]) or 0),
        }
    return figures


def whole_class(count: int, work: Path, options: Sequence[object]) -> dict[str, Any]:
    """Submissions back to back, by the command that a class is graded with."""
    make_class(work / "class", count)
    out = work / "out"
    command = grader("batch", work / "class", "--out", out, "--only", "3c", "--training", "always", *options)
    seconds, seen = watched(command)
    results = [json.loads(path.read_text(encoding="utf-8")) for path in (out / "results").glob("*.json")]
    items = [item for result in results for item in result["items"] if item["id"] == "3c"]
    figures: dict[str, Any] = {
        "submissions": count,
        "passed": sum(item["status"] == "passed" for item in items),
        "seconds": round(seconds, 1),
        "seconds each": round(seconds / count, 2),
    }
    if seen.rates:
        figures["GPU at work (%)"] = round(seen.share() or 0)
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
    sys.exit(main())
