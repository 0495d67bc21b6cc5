"""What files, libraries, limits and processes confined code has, tried by real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from grader import assets
from grader.homework3 import HOMEWORK
from grader.kernel import confinement

pytestmark = pytest.mark.long

ROOT = Path(confinement.__file__).parents[3]
CONFINE = Path(confinement.__file__).parents[1] / "inside" / "confine.py"


def test_policy_is_plain_json(cell):
    policy = confinement.make_policy(cell.workspace, confinement.Access(readable=(assets.DATA / "nltk",)))
    assert json.loads(json.dumps(policy)) == policy


def test_every_layer_of_the_host_is_active(cell):
    layers = cell.run("print(json.dumps(layers))")
    expected = {"session", "descriptors", "limits", "no_new_privs", "undumpable", "dies_with_parent"}
    expected |= {"landlock", "seccomp"}
    if cell.workspace.uid is not None:
        expected |= {"uid"} | ({"namespaces"} if cell.host.namespaces else set())
    else:
        expected |= {"keeper"} | ({"capabilities"} if os.geteuid() == 0 else set())
    assert set(layers) == expected
    rows = confinement.describe(layers, cell.host)
    assert {row["layer"] for row in rows if not row["active"]} <= {"uid", "scopes", "namespaces"}
    assert all(row["note"] for row in rows if not row["active"])


def test_files_of_grader_and_user_cannot_be_read(cell, tmp_path):
    secret = tmp_path / "seed"
    secret.write_text("1")
    with tempfile.NamedTemporaryFile() as other:
        files = [
            str(secret),
            other.name,
            "/etc/passwd",
            "/etc/shadow",
            "/root/.bashrc",
            str(Path("~/.ssh").expanduser()),
            str(HOMEWORK.rubric),
            confinement.__file__,
            str(ROOT / "pyproject.toml"),
            *map(str, list(HOMEWORK.reference.glob("*.py"))[:3]),
            "/proc/1/environ",
            f"/proc/{os.getpid()}/environ",
            f"/proc/{os.getpid()}/mem",
            f"/proc/{os.getpid()}/cmdline",
            f"/proc/{os.getpid()}/fd/0",
            f"/proc/{os.getpid()}/root/etc/passwd",
            f"/proc/{os.getpid()}/cwd/pyproject.toml",
        ]
        read = cell.run(
            f"""
            import os
            def look(path):
                return os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(10)
            print(json.dumps([path for path in {files!r} if attempt(lambda: look(path)) == "done"]))
            """
        )
    assert read == []


def test_links_lead_nowhere_new(cell):
    outcome = cell.run(
        f"""
        import os
        os.symlink({str(HOMEWORK.rubric)!r}, "link")
        print(json.dumps([
            attempt(lambda: open("link").read()),
            attempt(lambda: os.link({str(HOMEWORK.rubric)!r}, "hard")),
            attempt(lambda: os.rename({str(HOMEWORK.rubric)!r}, "moved")),
            attempt(lambda: os.truncate({str(HOMEWORK.rubric)!r}, 0)),
            attempt(lambda: os.unlink({str(HOMEWORK.rubric)!r})),
            attempt(lambda: open("/tmp/planted", "w")),
            attempt(lambda: open("/proc/self/root" + {str(HOMEWORK.rubric)!r}).read()),
        ]))
        """
    )
    assert "done" not in outcome
    assert HOMEWORK.rubric.stat().st_size > 0


def test_grader_and_reference_cannot_be_imported(cell):
    outcome = cell.run(
        f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        def load(name):
            __import__(name)
        print(json.dumps([attempt(lambda: load(name)) for name in ("grader", "grader.scoring.rubric", "reference")]))
        """
    )
    assert set(outcome) <= {"ModuleNotFoundError", "PermissionError"}


def test_libraries_work(cell):
    outcome = cell.run(
        """
        import threading, os, ctypes, sqlite3, ssl, tempfile, random, zoneinfo
        import numpy, torch, nltk
        done = []
        ones = torch.ones(300, 300)
        thread = threading.Thread(target=lambda: done.append(float((ones @ ones).sum())))
        thread.start(); thread.join()
        import matplotlib
        matplotlib.use("agg")
        import matplotlib.pyplot as plt
        plt.plot([1, 2]); plt.savefig("plot.png")
        torch.save(torch.ones(3), "t.pt"); torch.load("t.pt")
        tempfile.TemporaryFile().write(b"x")
        print(json.dumps([done, os.path.getsize("plot.png") > 0]))
        """
    )
    assert outcome == [[300.0**3], True]


def test_data_can_be_read_where_named(cell):
    outcome = cell.run(
        f"""
        import os
        folder = {str(assets.DATA)!r}
        text = attempt(lambda: open(folder + "/README.md"))
        print(json.dumps([len(os.listdir(folder + "/nltk")), text]))
        """,
        confinement.Access(readable=(assets.DATA / "nltk",)),
    )
    assert outcome == [1, "PermissionError"]


def test_processes_threads_and_unix_sockets_work(cell):
    outcome = cell.run(
        """
        import os, signal, socket, threading, time
        child = os.fork()
        if child == 0:
            time.sleep(60)
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        server = socket.socket(socket.AF_UNIX); server.bind("s"); server.listen()
        left, right = socket.socketpair(); left.send(b"x")
        print(json.dumps([status, right.recv(1).decode()]))
        """
    )
    assert outcome == [9, "x"]


