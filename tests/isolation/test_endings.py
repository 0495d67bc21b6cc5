"""Nothing of a submission outlives it: processes, files, users, and a budget that is used up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grader.kernel import confinement

START = "print('up', flush=True)\n"

CLINGERS = {
    "double fork and session": """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(60)
            os._exit(0)
        print("up", flush=True); time.sleep(60)
    """,
    "ignores every signal": """
        import os, signal, time
        for number in range(1, signal.NSIG):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        os.setpgid(0, 0) if os.getpid() != os.getsid(0) else None
        print("up", flush=True)
        while True: time.sleep(1)
    """,
    "children that bring back one another": """
        import os, time
        for _ in range(6):
            if os.fork() == 0:
                while True:
                    child = os.fork()
                    if child:
                        os.waitpid(child, 0)
                    else:
                        time.sleep(0.002)
                        os._exit(0)
        print("up", flush=True); time.sleep(60)
    """,
    "chain in which each parent exits": """
        import os
        print("up", flush=True)
        while True:
            if os.fork():
                os._exit(0)
    """,
}


@pytest.mark.parametrize("name", list(CLINGERS))
def test_sweep_leaves_nothing(cell, name):
    process = cell.start(CLINGERS[name])
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    bystander = subprocess.Popen(["/bin/sleep", "60"])
    try:
        if cell.workspace.uid is not None:
            assert all(confinement.has_processes(cell.workspace.uid) for _ in range(300))
        cell.workspace.sweep()
        assert cell.workspace.mark.keepers() == []
        time.sleep(0.02)
        assert cell.workspace.mark.pids() == []
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
        process.kill()
        process.communicate(timeout=5)


def test_sweep_of_nothing_is_nothing():
    with confinement.Workspace() as workspace:
        assert workspace.uid is None or not confinement.has_processes(workspace.uid)
        assert workspace.sweep() == 0


def test_a_system_that_does_not_say_is_searched(monkeypatch):
    def refuse(which: int, who: int) -> int:
        raise PermissionError(1, "refused by the container")

    monkeypatch.setattr(os, "getpriority", refuse)
    with confinement.Workspace() as workspace:
        assert workspace.uid is None or confinement.has_processes(workspace.uid)
        assert workspace.sweep() == 0


def test_workspaces_share_no_user():
    with confinement.Workspace() as first, confinement.Workspace() as second:
        assert first.path != second.path
        assert first.mark != second.mark
        if first.uid is not None:
            assert first.uid != second.uid


def test_a_user_is_free_again_afterwards(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    # Two users in all, below those that graders beside this test may have.
    uids = confinement.Uids(tmp_path / "uids", confinement.FIRST_UID - 10, confinement.FIRST_UID - 8)
    uid, lock = uids.take()
    other, second = uids.take()
    assert uid != other
    with pytest.raises(confinement.IsolationError, match="all users"):
        uids.take()
    os.close(lock)
    assert uids.take()[0] == uid
    os.close(second)


def test_a_folder_of_users_that_others_may_change_is_refused(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    (tmp_path / "uids").mkdir()
    (tmp_path / "uids").chmod(0o777)
    with pytest.raises(confinement.IsolationError, match="only root"):
        confinement.Uids(tmp_path / "uids").take()


def test_the_folder_is_private_short_and_deleted(cell):
    path = cell.workspace.path
    assert path.stat().st_mode & 0o777 == 0o700
    assert path.parent.stat().st_mode & 0o777 == 0o711
    assert len(os.fsencode(path)) < 80
    with confinement.Workspace(cell.host) as other:
        gone = other.path
    assert not gone.parent.exists()


def test_any_folder_is_deleted(cell, tmp_path):
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "file").write_text("x")
    cell.run(
        f"""
        import os
        os.symlink({str(keep)!r}, "link")
        os.mkdir("closed"); open("closed/file", "w").close(); os.chmod("closed", 0)
        for name in (b"\\xff\\n", "a" * 255, "-rf", ".1", ".2", " "):
            os.mkdir(name)
        os.mkfifo("fifo")
        here = os.getcwd()
        for _ in range(2000):
            os.mkdir("deep" * 20); os.chdir("deep" * 20)
        print(json.dumps(0))
        """
    )
    cell.workspace.clear()
    assert list(cell.workspace.path.iterdir()) == []
    assert (keep / "file").read_text() == "x"


def test_what_the_judge_puts_there_is_given_away_but_no_link_is_followed(cell, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    (cell.workspace.path / "data").write_text("7")
    (cell.workspace.path / "data").chmod(0o600)
    (cell.workspace.path / "link").symlink_to(secret)
    cell.workspace.give_away()
    assert cell.run("print(open('data').read())") == 7
    assert secret.stat().st_uid == os.geteuid()


def test_shared_memory_needs_a_user_of_its_own(cell):
    if cell.workspace.uid is not None or not cell.host.landlock:
        pytest.skip("has a user of its own, or nothing that could keep it away")
    outcome = cell.run(
        """
        from multiprocessing import Lock
        put = lambda: open('/dev/shm/left-by-a-test', 'w')
        print(json.dumps([attempt(put), attempt(Lock)]))
        """
    )
    assert outcome == ["PermissionError", "PermissionError"]


def test_shared_memory_is_deleted(cell):
    if cell.workspace.uid is None:
        pytest.skip("without a user of its own there is none")
    if cell.host.namespaces:
        pytest.skip("it is the kernel's own, and ends with it")
    with confinement.Workspace(cell.host) as workspace:
        type(cell)(workspace, cell.host, cell.interpreter).run(
            "open('/dev/shm/left-by-a-test', 'w').write('x'); print(0)"
        )
        assert Path("/dev/shm/left-by-a-test").exists()
    assert not Path("/dev/shm/left-by-a-test").exists()


OVER = {
    "memory": (
        "import os, time\n"
        "for _ in range(4):\n    if os.fork() == 0: x = bytearray(b'x') * (60 << 20); time.sleep(60)\n",
        confinement.Budget(memory=150 << 20),
    ),
    "shared memory": (
        "import mmap, time\nx = mmap.mmap(-1, 200 << 20); x.write(b'x' * (200 << 20))\n",
        confinement.Budget(memory=150 << 20),
    ),
    "of files": (
        "import os\nfor i in range(40): open(str(i), 'wb').write(bytes(1 << 20))\n",
        confinement.Budget(disk=20 << 20),
    ),
    "more than 50 files": (
        "import os\nfor i in range(100): os.mkdir(str(i))\n",
        confinement.Budget(files=50),
    ),
    "processes and threads": (
        "import threading, time\n"
        "for _ in range(30): threading.Thread(target=time.sleep, args=(60,)).start()\n",
        confinement.Budget(processes=10),
    ),
}


@pytest.mark.parametrize("what", list(OVER))
def test_watchdog_ends_what_is_over_its_budget(cell, what):
    source, budget = OVER[what]
    told: list[str] = []
    workspace = cell.workspace
    with confinement.Watchdog(workspace.mark, workspace.path, budget, told.append, interval=0.05) as watchdog:
        process = cell.start(source + "import time; time.sleep(60)\n")
        process.communicate(timeout=10)
        deadline = time.monotonic() + 3
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
    assert watchdog.reason is not None
    assert what.split()[-1] in watchdog.reason
    assert told == [watchdog.reason]
    assert workspace.mark.pids() == []


def test_watchdog_leaves_a_modest_kernel_alone(cell):
    workspace = cell.workspace
    with confinement.Watchdog(workspace.mark, workspace.path, interval=0.02) as watchdog:
        assert cell.run("import time; time.sleep(0.3); print(1)") == 1
    assert watchdog.reason is None


DELETED = """
import os, time
files = []
for i in range(4):
    files.append(open(str(i), "wb"))
    os.remove(str(i))
    files[-1].write(bytes(10 << 20))
    files[-1].flush()
