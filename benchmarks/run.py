"""What grading costs here: a single notebook by stage, a class by number and jobs, memory, and a table beside other graders.

All in one run, as only ratios of one run mean something on a machine that others use too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from benchmarks import others
from benchmarks.classes import KINDS, make_class
from benchmarks.watching import ROOT, children, watched

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def timed(action: Callable[[], Any]) -> float:
    """Wall seconds."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def grader(*arguments: object) -> list[str]:
    """A command line of this grader."""
    return [sys.executable, "-m", "grader", *map(str, arguments)]


def run(command: list[str]) -> None:
    """Run a command of this grader; its output is of no interest unless it fails."""
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{ran.stdout[-2000:]}\n{ran.stderr[-2000:]}")


# -- a batch, watched from outside -------------------------------------------------------------------------------


@dataclass
class Watched:
    """CPU seconds and private memory (MB) of a batch's processes, the largest that was seen of each."""

    judge: dict[int, float] = field(default_factory=dict)
    parents: dict[int, float] = field(default_factory=dict)
    memory: dict[int, float] = field(default_factory=dict)
    main: int = 0

    @property
    def cpu(self) -> tuple[float, float]:
        """The judge's (main process and workers) and the kernels' seconds."""
        return sum(self.judge.values()), sum(self.parents.values())

    def worker_memory(self) -> float:
        """The most that a worker holds for itself."""
        return max((mb for pid, mb in self.memory.items() if pid != self.main), default=0.0)

    def look(self, main: int) -> None:
        """Take one sample of a batch and its children."""
        self.main = main
        for pid in [main, *children(main)]:
            with contextlib.suppress(OSError, IndexError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                own, reaped = (
                    (int(fields[11]) + int(fields[12])) / _TICKS,
                    (int(fields[13]) + int(fields[14])) / _TICKS,
                )
                if b"launch.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    # What the parent itself used was for starting, once.
                    self.parents[pid] = reaped
                else:
                    self.judge[pid] = own
                    self.memory[pid] = max(self.memory.get(pid, 0.0), _private(pid))


def _private(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def batch(folder: Path, out: Path, jobs: int, limit: int | None = None) -> tuple[float, Watched]:
    """Grade a class; wall seconds from the shell to the reports, and what was seen of its processes."""
    command = grader("batch", folder, "--out", out, "--jobs", jobs, "--training", "never")
    command += ["--limit", str(limit)] if limit else []
    seen = Watched()
    return watched(command, seen.look), seen


# -- single measurements -----------------------------------------------------------------------------------------

_COLD_KERNEL = """
import nbformat, nbclient
client = nbclient.NotebookClient(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import torch")]))
import time; started = time.perf_counter(); client.execute(); print(time.perf_counter() - started)
"""


def cold_kernel() -> float:
    """Seconds until nbclient has started a kernel and run ``import torch`` in it."""
    ran = subprocess.run([sys.executable, "-c", _COLD_KERNEL], capture_output=True, text=True, check=True)
    return float(ran.stdout)


def warm_kernels(count: int) -> tuple[list[float], list[str]]:
    """Seconds until a forked kernel has run ``import torch``, with all layers of isolation, and which these are."""
    from grader.assignment import load_assignment  # noqa: PLC0415
    from grader.kernel.process import WarmParent, environment  # noqa: PLC0415
    from grader.kernel.session import Session  # noqa: PLC0415
    from grader.submission.planning import make_plan  # noqa: PLC0415
    from grader.submission.reading import parse_notebook  # noqa: PLC0415

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import torch")])
    data = nbformat.writes(notebook).encode()
    plan = make_plan(parse_notebook(data, "first.ipynb"), load_assignment().template)
    seconds, layers = [], []
    with tempfile.TemporaryDirectory() as folder, WarmParent(environment(Path(folder))) as warm:
        for _ in range(count):
            started = time.perf_counter()
            with Session(plan, warm=warm) as session:
                session.run_cells()
                seconds.append(time.perf_counter() - started)
                layers = session.layers
                assert [cell.status for cell in session.outcomes] == ["ok"], session.outcomes
    return seconds, layers


def stages(notebook: Path, folder: Path) -> dict[str, float]:
    """Seconds by stage of grading one notebook cold, and in all from the shell to the table."""
    result = folder / "single.json"
    whole = timed(lambda: run(grader("grade", notebook, "--json", result, "--training", "never")))
    found: dict[str, float] = json.loads(result.read_text(encoding="utf-8"))["seconds"]
    return {**found, "shell to table": whole}


# -- the whole ---------------------------------------------------------------------------------------------------


def measure(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """All figures."""
    count = arguments.submissions
    paths = make_class(work / "class", count)
    figures: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "load before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
    say("single notebook, cold")
    singles = [stages(paths[0], work) for _ in range(arguments.repeat)]
    figures["cold, by stage (s)"] = {
        name: round(statistics.median(single[name] for single in singles), 2) for name in singles[0]
    }
    say("kernels")
    cold = [cold_kernel() for _ in range(arguments.repeat)]
    warm, layers = warm_kernels(10)
    figures["first cell (s)"] = {
        "nbclient, cold": round(statistics.median(cold), 3),
        "warm, all layers": round(statistics.median(warm), 3),
        "ratio": round(statistics.median(cold) / statistics.median(warm), 1),
        "layers": layers,
    }
    say(f"batch of {count}, 2 jobs")
    seconds, watched = batch(work / "class", work / "out2", 2)
    judge, kernels = watched.cpu
    say(f"batch of {count}, 1 job")
    alone, _ = batch(work / "class", work / "out1", 1)
    figures["two jobs against one (times)"] = round(alone / seconds, 2)
    figures["CPU s a submission"] = {
        "judge, wire, scoring": round(judge / count, 3),
        "kernels": round(kernels / count, 3),
    }
    figures["private memory of a worker (MB)"] = round(watched.worker_memory(), 1)
    figures["warm single, by stage (s)"] = warm_stages(work / "out2")
    growth, coordinator = {}, {}
    for size in arguments.growth:
        say(f"batch of {size}")
        make_class(work / f"class{size}", size)
        took, watched = batch(work / f"class{size}", work / f"out{size}", 2)
        growth[size], coordinator[size] = round(took / size, 3), watched.judge[watched.main]
    figures["seconds a submission by number"] = growth
    if len(growth) > 1:
        (few, least), *_, (many, most) = sorted(coordinator.items())
        figures["CPU ms of the main process for one more submission"] = round(1000 * (most - least) / (many - few), 1)
    return figures


@dataclass
class Compared:
    """Seconds for one notebook cold, from the shell to its result, and for each notebook of a class, by grader."""

    cold: dict[str, float]
    of_class: dict[str, float]


def compare(kind: str, arguments: argparse.Namespace, work: Path) -> Compared:
    """All graders on notebooks of a kind. otter-grader knows no class: it grades one notebook after the other."""
    paths = make_class(work / "ours", arguments.submissions, kind)
    few = paths[: arguments.others]
    say(f"{kind}: this grader")
    cold = [timed(lambda: run(grader("grade", paths[0], "--training", "never"))) for _ in range(arguments.repeat)]
    ours = statistics.median(cold), batch(work / "ours", work / "out", 2)[0] / len(paths)
    say(f"{kind}: otter-grader, {len(few)} notebooks")
    python = others.environment(arguments.cache, "otter-grader")
    others.prepare_otter(python, work / "otter")
    each = [timed(lambda path=path: others.otter(python, work / "otter", path)) for path in few]  # type: ignore[misc]
    otter = statistics.median(each)
    say(f"{kind}: nbgrader, {len(few)} notebooks")
    python = others.environment(arguments.cache, "nbgrader")
    took = []
    for name, chosen in (("one", few[:1]), ("class", few)):
        others.prepare_nbgrader(python, work / name, chosen)
        took.append(timed(lambda name=name: others.nbgrader(python, work / name)) / len(chosen))  # type: ignore[misc]
    return Compared(
        cold={"this grader": ours[0], "otter-grader": otter, "nbgrader": took[0]},
        of_class={"this grader": ours[1], "otter-grader": otter, "nbgrader": took[1]},
    )


def comparison(found: dict[str, Compared]) -> str:
    """A Markdown table of all graders and kinds; in brackets how many times as long as this grader takes."""
    names = list(next(iter(found.values())).cold)
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for kind, compared in found.items():
        for where, seconds in (("cold", compared.cold), ("in a class", compared.of_class)):
            own = seconds[names[0]]
            cells = [f"{seconds[name]:.2f} s" + (f" ({seconds[name] / own:.1f})" if name != names[0] else "") for name in names]
            lines.append(f"| {kind}, {where} | {' | '.join(cells)} |")
    return "\n".join(lines)


def warm_stages(out: Path) -> dict[str, float]:
    """Median seconds by stage in a batch."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in (out / "results").glob("*.json")]
    names = results[0]["seconds"]
    return {
        name: round(statistics.median(result["seconds"][name] for result in results), 2) for name in names
    }


def say(text: str) -> None:
    """What is measured now."""
    print(f"measuring: {text}", file=sys.stderr)


def table(figures: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    lines = ["| | |", "|---|---|"]
    for name, value in figures.items():
        shown = (
            "; ".join(f"{key}: {_shown(part)}" for key, part in value.items())
            if isinstance(value, dict)
            else value
        )
        lines.append(f"| {name} | {shown} |")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def main() -> None:
    """Parse arguments, measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--submissions", type=int, default=40, help="size of the class")
    parser.add_argument("--others", type=int, default=8, help="how many of them the other graders grade")
    parser.add_argument("--kinds", nargs="+", default=["right", "mixed", "template"], choices=KINDS, help="what all grade")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--compare", action="store_true", help="only the table beside the other graders")
    only.add_argument("--alone", action="store_true", help="without the other graders")
    parser.add_argument("--repeat", type=int, default=3, help="how often single things are measured")
    parser.add_argument(
        "--growth", type=int, nargs="*", default=[10, 100], help="further class sizes, such as 1000"
    )
    parser.add_argument("--json", type=Path, default=Path("benchmark.json"))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "hw3-benchmarks")
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="hw3-benchmark-"))
    figures: dict[str, Any] = {}
    compared: dict[str, Compared] = {}
    try:
        if not arguments.compare:
            figures = measure(arguments, work)
            print(table(figures), flush=True)
        if not arguments.alone:
            compared = {kind: compare(kind, arguments, work / kind) for kind in arguments.kinds}
            print(comparison(compared))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    figures["seconds"] = {kind: asdict(found) for kind, found in compared.items()}
    arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
