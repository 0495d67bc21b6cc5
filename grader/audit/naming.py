"""Shows how well a table of fingerprints names causes: faults held out one at a time, and mutants that people named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from rich.console import Console
from rich.table import Table

from grader.insight.fingerprints import Fingerprints
from grader.insight.holdout import BINS, OUTCOMES, Named, from_outside, held_out, named


def print_naming(table: Fingerprints, console: Console) -> None:
    """How often the first guess is right, for what has a known cause and for what has none, and how honest confidence is."""
    trials = held_out(table)
    inside = named(trials, table.calibration)
    outside = named(from_outside(table), table.calibration)
    several = [each for each in inside if len(each.fault.causes) > 1]
    single = [each for each in inside if len(each.fault.causes) == 1]
    console.print(f"{len(table.faults)} known faults with {len(_causes(table))} causes.", highlight=False)
    for title, those in (
        ("Held out one at a time: the cause has other entries", [each for each in single if each.has_other]),
        ("Held out one at a time: no other entry has the cause, so unknown is right", [e for e in single if not e.has_other]),
        ("Two faults at once: both are right", several),
        ("Mechanical mutants with a cause of the corpus", [each for each in outside if each.fault.causes]),
        ("Mechanical mutants like nothing in the corpus, so unknown is right", [e for e in outside if not e.fault.causes]),
    ):
        if those:
            console.print(_table(title, those))
    console.print(_reliability([each for each in (*inside, *outside) if each.guess]))


def _causes(table: Fingerprints) -> set[tuple[str, str]]:
    return {(fault.part, cause) for fault in table.faults for cause in fault.causes}


def _table(title: str, those: Sequence[Named]) -> Table:
    table = Table(title=f"{title}: {len(those)}", title_justify="left", box=None)
    table.add_column("part")
    for name in ("of", *OUTCOMES, "first guess"):
        table.add_column(name, justify="right")
    for part in (*dict.fromkeys(each.fault.part for each in those), "all"):
        ours = [each for each in those if part in ("all", each.fault.part)]
        counts = Counter(each.outcome for each in ours)
        share = f"{sum(each.is_right for each in ours) / len(ours):.0%}"
        table.add_row(part, str(len(ours)), *(str(counts[name]) for name in OUTCOMES), share)
    return table


def _reliability(those: Sequence[Named]) -> Table:
    """Confidences beside how often those guesses are right."""
    table = Table(title=f"Confidence of all {len(those)} first guesses", title_justify="left", box=None)
    for name in ("confidence", "guesses", "mean", "right"):
        table.add_column(name, justify="right")
    for low, high in pairwise(BINS):
        ours = [each for each in those if low < each.confidence <= high]
        if ours:
            mean = sum(each.confidence for each in ours) / len(ours)
            right = sum(each.is_right for each in ours) / len(ours)
            table.add_row(f"{low:.0%} to {high:.0%}", str(len(ours)), f"{mean:.0%}", f"{right:.0%}")
    return table
