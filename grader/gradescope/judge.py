"""The process that grades the submission in the platform's container; `run` starts it and watches over it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from grader.assignment import Assignment, load_assignment
from grader.errors import GraderError, NothingToGrade
from grader.grade import Judged, Request, judge
from grader.gradescope.metadata import lateness, read_metadata
from grader.gradescope.place import (
    COMFORTABLE_MEMORY,
    MIB,
    Place,
)
from grader.gradescope.results import message_only, to_gradescope, write_results
from grader.kernel import confinement
from grader.kernel.session import Limits
from grader.lifetime import end_with_forking_process
from grader.memory import free_memory, times_out_of_memory
from grader.scoring.result import Result
from grader.scoring.rubric import Rubric
from grader.submission.handin import HandIn, files_in, find_among
from grader.training.plan import Options

Judge = Callable[[HandIn, Assignment, Request], Judged]
OUR_OWN_MEMORY = 250 * MIB
"""What this process and the one above it need, with room to spare."""
LEAST_MEMORY = 450 * MIB
"""With less, torch itself does not load."""


def main() -> int:
    """Grade; exit status 0 when the final result stands."""
    end_with_forking_process(os.getppid())
    place = Place.here()
    grade_in(place, float(sys.argv[1]) if len(sys.argv) > 1 else place.minutes * 60 * 0.85)
    return 0


def grade_in(
    place: Place, seconds_left: float, judge: Judge = judge, host: confinement.Host | None = None
) -> None:
    """Grade what was handed in, and write the results. What goes to standard output, instructors see.

    ``host`` is what this machine offers for isolation; by default, that is found out.
    """
    started = time.monotonic()
    host = host or confinement.probe()
    free = free_memory()
    seed = place.source / "seed.txt" if place.secret_seed else None
    # `_unsafe` decides what is enough here.
    assignment = replace(load_assignment(place.source / "rubric.yaml", seed), least_isolation="basic")
    rubric = assignment.rubric
    training = min(60.0 * rubric.gradescope.training_minutes, max(seconds_left - 120, 0.0))
    assignment = replace(assignment, limits=limits_for(seconds_left - training, free))
    metadata = read_metadata(place.metadata)
    late = lateness(metadata, rubric.gradescope.lateness)
    _print_host(host, free, late.note)
    if (reason := _unsafe(place, host)) is not None:
        print(f"refused: {reason}")
        _write(
            place,
            message_only(
                f"This container cannot isolate submissions, so nothing was graded: {reason}.", rubric
            ),
        )
        return
    try:
        found = find_among(files_in(place.submission), assignment.template)
    except NothingToGrade as error:
        print(f"nothing to grade: {error}")
        _write(place, message_only(str(error), rubric, time.monotonic() - started))
        return

    notes: list[str] = []
    killed_before = times_out_of_memory()

    def tell(result: Result, *, provisional: bool) -> None:
        _write(
            place,
            to_gradescope(
                result,
                rubric,
                late=late,
                metadata=metadata,
                seconds=time.monotonic() - started,
                provisional=provisional,
                notes=notes,
            ),
        )

    def partial(result: Result) -> None:
        print(
            f"{time.monotonic() - started:6.1f} s  {result.score:g} of {result.max_score:g} points so far",
            flush=True,
        )
        tell(result, provisional=True)

    print("\n".join(found.notes) or f"grading {found.name}")
    found = replace(found, place=place.submission)
    result = judge(found, assignment, Request(partial=partial, training=training_options(training))).result
    if times_out_of_memory() > killed_before:
        notes += _out_of_memory(free)
    tell(result, provisional=False)
    _print_result(result, rubric)


def limits_for(seconds: float, free: int | None) -> Limits:
    """How a run's time is shared out: each item has time of its own, however long those before it take."""
    usual = Limits()
    start = min(usual.start, seconds / 6)
    cells = min(usual.cells, 0.4 * seconds)
    part = min(usual.part, max((seconds - start - cells) / 8, 1.0))
    limits = replace(
        usual,
        start=start,
        cells=cells,
        cell=min(usual.cell, cells / 2),
        part=part,
        property=min(usual.property, part / 2),
        total=seconds,
    )
    if free is None:
        return limits
    # Less than the machine has: who takes too much gets an error that names the line, and ends nobody else.
    memory = max(free - OUR_OWN_MEMORY, LEAST_MEMORY)
    return replace(limits, memory=min(memory, confinement.Budget().memory))


def training_options(seconds: float) -> Options:
    """A checkpoint is verified; without one the model is trained if time is set aside, half of it for a second attempt."""
    if seconds <= 0:
        return Options("verify")
    return Options("allotted", minutes=seconds / 120)


def _unsafe(place: Place, host: confinement.Host) -> str | None:
    """Why a submission could read the seed or write its own results here, or None."""
    if host.root and host.identity == "shared":
        return f"submissions would run as root ({host.why_shared})"
    if host.landlock:
        return None
    if host.identity != "own":
        return f"submissions could read all that the grader can ({host.why_shared}), and Landlock is missing"
    if (path := place.open_to_others()) is not None:
        return f"{path} is open to other users and cannot be closed, and Landlock is missing"
    return None


def _out_of_memory(free: int | None) -> list[str]:
    size = "" if free is None else f" ({free / MIB:.0f} MB were free at the start)"
    return [
        f"The container ran out of memory{size}, and the system ended a process of this submission. "
        "Failures below that mention memory may be caused by this; ask your instructor for a container with more memory."
    ]


def _write(place: Place, results: dict[str, Any]) -> None:
    write_results(place.results, results)


def _print_host(host: confinement.Host, free: int | None, late: str) -> None:
    memory = "unknown" if free is None else f"{free / MIB:.0f} MB"
    print(f"isolation: {host.level}; memory to spare: {memory}; CPUs: {os.cpu_count()}")
    if free is not None and free < COMFORTABLE_MEMORY:
        print(
            "warning: little memory; give the assignment's container 3 GB in Gradescope's autograder settings"
        )
    if late:
        print(f"this submission was {late}")


def _print_result(result: Result, rubric: Rubric) -> None:
    lines: Sequence[str] = [
        f"{criterion.id}: {criterion.status}  {criterion.points:g} of {criterion.max_points:g}"
        for item in result.items
        for criterion in item.criteria
    ]
    print("\n".join(lines))
    for flag in result.flags:
        print(f"needs review: {flag.kind}: {flag.message}")
    print(f"rubric {rubric.version}, {result.seconds}")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        try:
            sys.exit(main())
        except GraderError as error:
            print(f"the grader cannot grade here: {error}")
            sys.exit(2)
