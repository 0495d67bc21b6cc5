"""What a watchdog that walks through folders could miss, and what one submission could use up of another's."""

from __future__ import annotations

import dataclasses
import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader import grade as grading
from grader.assignment import Assignment
from grader.batch.pool import Lost, workers
from grader.errors import HostError, KernelError, NothingToGrade, host_error
from grader.kernel import confinement
from grader.kernel.process import KernelProcess
from grader.submission.handin import HandIn
from grader.submission.reading import Submission
from tests.isolation.conftest import Cell

DEEP = """
import os, time
for _ in range(25):
    os.mkdir("d" * 200); os.chdir("d" * 200)
with open("big", "wb") as file:
    file.write(bytes(30 << 20))
time.sleep(30)
"""
MAPPED = """
import ctypes, os, time
libc = ctypes.CDLL(None); libc.mmap.restype = ctypes.c_void_p
for _ in range(4):
    file = open("m", "w+b"); os.unlink("m"); file.truncate(10 << 20)
    at = libc.mmap(None, ctypes.c_size_t(10 << 20), 3, 1, file.fileno(), ctypes.c_long(0)); file.close()
    ctypes.memset(at, 120, 10 << 20)
time.sleep(30)
"""
SHARED = """
import os, time
for number in range(4):
    with open(f"/dev/shm/left-by-a-test-{os.getpid()}-{number}", "wb") as file:
        file.write(b"x" * (10 << 20))
time.sleep(30)
"""
SPINNING = """
import os
import socket
import sys
for _ in range(12):
    if os.fork() == 0:
        while True: pass
import time; time.sleep(30)
"""


@pytest.fixture
def counted() -> Iterator[Cell]:
    """A confined process with a user of its own, whose folders the watchdog has to count."""
    host = confinement.probe()
    if host.identity == "shared" or not host.landlock or not host.seccomp:
        pytest.skip("needs root, Landlock and seccomp")
    host = dataclasses.replace(host, identity="reading", namespaces=False)
    with confinement.Workspace(host) as workspace:
        yield Cell(workspace, host, sys.executable)


def _stopped(cell: Cell, source: str, budget: confinement.Budget, processes: int = 1) -> str | None:
    """Why the watchdog stops a program. It looks for the first time once there are so many processes."""
    workspace = cell.workspace
    process = cell.start(source)
    deadline = time.monotonic() + 10
    while len(list(workspace.mark.pids())) < processes and time.monotonic() < deadline:
        time.sleep(0.01)
    with confinement.Watchdog(workspace.mark, workspace.path, budget, interval=0.05) as watchdog:
        process.communicate(timeout=25)
        deadline = time.monotonic() + 3
        while watchdog.reason is None and time.monotonic() < deadline:
            time.sleep(0.01)
    return watchdog.reason


@pytest.mark.parametrize(
    ("source", "reason"),
    [(DEEP, "path is longer"), (MAPPED, "of files"), (SHARED, "of files")],
    ids=["deep", "mapped", "shared"],
)
def test_the_watchdog_counts_what_lies_deep_or_is_mapped_or_shared(counted: Cell, source: str, reason: str) -> None:
    assert reason in (_stopped(counted, source, confinement.Budget(disk=20 << 20)) or "")


def test_the_watchdog_counts_processes(counted: Cell) -> None:
    reason = _stopped(counted, SPINNING, confinement.Budget(programs=8), processes=13)
    assert "13 processes, 8 are allowed" in (reason or "")


def test_many_busy_processes_get_the_lowest_priority(counted: Cell) -> None:
    mark = counted.workspace.mark
    with confinement.Watchdog(mark, counted.workspace.path, interval=0.05):
        process = counted.start(SPINNING)
        deadline = time.monotonic() + 10
        lowest = 0
        while lowest < 12 and time.monotonic() < deadline:
            time.sleep(0.05)
            lowest = sum(_nice(pid) == 19 for pid in mark.pids())
        counted.workspace.sweep()
        process.communicate(timeout=5)
    assert lowest >= 12


def _nice(pid: int) -> int:
    try:
        return os.getpriority(os.PRIO_PROCESS, pid)
    except ProcessLookupError:
        return 0


