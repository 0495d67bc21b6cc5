"""Whether results hang on the machine's load: grades notebooks on it as it is, and again beside processes that spin.

    python -m tests.under_load [--spin 8] [--variants 40] [NOTEBOOK_OR_FOLDER ...]

Grades the example, the samples in tests/field, right answers of the audit's corpus and what is named; compares results byte
for byte but for times, and says which differ.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from grader.assignment import Assignment, load_assignment
from grader.audit.corpus import load_all
from grader.grade import grade
from grader.homework3 import HOMEWORK
from grader.kernel.process import WarmParent, environment

FIELD = Path(__file__).parent / "field"


def notebooks(folder: Path, variants: int, more: Sequence[Path] = ()) -> dict[str, Path]:
    """What to grade, by name; right answers of the corpus are written to ``folder``."""
    found: dict[str, Path] = {}
    for place in (HOMEWORK.examples, FIELD, *more):
        for path in sorted(place.glob("*.ipynb")) if place.is_dir() else [place]:
            found[f"{place.name}/{path.name}" if place.is_dir() else path.name] = path
    criteria = [criterion.id for item in load_assignment().rubric.automatic for criterion in item.criteria]
    right = [case for case in load_all(criteria) if case.entry.kind == "variant"]
    for case in random.Random(0).sample(right, min(variants, len(right))):
        path = folder / f"{case.name.replace('/', '-')}.ipynb"
        path.write_text(case.notebook(), encoding="utf-8")
        found[f"variant {case.name}"] = path
    return dict({path.read_bytes(): (name, path) for name, path in found.items()}.values())  # once each


def results(chosen: Mapping[str, Path], assignment: Assignment) -> Iterator[tuple[str, str]]:
    """The result of each notebook as text, without its times, by its name."""
    with tempfile.TemporaryDirectory() as folder, WarmParent(environment(Path(folder))) as warm:
        for name, path in chosen.items():
            result = json.loads(grade(path, assignment, warm=warm).to_json())
            del result["seconds"]
            for cell in result["cells"]:
                del cell["seconds"]
            yield name, json.dumps(result, indent=1, sort_keys=True)


def _spin(parent: int) -> None:
    # Whoever kills the parent kills this too.
    while os.getppid() == parent:
        sum(range(1000))


@contextlib.contextmanager
def spinning(count: int) -> Iterator[None]:
    """Beside so many processes that take all the time they get."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_spin, args=(os.getpid(),), daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def differences(chosen: Mapping[str, Path], assignment: Assignment, spin: int) -> Iterator[tuple[str, str]]:
    """What differs beside spinning processes, by notebook; nothing where the results are the same."""
    quiet = dict(results(chosen, assignment))
    with spinning(spin):
        for name, busy in results(chosen, assignment):
            yield name, "\n".join(difflib.unified_diff(quiet[name].split("\n"), busy.split("\n"), "quiet", "busy", lineterm=""))


def main() -> int:
    """Compare, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--spin", type=int, default=8, help="processes that spin")
    parser.add_argument("--variants", type=int, default=40, help="right answers of the audit's corpus")
    parser.add_argument("more", nargs="*", type=Path, metavar="NOTEBOOK_OR_FOLDER")
    given = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        chosen = notebooks(Path(folder), given.variants, given.more)
        differing = 0
        for name, difference in differences(chosen, load_assignment(), given.spin):
            differing += difference != ""
            print(f"{name}: {difference or 'the same'}", flush=True)
    seconds = time.monotonic() - started
    print(f"{differing} of {len(chosen)} results differ beside {given.spin} spinning processes ({seconds:.0f} s)")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
