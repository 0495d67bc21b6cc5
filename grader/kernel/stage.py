"""What takes the place of a notebook's names in the kernel while a part is judged."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Stage:
    """The stand-ins and provided methods of one part.

    Args:
        stand_ins: names of the classes that stand-ins replace.
        source: the source of the homework's stand-ins; empty where there are none.
        lenient: whether stand-ins accept further arguments.
        methods: class, method and source of each method of the template that replaces the student's.
    """

    stand_ins: tuple[str, ...] = ()
    source: str = ""
    lenient: bool = True
    methods: tuple[tuple[str, str, str], ...] = ()

    def header(self) -> dict[str, Any]:
        """The stage as the kernel's agent reads it."""
        return asdict(self)
