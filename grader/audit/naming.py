"""Shows how well a table of fingerprints names causes: faults held out one at a time, and mutants that people named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from rich.console import Console
from rich.table import Table

from grader.insight.fingerprints import Fingerprints, KnownFault
from grader.insight.holdout import BINS, OUTCOMES, Named, from_outside, held_out, named


def print_naming(table: Fingerprints, console: Console) -> None:
    """How often the first guess is right, for what has a known cause and for what has none, and how honest confidence is."""
    inside = named(held_out(table), table.calibration)
    outside = named(from_outside(table), table.calibration)
    single = [each for each in inside if len(each.fault.causes) == 1]
    console.print(f"{len(table.faults)} known faults with {len(_causes(table))} causes.", highlight=False)
    for title, those in (
        ("Held out one at a time, where others have the cause", [each for each in single if each.has_other]),
        ("Two faults at once, held out", [each for each in inside if len(each.fault.causes) > 1]),
        ("Mechanical mutants with a cause of the corpus", [each for each in outside if each.fault.causes]),
    ):
        if those:
            console.print(_table(title, those))
    for title, those in (
        ("Held out one at a time, where no other has the cause", [each for each in single if not each.has_other]),
        ("Mechanical mutants like nothing in the corpus", [each for each in outside if not each.fault.causes]),
    ):
        if those:
            unknown = sum(not each.guess for each in those)
            rest = f"of which {unknown} are called unknown, as is right, and {len(those) - unknown} are not."
            console.print(f"{title}: {len(those)}, {rest}", highlight=False, soft_wrap=True)
    for title, those in (
        ("held out, to which confidence was fitted", inside),
        ("mechanical mutants, to which it was not", outside),
    ):
        guessed = [each for each in those if each.guess]
        if guessed:
            console.print(_reliability(title, guessed))


def print_again(table: Fingerprints, faults: Sequence[KnownFault], console: Console) -> None:
    """How known faults are named that were judged by another seed."""
    found = named(from_outside(replace(table, trials=tuple(faults))), table.calibration)
    console.print(_table("Known faults, judged by another seed", found))
    console.print(_reliability("known faults judged by another seed", [each for each in found if each.guess]))


def _causes(table: Fingerprints) -> set[tuple[str, str]]:
    return {(fault.part, cause) for fault in table.faults for cause in fault.causes}


def _table(title: str, those: Sequence[Named]) -> Table:
    table = Table(title=f"{title}: {len(those)}", title_justify="left", box=None)
    table.add_column("part")
    for name in ("of", *OUTCOMES, "first guess right", "in the first three"):
        table.add_column(name, justify="right")
    for part in (*dict.fromkeys(each.fault.part for each in those), "all"):
        ours = [each for each in those if part in ("all", each.fault.part)]
        counts = Counter(each.outcome for each in ours)
        first = sum(each.is_right for each in ours)
        shares = (f"{count / len(ours):.0%}" for count in (first, first + counts["in three"]))
        table.add_row(part, str(len(ours)), *(str(counts[name]) for name in OUTCOMES), *shares)
    return table


def _reliability(title: str, those: Sequence[Named]) -> Table:
    """Confidences beside how often those guesses are right."""
    table = Table(title=f"Confidence of {len(those)} first guesses, {title}", title_justify="left", box=None)
    for name in ("confidence", "guesses", "mean", "right"):
        table.add_column(name, justify="right")
    for low, high in pairwise(BINS):
        ours = [each for each in those if low < each.confidence <= high]
        if ours:
            mean = sum(each.confidence for each in ours) / len(ours)
            right = sum(each.is_right for each in ours) / len(ours)
            table.add_row(f"{low:.0%} to {high:.0%}", str(len(ours)), f"{mean:.0%}", f"{right:.0%}")
    return table
