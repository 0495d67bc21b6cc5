"""Builds a homework's check package: a wheel of its public properties, stand-ins and the part of the engine they need."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from grader import __version__, assets
from grader.assignment import PUBLIC_SEED, Assignment, load_assignment
from grader.check import public_items
from grader.check_package import disclosure
from grader.check_package.pruning import Pruning
from grader.check_package.sources import imports_of, parents_of, required, source_of
from grader.check_package.wheel import Metadata, write_wheel
from grader.checking.inside import NAMES
from grader.checking.package import Contents
from grader.errors import GraderError, UsageError
from grader.homework import CheckPackage, Homework, load_homework
from grader.kernel import inside
from grader.report import pictures

ENGINE = "_grader"
HOMEWORK = "_homework"
REQUIRES = (
    "torch>=2.1", "numpy>=1.26", "ipython>=7.34", "hypothesis>=6.100,<7",
    "pydantic>=2.7,<3", "markupsafe>=2.1",
)  # fmt: skip
"""What Colab has, but for hypothesis. Pictures of counterexamples are pydantic's records and markupsafe's markup."""
THERE = frozenset({"torch", "numpy", "IPython", "hypothesis", "pydantic", "markupsafe"})
OPTIONAL = frozenset({"platformdirs"})
"""What the engine uses only where it is installed."""
HIDDEN = "(not in this package)"
"""What stands for the name of a property that is not public."""

_FACE = '''"""Check your homework before you submit it.

    from {package} import check

    check()         # everything that can be checked
    check("{item}")     # one item
    check("{item}", seed=7)     # other cases than usual
