"""What makes kernels cheap to fork, and their parent quick to get ready."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from grader.kernel.limits import Limits
from grader.kernel.process import LAUNCHER, WarmParent, environment
from grader.kernel.session import Session
from grader.submission.planning import Plan
from grader.tokenizer_data import NLTK_DATA

INSIDE = LAUNCHER.parent


def run(code: str) -> list[str]:
    """The words that code prints which runs beside the kernel's files, in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(INSIDE)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


HUGE_PAGES = """
import pages
block = bytearray(b"x" * (64 << 20))
def huge():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("AnonHugePages"))
before = huge()
huge_pages = pages.HugePages()
huge_pages.make(seconds=1e-9)
first = huge_pages.made
huge_pages.make()
assert block == b"x" * (64 << 20)
print(first, huge_pages.made, huge() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has huge pages of this kind")
def test_memory_is_moved_into_huge_pages_a_few_at_a_time_and_stays_as_it_was() -> None:
    first, made, grown = map(int, run(HUGE_PAGES))
    if not made:
        pytest.skip("this system makes no huge pages on request (Linux before 6.1)")
    assert first <= 1 < made
    assert made * 2048 >= grown > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has huge pages of this kind")
def test_the_warm_parent_of_many_makes_huge_pages_as_kernels_come(tmp_path: Path) -> None:
    if run(HUGE_PAGES)[1] == "0":
        pytest.skip("this system makes no huge pages on request (Linux before 6.1)")
    with WarmParent(environment(tmp_path)) as parent:
        rollup = Path(f"/proc/{parent.pid}/smaps_rollup")
        if not os.access(rollup, os.R_OK):
            pytest.skip("another process's memory is closed to this user")
        if huge_kilobytes(rollup):
            pytest.skip("this system makes huge pages unasked")
        with Session(Plan((), {}, False, ()), Limits(), parent, isolation_level=None):
            assert huge_kilobytes(rollup) > 0


def huge_kilobytes(rollup: Path) -> int:
    """How much of a process' memory lies in huge pages."""
    line = next(line for line in rollup.read_text().splitlines() if line.startswith("AnonHugePages"))
    return int(line.split()[1])


WITHOUT = """
import shims, torch
with shims.without_compiler():
    shims.mend_torchvision()
    import torchvision
    print("torch._dynamo" in sys.modules and hasattr(sys.modules["torch._dynamo"], "config"))
print("torch._dynamo" in sys.modules)
from torchvision.ops import roi_align
import inspect
print(vars(inspect.getmodule(roi_align))["is_compile_supported"]("cpu"))
print(torch._dynamo.config.suppress_errors)
print("torch._dynamo.utils" in sys.modules)
"""


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed")
def test_torchvision_is_imported_without_the_compiler_which_is_there_when_it_is_wanted() -> None:
    assert run(WITHOUT) == ["False", "False", "True", "False", "True"]


PUNKT = """
import nltk, os, shims
nltk.data.path[:] = [os.environ["FOLDER"]]
shims.read_punkt()
nltk.data.path[:] = []
try:
    print(*nltk.word_tokenize("We speak."))
except LookupError:
    print("none")
"""


@pytest.mark.parametrize(("folder", "words"), [(NLTK_DATA, ["We", "speak", "."]), (INSIDE, ["none"])])
def test_punkt_is_read_once_for_all_kernels_where_there_is_any(
    folder: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLDER", str(folder))
    assert run(PUNKT) == words
