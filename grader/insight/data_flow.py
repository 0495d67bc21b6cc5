"""The data flow of a program as a graph: what each value is computed from, whatever the names and the order of statements.

A `Node` is an operation, and its children are the operands. A variable is no node: where it is read stands the operation that
made its value. So the graph of a program stays the same when names, comments, types, the order of independent statements or
the split into intermediate values and helper functions change. `Node.signatures` tell alike nodes of two programs.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

DEPTH = 3
"""How many levels of operands a signature tells."""
_COMMUTATIVE = frozenset({"+", "*", "==", "&", "|", "and", "or"})


@dataclass(frozen=True, eq=False)
class Statement:
    """Lines of a cell, from 1, the last one included; of a compound statement those of its head."""

    part: str
    cell: int
    first: int
    last: int


class Node:
    """An operation and its operands, with the statement that it stands in."""

    __slots__ = ("_levels", "children", "label", "loops", "statement", "tests")

    def __init__(self, label: str, children: Iterable[Node] = (), statement: Statement | None = None) -> None:
        self.label = label
        self.children = tuple(children)
        self.statement = statement
        self.loops = self.tests = 0
        """Of an empty list: in how many loops and conditions it was made."""
        self._levels: list[int] | None = None

    @property
    def levels(self) -> list[int]:
        """Hashes of the operation alone, with its operands, with theirs, and so on, as deep as it goes up to `DEPTH`."""
        if self._levels is None:
            for node in _bottom_up(self):
                node._levels = _levels(node)
        assert self._levels is not None
        return self._levels

    @property
    def signatures(self) -> list[int]:
        """The hashes that tell an operation with its operands from others; none for a constant or an argument."""
        return self.levels[1:]


def _levels(node: Node) -> list[int]:
    below = [child.levels for child in node.children]
    label = _digest(node.label)
    found = [label]
    deepest = min(DEPTH, max(map(len, below), default=0))
    for level in range(deepest):
        operands = [levels[min(level, len(levels) - 1)] for levels in below]
        if node.label in _COMMUTATIVE:
            operands.sort()
        found.append(hash((label, *operands)))
    return found


@functools.lru_cache(maxsize=10_000)
def _digest(label: str) -> int:
    """A number for a label that is the same in each process, unlike ``hash`` of a text."""
    return int.from_bytes(
        hashlib.blake2b(label.encode("utf-8", "surrogatepass"), digest_size=7).digest(), "big"
    )


def _bottom_up(root: Node) -> Iterator[Node]:
    """The nodes without levels, operands first."""
    stack = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif node._levels is None:
            stack.append((node, True))
            stack.extend((child, False) for child in node.children if child._levels is None)


def live(roots: Iterable[Node]) -> list[Node]:
    """The nodes that the roots are computed from, each once, in an order that depends on the graph alone."""
    seen: set[int] = set()
    found: list[Node] = []
    stack = list(roots)[::-1]
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen.add(id(node))
            found.append(node)
            stack.extend(reversed(node.children))
    return found
