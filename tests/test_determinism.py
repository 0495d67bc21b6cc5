"""One submission, one verdict, byte for byte: whatever the hash seed, the threads and the order of items."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from grader.homework3 import HOMEWORK

RUN = """
import dataclasses, json, random, sys, tempfile
from pathlib import Path
from grader.assignment import load_assignment
from grader.grade import grade
from grader.kernel.process import WarmParent, environment

path, order, times = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
assignment = load_assignment()
items = list(assignment.rubric.items)
with tempfile.TemporaryDirectory() as folder, WarmParent(environment(Path(folder))) as warm:
    for number in range(times):
        random.Random(order + number).shuffle(items)
        rubric = assignment.rubric.model_copy(update={"items": tuple(items)})
        result = json.loads(grade(path, dataclasses.replace(assignment, rubric=rubric), warm=warm).to_json())
        result["items"].sort(key=lambda item: item["id"])
        del result["seconds"]
        for cell in result["cells"]:
            del cell["seconds"]
        print(json.dumps(result, sort_keys=True))
"""


def verdicts(hash_seed: int, threads: int, times: int) -> list[str]:
    """Results of the example without its times, from a process of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "OMP_NUM_THREADS": str(threads)}
    example = str(HOMEWORK.examples / "honest_mistakes.ipynb")
    command = [sys.executable, "-c", RUN, example, str(hash_seed), str(times)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_same_verdict_under_other_circumstances() -> None:
    lines = [*verdicts(1, 1, 1), *verdicts(2, 4, 2)]
    assert len(lines) == 3
    assert json.loads(lines[0])["score"] > 0
    assert len(set(lines)) == 1


@pytest.mark.slow
def test_same_verdict_fifty_times() -> None:
    lines = [line for seed in range(10) for line in verdicts(seed, seed % 4 + 1, 5)]
    assert len(lines) == 50
    assert len(set(lines)) == 1
