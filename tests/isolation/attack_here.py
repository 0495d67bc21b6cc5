"""A grader that runs one submission, which tries everything, and reports what it reached; a process of its own for each host.

Arguments: what the host lacks, whether an ordinary user grades, and the level that is required (null for one's own notebook).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grader.errors import GraderError
from grader.kernel import confinement
from grader.kernel.process import WarmParent, environment
from grader.kernel.session import Session
from grader.submission.planning import Plan, PlannedCell
from grader.submission.reading import CodeCell
from tests.isolation.conftest import Cell
from tests.isolation.graded_here import bounded, graded
from tests.isolation.lacking import become
from tests.isolation.test_blind_spots import DEEP, MAPPED, SHARED, SPINNING
from tests.isolation.test_endings import DELETED

KEY = 0x48330000 + os.getpid() % 0xFFFF
"""Of the judge's System V objects; the submission's own is the next one."""

# Each attack is a function whose return means that it got through; what it raises says what stopped it.
ATTACKS = """
import ctypes, fcntl, json, os, resource, signal, socket, sys, time
G = json.loads(GIVEN)
libc = ctypes.CDLL(None, use_errno=True)
def called(result):
    if result < 0: raise OSError(ctypes.get_errno(), "refused")
    return result
def read_secret(): open(G["secret"]).read()
def read_neighbor(): open(G["neighbor"]).read()
def open_judge_memory(): open(f"/proc/{G['judge']}/mem", "rb+").close()
def open_parent_memory(): open(f"/proc/{os.getppid()}/mem", "rb+").close()
def read_judge_environment(): open(f"/proc/{G['judge']}/environ", "rb").read()
def write_secret(): open(G["secret"], "a").close()
def write_grader(): open(G["grader"], "a").close()
def stat_secret(): os.stat(G["secret"])
def list_sockets(): assert G["stream"] in open("/proc/self/net/unix").read()
def connect(): socket.socket(socket.AF_UNIX).connect(G["stream"])
def send_datagram(): socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", G["datagram"])
def send_to_address():
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); sender.sendmsg([b"x"], [], 0, G["datagram"])
def network(): socket.create_connection(("127.0.0.1", G["port"]), 1)
def network_datagram(): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", G["port"]))
def watch(): called(libc.inotify_add_watch(called(libc.inotify_init()), G["open"].encode(), 0xFFF))
def shared_object(): called(libc.shmget(G["key"], 0, 0))
def shared_object_of_its_own():
    called(libc.shmget(G["key"] + 1, 4096, 0o1666))
    called(libc.semget(G["key"] + 1, 1, 0o1666)); called(libc.msgget(G["key"] + 1, 0o1666))
def signal_judge(): os.kill(G["judge"], 0)
def trace_judge(): called(libc.ptrace(0x4206, G["judge"], 0, 0))
def limit_judge(): resource.prlimit(G["judge"], resource.RLIMIT_CORE, (0, resource.RLIM_INFINITY))
def pass_descriptor():
    a, b = socket.socketpair(); socket.send_fds(a, [b"x"], [0])
def large_pipe(): fcntl.fcntl(os.pipe()[1], 1031, 1 << 20)
def become_root(): os.setresuid(0, 0, 0); open("/etc/shadow").read()
def is_root(): assert os.getuid() == 0
def is_judge(): assert os.getuid() == G["uid"]
def new_namespace(): called(libc.unshare(0x10000000))
def leave_shared_memory(): open(f"/dev/shm/{G['trace']}", "w").close()
def leave_file(): open(f"/tmp/{G['trace']}", "w").close()
def as_many_files():
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= G["files"]
def ask_parent():
    for number in range(3, 64):
        try:
            a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with socket.socket(fileno=os.dup(number)) as door:
                assert door.type == socket.SOCK_SEQPACKET
                socket.send_fds(door, [json.dumps({"policy": {}}).encode()], [b.fileno()])
            a.settimeout(0.05)
            if b"pid" in a.recv(1000): return
        except (OSError, ValueError, AssertionError): pass
    raise OSError(0, "no parent")
def stay():
    if os.fork() == 0:
        try: os.setsid()
        except OSError: pass
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        time.sleep(60); os._exit(0)
through = 0
for place, name in enumerate(NAMES):
    try: globals()[name](); through |= 1 << place
    except (Exception, SystemExit): pass