@pytest.mark.skipif(not confinement.probe().namespaces, reason="needs namespaces")
def test_folders_in_memory_are_bounded_and_gone_with_the_kernel(cell: Cell) -> None:
    if not cell.host.namespaces:
        pytest.skip("has no folders in memory")
    home = cell.workspace.path / "home"
    home.mkdir()
    (home / "input.txt").write_text("given")
    cell.workspace.give_away()
    outcome = cell.run(
        f"""
        import os
        os.chdir({str(home)!r})
        def fill(path):
            with open(path, "wb") as file:
                for _ in range(400): file.write(bytes(1 << 20))
        print(json.dumps([
            open("input.txt").read(), attempt(lambda: fill("big")), attempt(lambda: fill("/dev/shm/big")),
            attempt(lambda: open("../beside", "w")), attempt(lambda: os.mkdir("../folder")),
            attempt(lambda: open("/proc/self/net/unix")),
        ]))
        """,
        confinement.Access(folders=(home,)),
        budget=confinement.Budget(disk=20 << 20),
    )
    assert outcome == ["given", "OSError", "OSError", "PermissionError", "PermissionError", "PermissionError"]
    assert [path.name for path in home.iterdir()] == ["input.txt"]
    assert not list(Path("/dev/shm").glob("big"))


def test_shared_memory_of_others_is_hidden_and_does_not_count(cell: Cell) -> None:
    if not cell.host.namespaces:
        pytest.skip("needs mounts of its own")
    others = Path(f"/dev/shm/of-another-{os.getpid()}")
    others.write_bytes(b"secret" + bytes(24 << 20))
    others.chmod(0o600)
    home = cell.workspace.path / "home"
    home.mkdir()
    cell.workspace.give_away()
    try:
        source = f"print(json.dumps([attempt(lambda: open({str(others)!r}).read(6))]))"
        outcome = cell.run(source, confinement.Access(folders=(home,)), budget=confinement.Budget(disk=20 << 20))
        assert outcome == ["FileNotFoundError"]
    finally:
        others.unlink()


# -- errors of the machine -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.ENOSPC, errno.ETOOMANYREFS, errno.EAGAIN])
def test_exhausted_resources_are_a_host_error(number: int) -> None:
    assert isinstance(host_error(OSError(number, "want")), HostError)


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ECONNRESET, errno.EBADF])
def test_a_kernel_that_hung_up_is_no_host_error(number: int) -> None:
    assert host_error(OSError(number, "gone")) is None
    assert host_error(TimeoutError("late")) is None


@pytest.mark.parametrize(("number", "kind"), [(errno.ETOOMANYREFS, HostError), (errno.EPIPE, KernelError)])
def test_a_request_that_cannot_be_sent_says_whose_fault_it_is(number: int, kind: type[Exception]) -> None:
    class Refusing(KernelProcess):
        def send(self, data: bytes, fds: list[int]) -> None:
            raise OSError(number, "x")

    process = Refusing()
    process.control, other = socket.socketpair()
    with process.control, other, pytest.raises(kind):
        process.ask({"op": "property"}, 1.0, [0])


@pytest.mark.parametrize("failures", [1, 2])
def test_a_submission_is_judged_once_more_and_then_is_pending(failures: int, assignment: Assignment) -> None:
    left = [HostError("no descriptors") for _ in range(failures)]

    class Scarce(HandIn):
        def submission(self, name: str = "") -> Submission:
            raise left.pop() if left else NothingToGrade("is an empty file")

    judged = grading.judge(Scarce("a.ipynb", b""), assignment, grading.Request(retry_seconds=0.0))
    assert left == []
    assert judged.grader_failed == (failures == 2)
    assert ("empty file" in str(judged.result.error)) == (failures == 1)


def _busy(item: str, address: str | None) -> str:
    """Fails for want where the item says so, as often as it says, and notes what runs beside it."""
    folder, name, fails = item.split("|")
    (Path(folder) / f"{name}.running").touch()
    time.sleep(0.3)
    beside = sum(1 for _ in Path(folder).glob("*.running"))
    (Path(folder) / f"{name}.running").unlink()
    tries = Path(folder) / f"{name}.tries"
    tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
    if len(tries.read_text()) <= int(fails):
        raise HostError("no descriptors")
    return f"{name} beside {beside - 1}"


def test_work_that_failed_for_lack_of_resources_is_retried_alone(tmp_path: Path) -> None:
    items = [f"{tmp_path}|{name}|{fails}" for name, fails in (("a", 1), ("b", 0), ("c", 9), ("d", 0), ("e", 0))]

    class NoHost:
        folder, address, door = tmp_path, None, None

        def ensure(self) -> bool:
            return False

        def release_in_child(self) -> None:
            pass

    with workers(2, host=NoHost()) as pool:  # type: ignore[arg-type]
        outcome = {item.split("|")[1]: value for item, value in pool.run(_busy, items)}
    assert outcome["a"] == "a beside 0"
    assert isinstance(outcome["c"], Lost)
    assert (tmp_path / "c.tries").read_text() == "xx"
    assert {str(outcome[name]).split()[0] for name in "bde"} == {"b", "d", "e"}
