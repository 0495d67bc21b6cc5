"""Lets pytest run a homework's properties as ordinary hypothesis tests against one notebook.

    pytest grader/homework3/attention_head --submission homework.ipynb -k masked

A homework's folder has a ``conftest.py`` that imports the names in ``__all__``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import note, reject

from grader.assignment import load_assignment
from grader.errors import GraderError
from grader.homework import Homework, load_homework
from grader.judging.engine import Engine
from grader.judging.expect import StoodBack
from grader.judging.property import Property
from grader.kernel.session import Session
from grader.submission.planning import make_plan
from grader.submission.reading import read_submission

__all__ = ["pytest_addoption", "pytest_collect_file", "pytest_pycollect_makemodule", "student"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--submission``."""
    parser.addoption("--submission", metavar="FILE", help="the notebook to judge by the properties")


class PropertyModule(pytest.Module):
    """A module of properties, as its homework has loaded it."""

    def _getobj(self) -> ModuleType:
        (module,) = (m for m in homework_of(self.path).modules if _is_file_of(m, self.path))
        return module


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """A module of properties is not imported a second time, under another name."""
    homework = homework_of(module_path)
    if any(_is_file_of(module, module_path) for module in homework.modules):
        return PropertyModule.from_parent(parent, path=module_path)
    return None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Every module of properties is a module of tests, whatever its name."""
    # A file that is named on the command line is collected by pytest itself.
    if file_path.suffix != ".py" or parent.session.isinitpath(file_path):
        return None
    return pytest_pycollect_makemodule(file_path, parent)


def homework_of(path: Path) -> Homework:
    """The homework in whose folder a file lies, or the one that `load_homework` finds."""
    folder = next((folder for folder in path.parents if (folder / "homework.py").is_file()), None)
    inside_the_grader = folder is not None and (folder / "judging").is_dir()
    return load_homework(None if inside_the_grader else folder)


def _is_file_of(module: ModuleType, path: Path) -> bool:
    return module.__file__ is not None and Path(module.__file__).resolve() == path.resolve()


class PytestStudent:
    """What the ``student`` fixture gives: judges by one property at a time, in a process that a part's properties share."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def hold(self, prop: Property, case: Any) -> None:
        """Run one case. Fail the test with the counterexample, or skip it where the property does not apply."""
        if not self._engine.applies(prop):
            how = "whole" if self._engine.is_judged_whole(prop.part) else "with stand-ins"
            pytest.skip(f"{prop.part.name} is judged {how}")
        failure = self._engine.hold_once(prop, case)
        if isinstance(failure, StoodBack):
            note(f"left to {', '.join(failure.to)}: {failure.reason}")
            reject()
        if failure is not None:
            shown = "\n".join(f"{label} = {text}" for label, text in failure.shown)
            pytest.fail(f"{failure.message}\n{shown}", pytrace=False)


@pytest.fixture(scope="session")
def student(request: pytest.FixtureRequest) -> Iterator[PytestStudent]:
    """The submission's classes, in a confined kernel of their own."""
    name = request.config.getoption("--submission")
    if name is None:
        pytest.skip("needs --submission FILE")
    first = request.session.items[0]
    assignment = load_assignment(homework=homework_of(first.path))
    try:
        plan = make_plan(read_submission(Path(name)), assignment.template)
    except GraderError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    with Session(plan, files=assignment.homework.files) as session:
        session.run_cells()
        with Engine(
            session, b"pytest", assignment.provided_methods, homework=assignment.homework
        ) as engine:
            yield PytestStudent(engine)
