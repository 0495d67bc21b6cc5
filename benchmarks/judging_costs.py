"""Judges notebooks one after the other, as a worker of a batch does, and prints what that cost in CPU seconds, as JSON.

    python judging_costs.py NOTEBOOK ... [--profile FILE]

Run by `costs` in whatever checkout is measured, so it uses of the grader only what all versions have. Starting (imports, cases,
the warm parent) is not counted. Kernels cost what all processes took that have ended, orphans included.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

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
    with tempfile.TemporaryDirectory() as folder:
        with WarmParent(environment(Path(folder))) as warm:
            judge(
                chosen.notebooks[0], assignment, Request(warm=warm)
            )  # imports, and frames that are the same for all
        reap_all()
        before = of_children()
        with WarmParent(environment(Path(folder))) as warm:
            start = of_process(warm.pid)
            began, used = time.perf_counter(), time.process_time()
            for path in chosen.notebooks:
                result = judge(path, assignment, Request(warm=warm)).result
                if chosen.results is not None:
                    found = json.loads(result.to_json())
                    del found["seconds"]
                    for cell in found["cells"]:
                        del cell["seconds"]
                    text = json.dumps(found, indent=1, sort_keys=True)
                    (chosen.results / f"{path.stem}.json").write_text(text, encoding="utf-8")
            wall, own = time.perf_counter() - began, time.process_time() - used
        reap_all()
        kernels = of_children() - before - start
    count = len(chosen.notebooks)
    json.dump({"judge": own / count, "kernels": kernels / count, "wall": wall / count}, sys.stdout)


if __name__ == "__main__":
    main()