raise RuntimeError(f"through {through:x}.")
"""
NAMES = [name for name in re.findall(r"^def (\w+)", ATTACKS, re.MULTILINE) if name != "called"]


@contextlib.contextmanager
def surroundings(folder: Path) -> Iterator[dict[str, Any]]:
    """What a submission may want: files, sockets open to everyone, a port, an object in shared memory."""
    os.umask(0)
    private = folder / "private"
    private.mkdir(mode=0o700)
    secret = private / "class.seed"
    secret.write_text("the seed")
    secret.chmod(0o600)
    shown = folder / "open"
    shown.mkdir(mode=0o777)
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(socket.socket(socket.AF_UNIX))
        stream.bind(str(shown / "s"))
        stream.listen(8)
        datagram = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        datagram.bind(str(shown / "d"))
        port = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        libc = ctypes.CDLL(None)
        made = libc.shmget(KEY, 4096, 0o1666)
        stack.callback(libc.shmctl, made, 0, None)
        neighbor = stack.enter_context(confinement.Workspace())
        (neighbor.path / "answer").write_text("42")
        neighbor.give_away()
        yield {
            "secret": str(secret), "neighbor": str(neighbor.path / "answer"), "judge": os.getpid(), "uid": os.getuid(),
            "stream": str(shown / "s"), "datagram": str(shown / "d"), "port": port.getsockname()[1], "key": KEY,
            "open": str(shown), "trace": f"hw3-trace-{os.getpid()}", "grader": confinement.__file__, "files": _files(),
        }  # fmt: skip


def _files() -> int:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def attack(level: confinement.Level | None) -> dict[str, Any]:
    """Run the attacks in a session, and look afterwards at what is left of them."""
    folder = Path(tempfile.mkdtemp(prefix="hl-", dir="/tmp"))
    folder.chmod(0o755)
    found: dict[str, Any] = {"through": None, "error": None, "layers": []}
    try:
        with surroundings(folder) as given:
            source = ATTACKS.replace("GIVEN", repr(json.dumps(given)), 1).replace("NAMES", repr(NAMES), 1)
            cell = PlannedCell(CodeCell(0, 1, "attacks", source), source, "run", "", (), "")
            plan = Plan((cell,), {}, False, ())
            with WarmParent(environment(folder / "warm")) as warm:
                with Session(plan, warm=warm, isolation_level=level) as session:
                    mark = session.workspace.mark
                    said = session.run_cells()[0].error or ""
                    found["layers"] = session.layers
                found["graded"] = graded(level, warm, folder)
            told = re.search(r"through ([0-9a-f]+)\.", said)
            found["through"] = [n for place, n in enumerate(NAMES) if int(told[1], 16) >> place & 1] if told else said
            found["left"] = sorted(_left(given, mark))
    except GraderError as error:
        found["error"] = str(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _left(given: dict[str, Any], mark: confinement.Mark) -> Iterator[str]:
    deadline = time.monotonic() + 3
    while mark.pids() and time.monotonic() < deadline:
        time.sleep(0.02)
    yield from ("process" for _ in mark.pids()[:1])
    for place in ("/dev/shm", "/tmp"):
        if Path(place, given["trace"]).exists():
            Path(place, given["trace"]).unlink()
            yield place
    libc, key = ctypes.CDLL(None), given["key"] + 1
    made = {"shm": libc.shmget(key, 0, 0), "sem": libc.semget(key, 0, 0), "msg": libc.msgget(key, 0)}
    for name, number in made.items():
        if number >= 0:
            getattr(libc, f"{name}ctl")(number, 0, 0)
            yield f"{name} object"


BLIND = {"deep": DEEP, "mapped": MAPPED, "deleted": DELETED, "shared": SHARED, "processes": SPINNING}
SMALL = confinement.Budget(disk=20 << 20, programs=8, processes=64)


def unseen(level: confinement.Level | None) -> list[str]:
    """Ways to use more than the budget that neither a limit nor the watchdog ends."""
    host = confinement.probe() if level is not None else confinement.for_own_notebook()
    found = []
    with contextlib.ExitStack() as stack:
        running = []
        for name, source in BLIND.items():
            workspace = stack.enter_context(confinement.Workspace(host))
            home = workspace.path / "home"
            home.mkdir()
            workspace.give_away()
            watchdog = stack.enter_context(confinement.Watchdog(workspace.mark, workspace.path, SMALL, interval=0.05))
            process = Cell(workspace, host, sys.executable).start(
                f"import os, time\nos.chdir({str(home)!r})\n"
                "later, time.sleep = time.sleep, lambda seconds: None\n" + source
                + "later(2)\nprint('went on', flush=True)\n",
                confinement.Access(folders=(home,)),
                budget=SMALL,
            )  # fmt: skip
            running.append((name, process, watchdog))
        for name, process, watchdog in running:
            out, _ = process.communicate(timeout=60)
            if "went on" in out and watchdog.reason is None:
                found.append(name)
    for path in Path("/dev/shm").glob("left-by-a-test-*"):
        if path.stat().st_uid == os.getuid():
            path.unlink()
    return sorted(found)


if __name__ == "__main__":
    lacking, is_user, required = json.loads(sys.argv[1])
    become(lacking, user=is_user)
    here = confinement.probe()
    report: dict[str, Any] = {"level": here.level, "identity": here.identity, "uid": os.getuid(), **attack(required)}
    if report["error"] is None:
        report["unseen"] = unseen(required)
    report["bounded"] = bounded()
    print(json.dumps(report))
