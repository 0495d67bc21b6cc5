"""What a homework is, and how the one to grade is found.

The engine knows notebooks, kernels, properties and rubrics, and no homework. All that it needs of one is declared by a
`Homework`: Homework 3 by ``grader.homework3``, any other by the ``homework.py`` of a folder or by a module, either of which
names it ``HOMEWORK``.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from grader.errors import UsageError
from grader.judging.property import Property, properties_of

if TYPE_CHECKING:
    from grader.insight.notation import AskedFormulas
    from grader.training.plan import TrainingCheck

VARIABLE = "GRADER_HOMEWORK"
DEFAULT = "grader.homework3"


@dataclass(frozen=True)
class CheckPackage:
    """The package with which students check their notebook.

    Args:
        name: what pip calls it; Python calls it the same, with underscores.
        data: files and folders, of the homework or of ``grader/data``, that the public properties read.
        submit: the sentence that tells students how to submit.
        oracles: modules of the homework that say what right answers are. A public property that uses one is refused.
    """

    name: str
    data: tuple[Path, ...] = ()
    submit: str = ""
    oracles: tuple[ModuleType, ...] = ()


@dataclass(frozen=True, eq=False)
class Homework:
    """Everything that the engine asks of a homework.

    Args:
        name: its identity in results and stores; also the template's file name.
        folder: what instructors edit: ``rubric.yaml``, ``reference/``, ``student_template/`` and ``examples/``.
        modules: the modules whose properties judge the parts.
        package: where all else lies: ``corpus/``, ``equivalent.yaml`` and ``stand_ins.py``; the folder itself by default.
        outline: the notebook's outline within ``reference/``.
        provided_classes: classes of the template that students do not write, for templates without marked cells.
        provided_methods: (class, method) pairs that the template provides within classes that students write.
        files: files that a notebook finds in its working directory, by name.
        text_calls: names of functions that generate text: what their cells print is evidence where an item asks for such text.
        training: how items of the kind `training` are judged; None where nothing is trained.
        check_package: the package for students; by default it is called after the homework and has no data.
        formulas: what each item asks formulas for, which people who grade can check against the model answer.
        warm_up: reads what judging needs and drawing cases reads as well, for a judge whose cases are drawn elsewhere.
        source: what `load_homework` finds it by; it sets this itself.
    """

    name: str
    folder: Path
    modules: tuple[ModuleType, ...]
    package: Path | None = None
    outline: str = "outline.py"
    provided_classes: frozenset[str] = frozenset()
    provided_methods: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    text_calls: frozenset[str] = frozenset()
    training: TrainingCheck | None = None
    formulas: Mapping[str, AskedFormulas] = field(default_factory=dict)
    check_package: CheckPackage | None = None
    warm_up: Callable[[], object] = lambda: None
    source: str = DEFAULT

    def __reduce__(self) -> tuple[Callable[[str], Homework], tuple[str]]:
        """In another process it is loaded again, as its modules do not travel."""
        return load_homework, (self.source,)

    @property
    def rubric(self) -> Path:
        """The rubric's file."""
        return self.folder / "rubric.yaml"

    @property
    def reference(self) -> Path:
        """The folder of the reference solution."""
        return self.folder / "reference"

    @property
    def template(self) -> Path:
        """The notebook that students get."""
        return self.folder / "student_template" / f"{self.name}.ipynb"

    @property
    def examples(self) -> Path:
        """The folder of example submissions."""
        return self.folder / "examples"

    @property
    def example(self) -> Path:
        """The first example submission; raises `UsageError` if there is none."""
        found = sorted(self.examples.glob("*.ipynb"))
        if not found:
            raise UsageError(f"{self.name} has no example; add a notebook to {self.examples}")
        return found[0]

    @property
    def corpus(self) -> Path:
        """The folder of wrong and right answers that the rubric is audited with."""
        return (self.package or self.folder) / "corpus"

    @property
    def equivalent(self) -> Path:
        """The mechanical mutants that a person found to be as right as the reference; a homework may have none."""
        return (self.package or self.folder) / "equivalent.yaml"

    @property
    def fingerprints(self) -> Path:
        """What each wrong answer of the corpus fails by, which names likely causes; a homework may have none."""
        return (self.package or self.folder) / "fingerprints.json"

    @property
    def named_mutants(self) -> Path:
        """Mechanical mutants whose cause a person named, to measure how well causes are named; a homework may have none."""
        return (self.package or self.folder) / "named_mutants.yaml"

    @property
    def stand_ins(self) -> Path:
        """The source of the stand-ins, which runs in the kernel; a homework may have none."""
        return (self.package or self.folder) / "stand_ins.py"

    @cached_property
    def stand_in_source(self) -> str:
        """The text of `stand_ins`; empty where there are none."""
        return self.stand_ins.read_text(encoding="utf-8") if self.stand_ins.is_file() else ""

    @cached_property
    def properties(self) -> dict[str, Property]:
        """Every property by its name, in the order of the modules."""
        return {prop.name: prop for module in self.modules for prop in properties_of(module)}


def load_homework(source: str | Path | None = None) -> Homework:
    """The homework of a folder or a module; by default of ``GRADER_HOMEWORK``, else Homework 3. Raises `UsageError`."""
    wanted = str(source or os.environ.get(VARIABLE) or DEFAULT)
    return _load(str(Path(wanted).resolve()) if Path(wanted).is_dir() else wanted)


@functools.cache
def _load(source: str) -> Homework:
    module = _module_of_folder(Path(source)) if Path(source).is_dir() else _module(source)
    found = getattr(module, "HOMEWORK", None)
    if not isinstance(found, Homework):
        raise UsageError(f"{source}: defines no HOMEWORK = Homework(...)")
    return found if found.source == source else replace(found, source=source)


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise UsageError(f"{name}: no such folder or module; give a homework's folder with --homework") from None
        raise


def _module_of_folder(folder: Path) -> ModuleType:
    """``homework.py`` of a folder, imported as part of a package of its own, so that it may import its neighbors."""
    path = folder.resolve()
    if not (path / "homework.py").is_file():
        raise UsageError(f"{folder}: has no homework.py; `grader homework new {folder}` writes one")
    package = f"homework_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if package not in sys.modules:
        specification = importlib.util.spec_from_loader(package, loader=None, is_package=True)
        assert specification is not None
        made = importlib.util.module_from_spec(specification)
        made.__path__ = [str(path)]
        sys.modules[package] = made
    return importlib.import_module(f"{package}.homework")
