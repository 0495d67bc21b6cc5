"""What a submission costs in CPU seconds: right, mixed, the template, one in which everything raises; cold, and the help.

    python -m benchmarks.costs [KIND ...] [--number 8] [--rounds 3] [--against CHECKOUT]

On a machine that others use, only figures of one run compare: with ``--against`` another checkout is measured by turns in the
same run. The least of all rounds counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.classes import KINDS, make_class
from benchmarks.watching import ROOT

INNER = Path(__file__).with_name("judging_costs.py")
SINGLE = ("cold", "help")


def environment(checkout: Path) -> dict[str, str]:
    """As a checkout's grader is run."""
    return {**os.environ, "PYTHONPATH": str(checkout), "OPENBLAS_NUM_THREADS": "1"}


def in_class(checkout: Path, notebooks: Sequence[Path]) -> dict[str, float]:
    """CPU seconds of judge and kernels, and wall seconds, for each notebook of a class."""
    command = [sys.executable, str(INNER), *map(str, notebooks)]
    ran = subprocess.run(command, cwd=checkout, env=environment(checkout), stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def command(checkout: Path, *arguments: str) -> dict[str, float]:
    """CPU seconds of a command of the grader, with all that it starts, and its wall seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    line = [sys.executable, "-m", "grader", *arguments]
    subprocess.run(line, cwd=checkout, env=environment(checkout), stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"all": used, "wall": time.perf_counter() - began}


def measure(kind: str, checkout: Path, folder: Path) -> dict[str, float]:
    """One round of a kind in a checkout."""
    if kind == "help":
        return command(checkout, "--help")
    if kind == "cold":
        notebook = folder / "right" / "student0000.ipynb"
        return command(checkout, "grade", str(notebook), "--training", "never")
    return in_class(checkout, sorted((folder / kind).glob("*.ipynb")))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, *SINGLE, []], metavar="KIND")
    parser.add_argument("--number", type=int, default=8, help="how many notebooks of each kind (8)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument(
        "--against", type=Path, action="append", default=[], metavar="CHECKOUT", help="measure it as well"
    )
    parser.add_argument("--stages", action="store_true", help="also by stage, in milliseconds")
    chosen = parser.parse_args()
    kinds = chosen.kinds or [*KINDS, *SINGLE]
    checkouts = [*(path.resolve() for path in chosen.against), ROOT]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in {"right", *kinds} & set(KINDS):
            make_class(folder / kind, chosen.number, kind)
        print(f"{'CPU s a submission':16} {'judge':>8}{'kernels':>9}{'all':>8}{'wall':>8}")
        for kind in kinds:
            found: dict[Path, list[dict[str, float]]] = {checkout: [] for checkout in checkouts}
            for _ in range(chosen.rounds):
                for checkout in checkouts:
                    found[checkout].append(measure(kind, checkout, folder))
            for checkout in checkouts:
                least = min(found[checkout], key=_whole)
                print(f"{kind:10} {checkout.name:8}{_row(least)}", flush=True)
                for stage, seconds in least.items() if chosen.stages else ():
                    if "," in stage:
                        print(f"    {stage:24}{1000 * seconds:8.0f} ms", flush=True)


def _whole(found: dict[str, float]) -> float:
    return found.get("all", found.get("judge", 0.0) + found.get("kernels", 0.0))


def _row(found: dict[str, float]) -> str:
    parts = f"{found['judge']:8.3f}{found['kernels']:9.3f}" if "judge" in found else " " * 17
    return f"{parts}{_whole(found):8.3f}{found['wall']:8.3f}"


if __name__ == "__main__":
    main()