time.sleep(60)
"""


def test_watchdog_sees_deleted_files_that_are_open(cell):
    if os.geteuid() != 0 or cell.workspace.uid is None:
        pytest.skip("only root may look")
    budget = confinement.Budget(disk=20 << 20)
    with confinement.Watchdog(cell.workspace.mark, cell.workspace.path, budget, interval=0.05) as watchdog:
        cell.start(DELETED).communicate(timeout=20)
        time.sleep(0.2)
    assert watchdog.reason is not None
    assert "of files" in watchdog.reason


KILLED = """
import os, signal, sys, time
from grader.kernel import confinement
workspace = confinement.Workspace().__enter__()
if workspace.uid is not None and os.fork() == 0:
    confinement.workspace.JANITOR._popen.stdin.close()  # as in a kernel, which keeps no descriptors
    os.setsid()
    os.setresgid(workspace.uid, workspace.uid, workspace.uid)
    os.setresuid(workspace.uid, workspace.uid, workspace.uid)
    for _ in range(600):
        time.sleep(0.1)
    os._exit(0)
(workspace.path / "file").write_text("x")
print(workspace.path.parent, workspace.uid or 0, flush=True)
time.sleep(60)
"""


def test_a_killed_grader_leaves_nothing(tmp_path):
    root = Path(confinement.__file__).parents[3]
    grader = subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, cwd=root, start_new_session=True
    )
    assert grader.stdout is not None
    folder, uid = grader.stdout.readline().split()
    assert Path(folder).exists()
    grader.kill()
    grader.wait()
    deadline = time.monotonic() + 10
    mark = confinement.Mark(int(uid), 0) if int(uid) else None
    while (Path(folder).exists() or (mark and mark.pids())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(folder).exists()
    assert not mark or mark.pids() == []
    grader.stdout.close()


KILLED_HOST = """
import time
from grader.kernel.warm import WarmHost
print(WarmHost(fork=False, for_one=True).__enter__().folder, flush=True)
time.sleep(60)
"""


def test_a_killed_grader_of_one_notebook_leaves_no_folder():
    root = Path(confinement.__file__).parents[3]
    grader = subprocess.Popen([sys.executable, "-c", KILLED_HOST], stdout=subprocess.PIPE, text=True, cwd=root)
    assert grader.stdout is not None
    folder = Path(grader.stdout.readline().strip())
    assert folder.is_dir()
    grader.kill()
    grader.wait()
    deadline = time.monotonic() + 10
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()
    grader.stdout.close()
