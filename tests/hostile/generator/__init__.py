"""Makes hostile and broken notebooks from any base notebook, with a module for each kind of attack.

``KINDS`` maps a name to a `Kind`: its category and a function from a notebook to the bytes of a hostile one. The code goes
before the base's cells, after them, or into the students' classes. Every payload is bounded: loops end, memory and forks are
counted, and no address but ones that must fail is contacted.
"""

from __future__ import annotations

from tests.hostile.generator import (
    attack,
    exhaust,
    fool,
    forge,
    judge,
    leak,
    malformed,
    report,
    survive,
    walls,
)
from tests.hostile.generator.kinds import BREACH, SECRET, TRACE, Kind, Notebook

__all__ = ["BREACH", "KINDS", "SECRET", "TRACE", "Kind", "Notebook", "hostile"]

_MODULES = (forge, fool, leak, exhaust, walls, survive, attack, judge, malformed, report)
KINDS: dict[str, Kind] = {name: kind for module in _MODULES for name, kind in module.KINDS.items()}
assert len(KINDS) == sum(len(module.KINDS) for module in _MODULES), "two kinds have the same name"


def hostile(name: str, base: Notebook) -> bytes:
    """The bytes of the hostile notebook of a kind, made from a base notebook (which is left as it is)."""
    return KINDS[name].make(base)
