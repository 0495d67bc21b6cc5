"""Judges the corpus: every entry by every automatic criterion, in parallel."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from grader.assignment import PUBLIC_SEED, Assignment, load_assignment
from grader.audit.corpus import Case
from grader.grade import grade
from grader.homework import Homework, load_homework
from grader.judging.engine import Engine
from grader.kernel.warm import Door, WarmHost, client_of
from grader.lifetime import end_with_spawning_process
from grader.scoring.result import ItemResult
from grader.scoring.score import score
from grader.scoring.verdict import Verdict as PropertyVerdict


@dataclass(frozen=True)
class Verdict:
    """What a case lost, with the grader's word for each criterion, and what went wrong beside it."""

    name: str
    lost: tuple[tuple[str, str], ...]
    errors: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def criteria(self) -> frozenset[str]:
        """The criteria that failed."""
        return frozenset(criterion for criterion, _ in self.lost)


def _assignment(seed: bytes) -> Assignment:
    return _of_homework(load_homework(), seed)


@cache
def _of_homework(homework: Homework, seed: bytes) -> Assignment:
    return replace(load_assignment(homework=homework), seed=seed, least_isolation=None)


def judge_fast(
    case: Case, seed: bytes = PUBLIC_SEED, *, shrink: bool = True, own_part: bool = False
) -> Verdict:
    """Judge a case in a fork of this process, without any isolation; ``shrink`` makes counterexamples small, which is slow.

    With ``own_part`` only the properties of the case's own part are judged, and other parts lose nothing.
    """
    started = time.perf_counter()
    found = property_verdicts(case, seed, shrink=shrink, own_part=own_part)
    rubric = _assignment(seed).rubric
    items = [item for item in score(rubric, found.verdicts) if not own_part or item.id == case.part]
    return _verdict(case, items, found.errors, found.notes, time.perf_counter() - started)


@dataclass(frozen=True)
class Found:
    """The verdicts on a case by property, errors of its cells, and notes on how it was judged."""

    verdicts: Mapping[str, PropertyVerdict]
    errors: tuple[str, ...]
    notes: tuple[str, ...]


def property_verdicts(
    case: Case, seed: bytes = PUBLIC_SEED, *, shrink: bool = True, own_part: bool = False
) -> Found:
    """What `judge_fast` makes its verdict of."""
    from grader.audit.fast import FastKernel  # noqa: PLC0415  (imports torch)

    assignment = _assignment(seed)
    with (
        FastKernel(case.cells) as kernel,
        Engine(
            kernel,
            seed,
            assignment.provided_methods,
            assignment.shrink_calls if shrink else 1,
            assignment.homework,
        ) as engine,
    ):
        verdicts = engine.judge(prop for prop in assignment.properties if not own_part or prop.part.item == case.part)
    return Found(verdicts, tuple(kernel.errors), tuple(engine.notes.values()))


def judge_real(case: Case, seed: bytes = PUBLIC_SEED, warm: str | None = None) -> Verdict:
    """Judge a case as a submission: a notebook file, through a confined kernel, forked from who listens at ``warm``."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        path = Path(folder) / "submission.ipynb"
        path.write_text(case.notebook(), encoding="utf-8")
        result = grade(path, _assignment(seed), warm=client_of(warm))
    broken = [f"cell {cell.number}: {cell.error}" for cell in result.cells if cell.error]
    if result.error is not None:
        broken.append(result.error)
    notes = [note for item in result.items if item.kind == "automatic" for note in item.notes]
    return _verdict(case, result.items, broken, notes, time.perf_counter() - started)


def _verdict(
    case: Case, items: Sequence[ItemResult], broken: Iterable[str], notes: Iterable[str], seconds: float
) -> Verdict:
    """The verdict of judged items; a cell of the corpus that raises is an error, as it hides what was to be judged."""
    lost, errors = [], list(broken)
    for item in items:
        for criterion in item.criteria:
            if criterion.status == "failed":
                lost.append((criterion.id, f"{criterion.requirement} {criterion.message}"))
            elif criterion.status == "error":
                errors.append(f"{criterion.id}: {criterion.message}")
        if item.kind == "automatic" and not item.criteria:
            errors.append(f"{item.id} was not judged")
    return Verdict(case.name, tuple(lost), tuple(errors), tuple(notes), round(seconds, 2))


@dataclass(frozen=True)
class Mode:
    """How cases are judged.

    Args:
        fast: in forks without isolation rather than through confined kernels.
        shrink: whether a fast audit makes counterexamples small, which is slow.
        own_part: whether a fast audit judges only the properties of a case's own part.
        cold: whether each confined kernel is an interpreter of its own. That takes three times as long and changes no verdict.
        seed_count: by how many seeds each case is judged.
    """

    fast: bool
    shrink: bool = True
    own_part: bool = False
    cold: bool = False
    seed_count: int = 1


def _judge(case: Case, mode: Mode, seed: bytes, warm: str | None) -> Verdict:
    if mode.fast:
        return judge_fast(case, seed, shrink=mode.shrink, own_part=mode.own_part)
    return judge_real(case, seed, warm)


def _begin(door: Door | None) -> None:
    end_with_spawning_process()
    if door is not None:
        door.keep()


def seeds(count: int) -> list[bytes]:
    """The public seed and ``count - 1`` others, as no verdict may depend on one seed."""
    return [PUBLIC_SEED, *(b"audit seed %d" % number for number in range(1, count))]


def judge_all(
    cases: Sequence[Case],
    mode: Mode,
    *,
    jobs: int | None = None,
    done: Callable[[Verdict], None] = lambda verdict: None,
    executor: Executor | None = None,
) -> list[tuple[Case, Verdict]]:
    """The verdicts on all cases, seed by seed, in the order of the cases; ``done`` is told each as soon as it is known."""
    with contextlib.ExitStack() as stack:
        warm = door = None
        if not (mode.fast or mode.cold):
            host = stack.enter_context(WarmHost())
            warm, door = (host.address, host.door) if host.ensure() else (None, None)
        if executor is None:
            # Workers start from nothing: a fork of a process with threads (progress bars) may hang.
            executor = ProcessPoolExecutor(
                jobs or os.cpu_count(), multiprocessing.get_context("spawn"), _begin, (door,)
            )
            stack.callback(executor.shutdown, cancel_futures=True)
        tasks = [
            (executor.submit(_judge, case, mode, seed, warm), case)
            for seed in seeds(mode.seed_count)
            for case in cases
        ]
        for future in as_completed([future for future, _ in tasks]):
            done(future.result())
        return [(case, future.result()) for future, case in tasks]
