"""What tells the code of one student from that of others: operations with their operands, rare ones counting more."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from grader.insight.data_flow import Node, Statement

Matrix = NDArray[np.float32]
_BLOCK = 4096
"""Signatures that are multiplied at once."""

_MOST_HOLDERS = 20
"""Statements with the same operation that are looked at."""


@dataclass
class Fingerprint:
    """One part of a submission.

    Args:
        signatures: how often each operation occurs, told by its operands and theirs.
        choices: operations told by their direct operands alone: one decision of the author each.
        statements: the signatures of the operations in each statement.
    """

    signatures: Counter[int] = field(default_factory=Counter)
    choices: set[int] = field(default_factory=set)
    statements: dict[Statement, list[int]] = field(default_factory=lambda: defaultdict(list))


def fingerprints_of(nodes: Sequence[Node], given: Collection[int] = frozenset()) -> dict[str, Fingerprint]:
    """The fingerprint of each part, without what was ``given``."""
    found: dict[str, Fingerprint] = defaultdict(Fingerprint)
    for node in nodes:
        signatures = node.signatures
        own = [signature for signature in signatures if signature not in given]
        if node.statement is None or not own:
            continue
        part = found[node.statement.part]
        part.signatures.update(own)
        part.statements[node.statement] += own
        if signatures[0] not in given:
            part.choices.add(signatures[0])
    return dict(found)


@dataclass(frozen=True)
class Weights:
    """How much it tells that two people write the same: little where many do.

    Args:
        people: how many wrote the part.
        often: how many of them have each signature.
    """

    people: int
    often: Counter[int]

    @classmethod
    def of(cls, prints: Collection[Fingerprint]) -> Weights:
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
    """What each pair of submissions has in common in one part, as symmetric matrices.

    Args:
        shared: the weight of the common code.
        own: the weight of all code of each submission.
        evidence: the weight of the common choices, in nats.
    """

    shared: Matrix
    own: Matrix
    evidence: Matrix

    @property
    def share(self) -> Matrix:
        """How much of both is common, from 0 to 1."""
        both = self.own[:, None] + self.own[None, :]
        found: Matrix = 2 * self.shared / np.maximum(both, 1e-6)
        return found


def overlaps(prints: Sequence[Fingerprint | None], weights: Weights) -> Overlaps:
    """The overlaps in one part; None stands for a submission without it."""
    shared, own = _products([one.signatures if one else {} for one in prints], weights)
    evidence, _ = _products([dict.fromkeys(one.choices, 1) if one else {} for one in prints], weights)
    return Overlaps(shared, own, evidence)


def _products(held: Sequence[Mapping[int, int]], weights: Weights) -> tuple[Matrix, Matrix]:
    """The weight that each pair holds in common, counting the smaller number of each signature, and that of each by itself."""
    own = np.zeros(len(held), dtype=np.float32)
    columns: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, signatures in enumerate(held):
        for signature, count in signatures.items():
            own[row] += weights.weight(signature) * count
            for occurrence in range(count):
                columns[signature, occurrence].append(row)
    shared = np.zeros((len(held), len(held)), dtype=np.float32)
    common = [(signature, rows) for (signature, _), rows in columns.items() if len(rows) > 1]
    for start in range(0, len(common), _BLOCK):
        block = common[start : start + _BLOCK]
        holds = np.zeros((len(held), len(block)), dtype=np.float32)
        for column, (_, rows) in enumerate(block):
            holds[rows, column] = 1
        shared += (
            holds * np.array([weights.weight(signature) for signature, _ in block], dtype=np.float32)
        ) @ holds.T
    return shared, own


def counterparts(
    first: Fingerprint, second: Fingerprint, weight: Callable[[int], float], least: float
) -> list[tuple[Statement, Statement, list[int]]]:
    """Each statement of the first with the one of the second that is most alike, and what they share.

    Only statements of which at least ``least`` is shared, by weight, have a counterpart.
    """
    holders: dict[int, list[Statement]] = defaultdict(list)
    for statement, signatures in second.statements.items():
        for signature in dict.fromkeys(signatures):
            if len(holders[signature]) < _MOST_HOLDERS:
                holders[signature].append(statement)
    found = []
    for statement, signatures in first.statements.items():
        unique = list(dict.fromkeys(signatures))
        common = [signature for signature in unique if signature in holders]
        # An operation that everybody uses still belongs to the statement.
        total = sum(weight(signature) + 0.1 for signature in unique)
        if not common or sum(weight(signature) + 0.1 for signature in common) < least * total:
            continue
        votes: Counter[Statement] = Counter()
        for signature in common:
            for holder in holders[signature]:
                votes[holder] += weight(signature) + 0.1  # type: ignore[assignment]
        best = max(votes, key=lambda one: (votes[one], -one.cell, -one.first))
        found.append((statement, best, common))
    return found
