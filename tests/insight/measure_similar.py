"""Measures how well planted copies are found, and how often independent submissions are called alike.

``python -m tests.insight.measure_similar`` prints the tables. Seeds from 100 on: thresholds were chosen on seeds below 20.
"""

from __future__ import annotations

import argparse
import ast
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from grader.insight.similar_code import Pair, similar_pairs
from tests.insight.independent_class import Sources, background, cells, given, independent_class, parts
from tests.insight.rewrites import REWRITES

FIRST_SEED = 100


@dataclass(frozen=True)
class Planted:
    """A class with copies: the key of each copy, what it was copied from, and how it was disguised."""

    sources: dict[str, Sources]
    origins: dict[str, str]
    disguises: dict[str, tuple[str, ...]]
    changed: dict[str, int]
    """In how many parts the disguise changed anything."""


def plant(
    klass: dict[str, Sources], disguises: Sequence[tuple[str, ...]], seed: int, copied: int | None = None
) -> Planted:
    """A class with one more submission for each disguise, a copy of somebody nobody else copied.

    Args:
        klass: the independent submissions.
        disguises: the rewrites of each copy, one after the other.
        seed: decides who is copied.
        copied: how many parts are copied; the others are the copier's own. All by default.
    """
    rng = random.Random(seed)
    originals = rng.sample(sorted(klass), len(disguises))
    # Those who copy a few parts write the others themselves.
    own = independent_class(len(disguises), seed=seed + 7919, corpus=False)
    sources, origins, names, changed = dict(klass), {}, {}, {}
    for number, (original, chosen) in enumerate(zip(originals, disguises, strict=True)):
        key = f"copy{number:03}"
        taken = rng.sample(sorted(klass[original]), copied or len(klass[original]))
        made = dict(list(own.values())[number])
        changed[key] = 0
        for part in taken:
            made[part] = code = klass[original][part]
            for name in chosen:
                made[part] = REWRITES[name](made[part], rng)
            changed[key] += _code(made[part], chosen) != _code(code, chosen)
        sources[key], origins[key], names[key] = made, original, chosen
    return Planted(sources, origins, names, changed)


def _code(source: str, disguises: Sequence[str]) -> str:
    """What a disguise must change to count: the source, or where it rewrites the syntax tree, the tree."""
    return source if {"comments", "formatting"} & set(disguises) else ast.unparse(ast.parse(source))


def find(sources: dict[str, Sources]) -> list[Pair]:
    """The pairs that the grader finds in a class of Homework 3."""
    submissions = {key: cells(code) for key, code in sources.items()}
    return similar_pairs(submissions, parts(), given=given(), background=background())


@dataclass
class Counts:
    """Of planted copies: how many there are, how many are found, and in how many parts the disguise changed anything."""

    planted: int = 0
    found: int = 0
    changed: int = 0

    def __str__(self) -> str:
        return f"{self.found:4} of {self.planted:4} ({self.found / max(1, self.planted):6.1%})"


def measure(planted: Planted) -> tuple[dict[tuple[str, ...], Counts], list[Pair]]:
    """What was found of each disguise, and the pairs that nobody copied."""
    pairs = find(planted.sources)
    found = {(pair.first, pair.second) for pair in pairs}
    counts: dict[tuple[str, ...], Counts] = {}
    for key, original in planted.origins.items():
        one = counts.setdefault(planted.disguises[key], Counts())
        one.planted += 1
        one.changed += planted.changed[key]
        one.found += (original, key) in found
    copies = {frozenset(pair) for pair in planted.origins.items()}
    return counts, [pair for pair in pairs if frozenset((pair.first, pair.second)) not in copies]


def _print(title: str, counts: dict[tuple[str, ...], Counts]) -> None:
    print(f"\n{title}")
    for disguise, one in counts.items():
        print(f"  {' + '.join(disguise):60} {one}   parts changed: {one.changed / one.planted:.1f}")


def _merged(into: dict[tuple[str, ...], Counts], more: dict[tuple[str, ...], Counts]) -> None:
    for disguise, one in more.items():
        total = into.setdefault(disguise, Counts())
        total.planted, total.found, total.changed = (
            total.planted + one.planted,
            total.found + one.found,
            total.changed + one.changed,
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=300, help="independent submissions in a class")
    parser.add_argument("--classes", type=int, default=3, help="classes, each with copies of its own")
    parser.add_argument("--copies", type=int, default=6, help="copies by each disguise in a class")
    options = parser.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + options.classes)
    print(f"{options.classes} classes of {options.size} independent submissions")
    for corpus in (True, False):
        kind = "with the audit's variants" if corpus else "without"
        for seed in seeds:
            klass = independent_class(options.size, seed, corpus=corpus)
            started = time.process_time()
            pairs = find(klass)
            spent = time.process_time() - started
            print(f"  seed {seed}, {kind}: {len(pairs)} false pairs, {spent:.1f} s of CPU")
    single: dict[tuple[str, ...], Counts] = {}
    several: dict[tuple[str, ...], Counts] = {}
    for seed in seeds:
        klass = independent_class(options.size, seed)
        rng = random.Random(seed)
        _merged(single, measure(plant(klass, [(name,) for name in REWRITES] * options.copies, seed))[0])
        for count in (2, 3):
            chosen = [tuple(rng.sample(sorted(REWRITES), count)) for _ in range(10 * options.copies)]
            for disguise, one in measure(plant(klass, chosen, seed + count))[0].items():
                _merged(several, {(f"{len(disguise)} at random",): one})
        _merged(
            several,
            {
                ("all ten",): next(
                    iter(measure(plant(klass, [tuple(REWRITES)] * options.copies, seed))[0].values())
                )
            },
        )
    _print("Copies of all parts, one disguise", single)
    everything = Counts(
        *(sum(getattr(one, name) for one in single.values()) for name in ("planted", "found", "changed"))
    )
    print(f"  {'all':60} {everything}")
    _print("Copies of all parts, several disguises", several)
    partial: dict[tuple[str, ...], Counts] = {}
    for copied in range(1, 8):
        klass = independent_class(options.size, FIRST_SEED)
        counts = measure(plant(klass, [("rename",)] * 6 * options.copies, FIRST_SEED + copied, copied))[0]
        _merged(partial, {(f"{copied} of 7 parts copied",): next(iter(counts.values()))})
    _print("Copies of some parts, renamed", partial)


if __name__ == "__main__":
    main()
