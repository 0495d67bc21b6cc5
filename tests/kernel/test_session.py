"""A session with real kernels: what a restart and an interrupt leave behind."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.errors import KernelError
from grader.kernel import confinement
from grader.kernel.execution import Completed, Died, Raised, TimedOut
from grader.kernel.limits import Limits
from grader.kernel.manager import Manager
from grader.kernel.process import WarmParent
from grader.kernel.session import Session
from grader.submission.planning import Plan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux")


@pytest.fixture
def session(warm: WarmParent) -> Iterator[Session]:
    with Session(Plan((), {}, False, ()), Limits(), warm, isolation_level=None) as session:
        yield session


def test_how_code_ended_is_a_type(session: Session) -> None:
    kernel = session.kernel
    assert isinstance(kernel.execute("x = 1", 30.0, cell=4), Completed)
    ended = kernel.execute("pass\n1 / 0", 30.0, cell=5)
    assert isinstance(ended, Raised)
    assert (ended.failure.ename, ended.failure.lines) == ("ZeroDivisionError", (2,))
    assert list(session.cell_of_execution.values()) == [4, 5]
    assert isinstance(kernel.execute("import os; os._exit(3)", 30.0), Died)
    assert not kernel.is_alive() and not kernel.recover()
    assert kernel.why_ended("just now") == "the Python process ended just now"


def test_an_interrupted_kernel_keeps_what_ran_before(session: Session) -> None:
    kernel = session.kernel
    kernel.execute("x = 1\nimport time", 30.0)
    assert isinstance(kernel.execute("while True: time.sleep(0.1)", 1.0), TimedOut)
    assert kernel.is_alive(), "asking does not interrupt it"
    assert kernel.recover()
    assert isinstance(kernel.execute("assert x == 1", 30.0), Completed)


def test_the_connection_file_of_a_new_kernel_outlives_the_manager_of_the_old_one(session: Session) -> None:
    session.kernel.execute("x = 1", 30.0)
    session.restart()
    gc.collect()
    assert (session.workspace.path / "connection.json").exists()
    ended = session.kernel.execute("x", 30.0)
    assert isinstance(ended, Raised) and ended.failure.undefined == "x"


def test_a_manager_deletes_nothing_when_it_is_collected(tmp_path: Path) -> None:
    """A kernel whose file is gone makes it anew, which Landlock refuses: then the grader could not run a kernel."""
    earlier = Manager(tmp_path)
    Manager(tmp_path)
    earlier.__del__()
    assert (tmp_path / "connection.json").exists()


def test_names_without_a_value_say_why(session: Session) -> None:
    session.explain({f"name_{number}": f"reason {number}" for number in range(120)})
    ended = session.kernel.execute("name_119 + 1", 30.0)
    assert isinstance(ended, Raised)
    assert ended.failure.unavailable == "name_119" and "reason 119" in ended.failure.message


def test_time_that_is_used_up_opens_no_channel(warm: WarmParent) -> None:
    with Session(Plan((), {}, False, ()), Limits(total=0.0), warm, isolation_level=None) as session:
        with pytest.raises(KernelError, match="whole submission"), session.property({}):
            pass
        assert "was used up" in session.why_ended("now")


def test_there_is_no_kernel_after_the_end(warm: WarmParent) -> None:
    with Session(Plan((), {}, False, ()), Limits(), warm, isolation_level=None) as session:
        pass
    with pytest.raises(KernelError):
        session.kernel.is_alive()
    assert not session.workspace.path.exists()


def test_the_end_of_a_kernel_is_noted_at_once(warm: WarmParent) -> None:
    with Session(Plan((), {}, False, ()), Limits(), warm, isolation_level=None) as session:
        user = session.workspace.uid
    if user is None:
        pytest.skip("kernels have no user of their own here")
    deadline = time.monotonic() + 5
    while confinement.has_processes(user) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not confinement.has_processes(user)
