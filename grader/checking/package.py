"""A homework's check package: what it holds, and what `check` does in a notebook."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from grader.checking.keeping import as_in_a_kernel
from grader.checking.local import LocalKernel
from grader.checking.notebook import cell_of_file, notebook_names, show
from grader.checking.public import CheckedCriterion, PublicItem, decided
from grader.checking.report import CheckedItem, Report
from grader.homework import Homework
from grader.judging.budget import Budget
from grader.judging.engine import Engine
from grader.judging.property import Property
from grader.kernel.limits import Limits
from grader.scoring.verdict import Verdict

LIMITS = Limits(property=10.0, part=30.0)
"""Shorter than in grading, as a person waits."""


@dataclass(frozen=True)
class Contents:
    """What the builder puts into a package beside code.

    Args:
        title: the homework's.
        items: the items that have public criteria.
        modules: names of the modules that hold the public properties.
        home: the folder within the package in which ``stand_ins.py`` lies.
        provided: methods of the template that take the place of the student's, by class.
        needs: by item, the packages without which it cannot be checked.
        seed: the seed of the cases that are drawn unless another is asked for.
        submit: the sentence that says how to hand in.
    """

    title: str
    items: tuple[PublicItem, ...]
    modules: tuple[str, ...]
    home: str
    provided: Mapping[str, Sequence[tuple[str, str, str]]]
    needs: Mapping[str, Sequence[str]]
    seed: str
    submit: str = ""

    def to_json(self) -> str:
        """The text of the package's ``contents.json``."""
        data = {**vars(self), "items": [item.to_json() for item in self.items]}
        return json.dumps(data, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Contents:
        """What `to_json` wrote."""
        data: dict[str, Any] = json.loads(text)
        data["items"] = tuple(PublicItem.from_json(item) for item in data["items"])
        data["provided"] = {
            name: [(owner, method, source) for owner, method, source in methods]
            for name, methods in data["provided"].items()
        }
        return cls(**data)


class Package:
    """An installed check package, by its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def contents(self) -> Contents:
        """What it holds."""
        return Contents.from_json((self.folder / "contents.json").read_text(encoding="utf-8"))

    @cached_property
    def homework(self) -> Homework:
        """The homework, of which there are public properties and stand-ins only."""
        modules = tuple(importlib.import_module(name) for name in self.contents.modules)
        home = self.folder / self.contents.home
        return Homework(self.folder.name, home, modules, package=home)

    def check(self, *items: str, seed: int | None = None) -> None:
        """Check the items and show a report; all items that can be checked by default."""
        show(self.run(*items, seed=seed))

    def run(self, *items: str, seed: int | None = None, namespace: dict[str, Any] | None = None) -> Report:
        """Check the items in ``namespace``, by default the notebook's, and return the report.

        Raises `ValueError` for an item that the package does not know.
        """
        chosen = self._chosen(items)
        names = notebook_names() if namespace is None else namespace
        missing = {item.id: self._missing(item) for item in chosen}
        possible = [item for item in chosen if not missing[item.id]]
        verdicts, notes = self._judge(possible, names, seed)
        checked = [
            CheckedItem(item, (), f"not checked: it needs {missing[item.id]}; run %pip install {missing[item.id]}")
            if missing[item.id]
            else CheckedItem(item, decided(item, verdicts), notes.get(item.id, ""))
            for item in chosen
        ]
        return Report(self.contents.title, tuple(checked), self.contents.submit if not items else "")

    def _missing(self, item: PublicItem) -> str:
        """The packages that an item needs and that are not installed, separated by spaces."""
        return " ".join(
            name for name in self.contents.needs.get(item.id, ()) if importlib.util.find_spec(name) is None
        )

    def _chosen(self, items: Sequence[str]) -> list[PublicItem]:
        known = {item.id: item for item in self.contents.items}
        for name in items:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"there is nothing to check for {name!r}{hint} Items: {', '.join(known)}")
        return [item for item in self.contents.items if not items or item.id in items]

    def _judge(
        self, items: Sequence[PublicItem], names: dict[str, Any], seed: int | None
    ) -> tuple[dict[str, Verdict], Mapping[str, str]]:
        drawn_by = self.contents.seed if seed is None else f"seed {seed}"
        wanted: list[Property] = [
            self.homework.properties[name]
            for item in items
            for criterion in item.criteria
            for name in criterion.properties
        ]
        with as_in_a_kernel(names):
            kernel = LocalKernel(names, LIMITS, cell_of_file)
            engine = Engine(
                kernel,
                drawn_by.encode(),
                {name: list(methods) for name, methods in self.contents.provided.items()},
                homework=self.homework,
                budget=_budget,
            )
            with engine:
                return engine.judge(wanted), dict(engine.notes)


def _budget() -> Budget:
    """A budget that leaves the process's limits and signals alone."""
    return Budget(memory=None, alarm=False)


__all__ = ["LIMITS", "CheckedCriterion", "Contents", "Package", "Report"]
