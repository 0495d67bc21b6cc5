"""Where a right answer's CPU time goes: in the judge by property, in the kernel and its children by part.

    python -m benchmarks.properties [--part 2a] [--top 15] [--rounds 5] [--json FILE]

Judges the reference in a process without isolation, several times, and prints the least of each figure. Cases are drawn
before the clock starts, as they are drawn once for a class. Compare two checkouts on one quiet machine, in turn, by ratio.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from grader.assignment import PUBLIC_SEED, load_assignment
from grader.audit.corpus import reference_cells
from grader.audit.fast import FastKernel
from grader.judging.cases import cases_for
from grader.judging.engine import Engine
from grader.judging.property import Property


def of_children() -> float:
    """CPU seconds of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def judged(cells: Sequence[str], properties: Sequence[Property]) -> tuple[dict[str, float], float]:
    """The judge's CPU seconds by property, and those of a kernel in which the cells ran and these properties were judged."""
    before, spent = of_children(), {}
    methods = load_assignment().provided_methods
    with FastKernel(cells) as kernel, Engine(kernel, PUBLIC_SEED, methods) as engine:
        for prop in properties:
            started = time.process_time()
            engine.judge([prop])
            spent[prop.name] = time.process_time() - started
    return spent, of_children() - before


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", help="only the properties of one item, such as 2a")
    parser.add_argument("--top", type=int, default=15, help="how many properties to list (15)")
    parser.add_argument("--rounds", type=int, default=5, help="how often to judge the reference (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    chosen = parser.parse_args()
    groups: defaultdict[str, list[Property]] = defaultdict(list)
    for prop in load_assignment().properties:
        if chosen.part in (None, prop.part.item):
            groups[prop.part.item].append(prop)
            cases_for(prop, PUBLIC_SEED)
    if not groups:
        parser.error(f"there is no automatic item {chosen.part}")
    cells = reference_cells()
    rounds = [
        {item: judged(cells, sorted(properties, key=lambda prop: prop.name)) for item, properties in groups.items()}
        | {"cells": judged(cells, ())}
        for _ in range(chosen.rounds)
    ]
    empty = min(found["cells"][1] for found in rounds)
    judge = {
        prop.name: min(found[item][0][prop.name] for found in rounds)
        for item, properties in groups.items()
        for prop in properties
    }
    kernel = {item: min(found[item][1] for found in rounds) - empty for item in groups}
    print(f"{'ms of CPU':52}{'judge':>8}{'kernel':>8}")
    for name, seconds in sorted(judge.items(), key=lambda row: -row[1])[: chosen.top]:
        print(f"{name:52.52}{1000 * seconds:8.1f}")
    for item, properties in sorted(groups.items()):
        print(f"{item:52}{1000 * sum(judge[prop.name] for prop in properties):8.1f}{1000 * kernel[item]:8.1f}")
    print(f"{'all':52}{1000 * sum(judge.values()):8.1f}{1000 * sum(kernel.values()):8.1f}")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"judge": judge, "kernel": kernel}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
