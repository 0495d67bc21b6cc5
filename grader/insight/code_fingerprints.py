"""What tells the code of one student from that of others: operations with their operands, rare ones counting more."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from grader.insight.data_flow import Node, Statement

Matrix = NDArray[np.float32]


@dataclass
class Fingerprint:
    """One part of a submission: its operations by signature, as a whole and by statement."""

    signatures: Counter[int] = field(default_factory=Counter)
    statements: dict[Statement, list[int]] = field(default_factory=lambda: defaultdict(list))


def fingerprints_of(nodes: Sequence[Node], given: Collection[int] = frozenset()) -> dict[str, Fingerprint]:
    """The fingerprint of each part, without what was ``given``."""
    found: dict[str, Fingerprint] = defaultdict(Fingerprint)
    for node in nodes:
        if node.statement is None:
            continue
        own = [signature for signature in node.signatures if signature not in given]
        if own:
            part = found[node.statement.part]
            part.signatures.update(own)
            part.statements[node.statement] += own
    return dict(found)


@dataclass(frozen=True)
class Weights:
    """How much each signature of a part tells: little where many people write it."""

    people: int
    often: Counter[int]

    @classmethod
    def of(cls, prints: Sequence[Fingerprint]) -> Weights:
        """The weights in a population."""
        often: Counter[int] = Counter()
        for one in prints:
            often.update(one.signatures.keys())
        return cls(len(prints), often)

    def weight(self, signature: int) -> float:
        """The information in nats that two people share a signature, given how many others have it."""
        others = max(0, self.often[signature] - 2)
        return math.log((self.people + 1) / (others + 1))


@dataclass(frozen=True)
class Overlaps:
    """How much code pairs have in common: ``shared[i, j]`` of ``own[i]``, in the weights' unit."""

    shared: Matrix
    own: NDArray[np.float32]


def overlaps(prints: Sequence[Fingerprint | None], weights: Weights) -> Overlaps:
    """The overlap of each pair in one part; None stands for a submission without it."""
    places: dict[tuple[int, int], int] = {}
    values: list[float] = []
    own = np.zeros(len(prints), dtype=np.float32)
    rows: list[list[int]] = []
    for number, one in enumerate(prints):
        row = []
        for signature, count in one.signatures.items() if one else ():
            weight = weights.weight(signature)
            own[number] += weight * count
            if weights.often[signature] < 2 or not weight:
                continue
            # The second occurrence of an operation is a signature of its own, so that products count the smaller number.
            for occurrence in range(count):
                place = places.setdefault((signature, occurrence), len(values))
                if place == len(values):
                    values.append(weight)
                row.append(place)
        rows.append(row)
    holds = np.zeros((len(prints), len(values)), dtype=np.float32)
    for number, row in enumerate(rows):
        holds[number, row] = 1
    return Overlaps((holds * np.asarray(values, dtype=np.float32)) @ holds.T, own)