"""

from pathlib import Path

from {package}.{engine}.checking.package import Package

__version__ = "{version}"
_PACKAGE = Package(Path(__file__).resolve().parent)


def check(*items, seed=None):
    """Judge the classes of this notebook by the public criteria, and show what was found.

    Without items, all of them are checked. Another seed draws other cases; grading uses cases of a secret seed.
    Random states, models and settings of the notebook are the same afterwards.
    """
    _PACKAGE.check(*items, seed=seed)


def run(*items, seed=None, namespace=None):
    """Like `check`, for a program: returns the report instead of showing it."""
    return _PACKAGE.run(*items, seed=seed, namespace=namespace)
'''


def build(out: Path, homework: Homework | None = None) -> Path:
    """Write the wheel into the folder ``out`` and return its path.

    Raises `UsageError` if the rubric marks no criterion as public, and `GraderError` if the package would give an answer away.
    """
    homework = homework or load_homework()
    assignment = load_assignment(homework=homework)
    files = package_files(assignment)
    found = disclosure.leaks(files, assignment)
    if found:
        raise GraderError("the check package would give answers away: " + "; ".join(found[:5]))
    metadata = Metadata(
        package_of(homework).name,
        __version__,
        f"Checks {assignment.rubric.title} in the notebook, before it is submitted.",
        ">=3.10",
        REQUIRES,
    )
    return write_wheel(out, metadata, files)


def package_of(homework: Homework) -> CheckPackage:
    """What a homework says of its check package, or what follows from its name."""
    return homework.check_package or CheckPackage(f"{homework.name}-check")


def package_files(assignment: Assignment) -> dict[str, bytes]:
    """The files of the package by their paths, not yet held against what must stay secret."""
    homework = assignment.homework
    if not public_items(assignment.rubric, homework.properties):
        raise UsageError(f"{homework.rubric}: no criterion is public, so there is nothing to check")
    return _Assembly(assignment).files()


class _Assembly:
    """Collects the files of one package."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment, self.homework = assignment, assignment.homework
        self.own = package_of(self.homework)
        self.package = self.own.name.replace("-", "_")
        self.home = self._home()
        self.items = public_items(assignment.rubric, self.homework.properties)
        self.public = [name for item in self.items for each in item.criteria for name in each.properties]
        self.hidden = sorted(set(self.homework.properties) - set(self.public))

    def _home(self) -> str:
        """The package of the homework's modules: the shortest that holds all of them."""
        names = {module.__name__ for module in self.homework.modules}
        around = [parents_of(name) for name in names]
        shared = [name for name in around[0] if all(name in parents for parents in around)]
        if not shared:
            raise GraderError("cannot build the check package: the modules of properties lie in no common package")
        return shared[-1]

    def files(self) -> dict[str, bytes]:
        pruning, modules = self._pruned()
        found: dict[str, bytes] = {}
        for name in self._engine_modules(pruning.engine):
            self._add(found, name, required(name).text)
        drawn = Path(pictures.__file__).parents[1] / "pages" / "pictures.css"
        found[f"{self.package}/{ENGINE}/report/pages/pictures.css"] = drawn.read_bytes()
        for name in NAMES:
            text = (Path(inside.__file__).parent / f"{name}.py").read_text(encoding="utf-8")
            found[f"{self.package}/{ENGINE}/kernel/inside/{name}.py"] = text.encode()
        for name, module in pruning.modules.items():
            self._add(found, name, module.text())
        for name in list(pruning.modules):
            for parent in parents_of(name):
                if pruning.is_homework(parent) and parent not in pruning.modules:
                    self._add(found, parent, "")
        home = self._place(self.home).removesuffix("/__init__.py")
        found[f"{home}/stand_ins.py"] = self.homework.stand_in_source.encode()
        found |= self._data()
        contents = Contents(
            self.assignment.rubric.title,
            self.items,
            tuple(self._renamed(name) for name in modules),
            home.removeprefix(f"{self.package}/"),
            self._provided(),
            self._needs(),
            PUBLIC_SEED.decode(),
            self.own.submit,
        )
        found[f"{self.package}/contents.json"] = contents.to_json().encode()
        found[f"{self.package}/__init__.py"] = _FACE.format(
            package=self.package, engine=ENGINE, version=__version__, item=self.items[0].id
        ).encode()
        return found

    def _pruned(self) -> tuple[Pruning, list[str]]:
        """What the public properties need, and the modules that hold them."""
        pruning, modules = Pruning(self.home), []
        oracles = {module.__name__ for module in self.own.oracles}
        for name in self.public:
            module = self._module_of(name)
            pruning.keep(module, name.rpartition(".")[2])
            if used := sorted(oracles & set(pruning.modules)):
                raise GraderError(f"{name} is public, but uses {used[0]}, which says what is right; mark it private=True")
            if module not in modules:
                modules.append(module)
        return pruning, modules

    def _module_of(self, prop: str) -> str:
        program = self.homework.properties[prop].program
        return program.__module__

    def _needs(self) -> dict[str, tuple[str, ...]]:
        """By item, the libraries that its properties import and that not everybody has."""
        needs = {}
        for item in self.items:
            pruning = Pruning(self.home)
            for criterion in item.criteria:
                for name in criterion.properties:
                    pruning.keep(self._module_of(name), name.rpartition(".")[2])
            libraries = set(pruning.libraries)
            for name in pruning.engine:
                libraries.update(_libraries_of(name))
            needs[item.id] = tuple(sorted(libraries - THERE))
        return {item: libraries for item, libraries in needs.items() if libraries}

    def _provided(self) -> Mapping[str, list[tuple[str, str, str]]]:
        parts = {self.homework.properties[name].part.name for name in self.public}
        methods = self.assignment.provided_methods
        return {name: found for name, found in methods.items() if name in parts}

    def _engine_modules(self, used: set[str]) -> list[str]:
        """The modules of the grader that `check` and the properties need, in their order."""
        waiting = ["grader.checking.package", *sorted(used)]
        found: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name in found or source_of(name) is None:
                continue
            found.update([name, *(parent for parent in parents_of(name) if parent.startswith("grader"))])
            # What a function imports by itself is for who grades.
            top_level = imports_of(required(name), within_functions=False)
            waiting += [each.module for each in top_level if each.module.startswith("grader.")]
        return sorted(found)

    def _data(self) -> dict[str, bytes]:
        """The data files that the homework's public properties read, each where its reader looks for it."""
        found = {}
        for path in self.own.data:
            files = [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if file.is_file()]
            if not files:
                raise UsageError(f"{path}: named by {self.homework.name}'s check package, but there is no such data")
            for file in files:
                found[self._data_place(file)] = file.read_bytes()
        return found

    def _data_place(self, file: Path) -> str:
        if file.is_relative_to(assets.PACKAGE):
            return f"{self.package}/{ENGINE}/{file.relative_to(assets.PACKAGE).as_posix()}"
        return f"{self.package}/{HOMEWORK}/{file.relative_to(self.homework.package or self.homework.folder).as_posix()}"

    def _add(self, found: dict[str, bytes], module: str, text: str) -> None:
        found[self._place(module)] = self._rewritten(text).encode()

    def _place(self, module: str) -> str:
        """Where a module lies in the package."""
        name = self._renamed(module).replace(".", "/")
        source = source_of(module)
        is_package = source.is_package if source is not None else any(
            other.startswith(module + ".") for other in (each.__name__ for each in self.homework.modules)
        )
        return f"{name}/__init__.py" if is_package else f"{name}.py"

    def _renamed(self, module: str) -> str:
        """What a module is called in the package."""
        if module == "grader" or module.startswith("grader."):
            return f"{self.package}.{ENGINE}{module.removeprefix('grader')}"
        return f"{self.package}.{HOMEWORK}{module.removeprefix(self.home)}"

    def _rewritten(self, text: str) -> str:
        """A module's text with the package's names for modules, and none of hidden properties."""
        text = re.sub(r"(?m)^(\s*(?:from|import)) grader(?=[. ])", rf"\1 {self.package}.{ENGINE}", text)
        for name in self.hidden:
            text = text.replace(f'"{name}"', f'"{HIDDEN}"').replace(f"'{name}'", f'"{HIDDEN}"')
        return text


def _libraries_of(module: str) -> Iterator[str]:
    """The libraries, not of Python, that a module of the grader imports and that may be missing."""
    for binding in imports_of(required(module)):
        top = binding.module.partition(".")[0]
        if top not in sys.stdlib_module_names and top != "grader" and top not in OPTIONAL:
            yield top
