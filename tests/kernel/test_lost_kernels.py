"""A kernel that ends costs no definition."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from grader.scoring.result import Result
from tests.conftest import handwritten, keeps_all, notebook

pytestmark = pytest.mark.long

Graded = Callable[[str], Result]


def test_idioms_for_a_restart_do_nothing(graded: Graded) -> None:
    setup, *classes = handwritten()
    idioms = [
        "import IPython\napp = IPython.Application.instance()\napp.kernel.do_shutdown(True)",
        "def restart():\n    get_ipython().kernel.do_shutdown(restart=True)\nrestart()",
        "getattr(app.kernel, 'do_' + 'shutdown')(True)\nget_ipython().ask_exit()\nexit",
        "import time\ntime.sleep(1.5)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    ]
    result = graded(notebook(*idioms, setup, *classes))
    assert keeps_all(result)
    assert {cell.status for cell in result.cells} <= {"ok", "skipped"}, result.cells
    assert not [warning for warning in result.warnings if "kernel" in warning]


def test_what_ends_the_kernel_later_costs_no_definition(graded: Graded) -> None:
    setup, *classes = handwritten()
    bomb = "import os, threading\nthreading.Timer(0.6, lambda: os._exit(0)).start()\n"
    wait = "import time\ntime.sleep(0.5)\n"
    result = graded(notebook(bomb + setup, *(wait + cell for cell in classes)))
    assert keeps_all(result)


def test_a_cell_that_ends_the_kernel_itself_costs_only_itself(graded: Graded) -> None:
    setup, *classes = handwritten()
    crash = "import ctypes\nclass Late:\n    pass\nctypes.string_at(0)"
    result = graded(notebook(setup, crash, *classes))
    assert keeps_all(result)
    assert [cell.status for cell in result.cells[:3]] == ["ok", "died", "ok"]