def test_data_loader_with_workers_loads_by_itself(cell):
    loaders = Path(confinement.__file__).parents[1] / "inside" / "loaders.py"
    assert cell.run(
        f"""
        exec({loaders.read_text()!r})
        import torch
        from torch.utils.data import DataLoader, TensorDataset
        load_without_workers()
        loader = DataLoader(TensorDataset(torch.arange(8.)), 4, num_workers=2, prefetch_factor=2, persistent_workers=True)
        print(json.dumps([float(batch.sum()) for batch, in loader]))
        """
    ) == [6.0, 22.0]


def test_limits_hold(cell):
    outcome = cell.run(
        """
        import os, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        def fill():
            with open("big", "wb") as file:
                file.write(bytes(3 << 20))
        def burn():
            child = os.fork()
            if child == 0:
                while True: pass
            if os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGXCPU: raise TimeoutError
        def hoard():
            files = [open("f", "w") for _ in range(100)]
        print(json.dumps([attempt(lambda: bytearray(1 << 30)), attempt(fill), attempt(hoard), attempt(burn)]))
        """,
        budget=confinement.Budget(data=512 << 20, file=1 << 20, open_files=64, cpu=1),
    )
    assert outcome == ["MemoryError", "OSError", "OSError", "TimeoutError"]


def test_number_of_processes_is_limited(cell):
    if cell.workspace.uid is None and os.geteuid() == 0:
        pytest.skip("the limit does not bind root")
    assert (
        cell.run(
            """
            import os, signal
            def crowd():
                for _ in range(60):
                    if os.fork() == 0:
                        os.close(1); os.close(2)
                        signal.pause()
            print(json.dumps(attempt(crowd)))
            """,
            budget=confinement.Budget(processes=30),
        )
        == "BlockingIOError"
    )


def test_descriptors_are_closed(cell):
    with Path("/etc/passwd").open() as file:
        os.set_inheritable(file.fileno(), True)
        kept, lost = os.dup(file.fileno()), file.fileno()
        outcome = cell.run(
            f"""
            import os
            print(json.dumps([attempt(lambda: os.fstat(number)) for number in ({kept}, {lost})]))
            """,
            pass_fds=(kept, lost),
            keep_fds=[kept],
        )
        os.close(kept)
    assert outcome == ["done", "OSError"]


def test_changes_to_files_of_the_user_have_no_effect(cell):
    before = Path(confinement.__file__).stat()
    cell.run(
        f"""
        import os
        path = {confinement.__file__!r}
        print(json.dumps([attempt(lambda: os.chmod(path, 0)), attempt(lambda: os.utime(path, (1, 1)))]))
        """
    )
    after = Path(confinement.__file__).stat()
    assert (after.st_mode, after.st_mtime) == (before.st_mode, before.st_mtime)


def test_threads_that_run_already_are_an_error(cell):
    process = cell.start("")
    process.communicate()
    code = f"""
import importlib.util, threading, time
spec = importlib.util.spec_from_file_location("confine", {str(CONFINE)!r})
confine = importlib.util.module_from_spec(spec); spec.loader.exec_module(confine)
threading.Thread(target=time.sleep, args=(1,), daemon=True).start()
try:
    confine.apply({confinement.make_policy(cell.workspace, host=cell.host)!r})
except confine.ConfineError as error:
    print(error)
"""
    shown = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "2 threads" in shown


def test_required_layer_that_fails_stops_the_process(cell):
    policy = confinement.make_policy(cell.workspace, host=cell.host)
    process = cell.start("print('ran')", parent=1)
    out, err = process.communicate()
    assert "ran" not in out
    assert "ConfineError" in err
    assert "seccomp" in policy["required"]


def test_kernel_dies_with_its_parent(cell):
    middle = os.fork()
    if middle == 0:
        process = cell.start("import time; print('up', flush=True); time.sleep(60)")
        assert process.stdout is not None
        process.stdout.readline()
        os._exit(0)
    os.waitpid(middle, 0)
    deadline = time.monotonic() + 3
    while cell.workspace.mark.pids() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert cell.workspace.mark.pids() == []


def test_a_user_of_its_own_has_nothing_else(plain_cell):
    outcome = plain_cell.run(
        """
        import os
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        open("own", "w").write("x")
        rights = int(status["CapPrm"], 16)
        print(json.dumps([os.getresuid(), os.getresgid(), rights, attempt(lambda: open("/etc/passwd"))]))
        """
    )
    uid = plain_cell.workspace.uid
    assert outcome == [[uid] * 3, [uid] * 3, 0, "PermissionError"]


def test_kernels_cannot_reach_one_another(cell):
    with confinement.Workspace(cell.host) as second:
        (second.path / "answer").write_text("42")
        second.give_away()
        neighbour = type(cell)(second, cell.host, cell.interpreter).start(
            "import time; print('up', flush=True); time.sleep(60)"
        )
        assert neighbour.stdout is not None
        neighbour.stdout.readline()
        outcome = cell.run(
            f"""
            import os
            print(json.dumps([
                attempt(lambda: os.kill({neighbour.pid}, 9)),
                attempt(lambda: open({str(second.path / "answer")!r})),
                attempt(lambda: os.listdir({str(second.path)!r})),
                attempt(lambda: open("/proc/{neighbour.pid}/status")),
            ]))
            """
        )
        assert neighbour.poll() is None
        second.sweep()
        neighbour.communicate()
    assert set(outcome) == {"PermissionError"}
