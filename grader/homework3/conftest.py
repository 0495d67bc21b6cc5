"""Lets pytest run properties as ordinary hypothesis tests against one notebook:

pytest grader/homework3/attention_head.py --submission homework.ipynb
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import note, reject

from grader.grade import load_assignment
from grader.judging.engine import Engine
from grader.judging.expect import StoodBack
from grader.judging.property import Property
from grader.kernel.session import Session
from grader.submission.planning import make_plan
from grader.submission.reading import read_submission


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--submission``."""
    parser.addoption("--submission", metavar="FILE", help="the notebook to hold properties against")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Every module of properties is a module of tests, whatever its name."""
    ours = (
        file_path.suffix == ".py"
        and file_path.parent == Path(__file__).parent
        and file_path.name != "conftest.py"
    )
    # A file that is named on the command line is collected by pytest itself.
    if ours and not parent.session.isinitpath(file_path):
        return pytest.Module.from_parent(parent, path=file_path)
    return None


class PytestStudent:
    """What the ``student`` fixture gives: holds one property at a time, in a child that the properties of its part share."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def hold(self, prop: Property, case: Any) -> None:
        """Run one case; fail the test with the counterexample, or skip it where the property does not apply."""
        if not self._engine.applies(prop):
            pytest.skip(
                f"{prop.part.name} is judged {'whole' if self._engine.is_fused(prop.part) else 'with stand-ins'}"
            )
        failure = self._engine.hold_once(prop, case)
        if isinstance(failure, StoodBack):
            note(f"stood back: {failure.reason} ({', '.join(failure.to)})")
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
    assignment = load_assignment()
    plan = make_plan(read_submission(Path(name)), assignment.template)
    with Session(plan, files=assignment.homework.files) as session:
        session.run_cells()
        with Engine(session, b"pytest", assignment.provided_methods) as engine:
            yield PytestStudent(engine)
