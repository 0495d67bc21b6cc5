"""Judges notebooks one after the other, as a worker of a batch does, and prints what that cost in CPU seconds, as JSON.

    python judging_costs.py NOTEBOOK ... [--results FOLDER]

Run by `costs` in whatever checkout is measured, so it uses of the grader only what all versions have. Starting (imports, cases,
the warm parent) is not counted. Kernels cost what all processes took that have ended, orphans included.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grader import grade
from grader.assignment import load_assignment
from grader.grade import Request, judge, prepare
from grader.kernel.process import WarmParent, environment

_SUBREAPER = 36
_TICKS = os.sysconf("SC_CLK_TCK")


def of_children() -> float:
    """CPU seconds of all processes that this one has reaped, and of those that they have reaped."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def of_process(pid: int) -> float:
    """CPU seconds of a running process itself."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class Stages:
    """CPU seconds of judge and kernels by stage of grading; what no stage counts is the rest: above all, how kernels end."""

    def __init__(self) -> None:
        self.judge: dict[str, float] = defaultdict(float)
        self.kernels: dict[str, float] = defaultdict(float)

    def watch(self) -> None:
        """Count what happens in the stages of `grade` from now on."""
        clock: Any = grade._Clock
        stage = clock.stage

        @contextlib.contextmanager
        def counted(itself: Any, name: str) -> Iterator[None]:
            judge, kernels = time.process_time(), of_kernels()
            with stage(itself, name):
                yield
            self.judge[name] += time.process_time() - judge
            self.kernels[name] += of_kernels() - kernels

        clock.stage = counted


def of_kernels() -> float:
    """CPU seconds of all descendants of this process, whether they still run or not: it never shrinks."""
    found, waiting = of_children(), [os.getpid()]
    while waiting:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{waiting.pop()}/task").iterdir():
                for child in map(int, (task / "children").read_text(encoding="ascii").split()):
                    fields = (
                        Path(f"/proc/{child}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
                    )
                    found += sum(map(int, fields[11:15])) / _TICKS
                    waiting.append(child)
    return found


def reap_all(seconds: float = 0.5) -> None:
    """Wait for the children that end now, adopted ones as well."""
    last = time.monotonic() + seconds
    while time.monotonic() < last:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:
            return


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--results", type=Path, help="a folder for the results, without their times")
    chosen = parser.parse_args()
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)
    assignment = load_assignment()
    prepare(assignment)
    gc.freeze()
    with tempfile.TemporaryDirectory() as folder:
        with WarmParent(environment(Path(folder))) as warm:
            judge(
                chosen.notebooks[0], assignment, Request(warm=warm)
            )  # imports, and frames that are the same for all
        reap_all()
        before = of_children()
        with WarmParent(environment(Path(folder))) as warm:
            start = of_process(warm.pid)
            stages = Stages()
            stages.watch()
            began, used = time.perf_counter(), time.process_time()
            for path in chosen.notebooks:
                result = judge(path, assignment, Request(warm=warm)).result
                if chosen.results is not None:
                    plain = json.loads(result.to_json())
                    del plain["seconds"]
                    for cell in plain["cells"]:
                        del cell["seconds"]
                    text = json.dumps(plain, indent=1, sort_keys=True)
                    (chosen.results / f"{path.stem}.json").write_text(text, encoding="utf-8")
            wall, own = time.perf_counter() - began, time.process_time() - used
        reap_all()
        kernels = of_children() - before - start
    count = len(chosen.notebooks)
    found = {"judge": own, "kernels": kernels, "wall": wall}
    found |= {f"judge, {name}": seconds for name, seconds in stages.judge.items()}
    found |= {f"kernels, {name}": seconds for name, seconds in stages.kernels.items()}
    found["judge, the rest"] = own - sum(stages.judge.values())
    found["kernels, the rest"] = kernels - sum(stages.kernels.values())
    json.dump({name: seconds / count for name, seconds in found.items()}, sys.stdout)


if __name__ == "__main__":
    main()
