"""Without Unix's modules every module of the grader imports, and commands that run submissions refuse in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]

# What Windows lacks, taken away once the libraries are loaded, which know Windows by other means.
ABSENT = """
import builtins, importlib, os, pkgutil, signal, socket, sys
import torch, numpy, nltk, hypothesis, pytest, nbclient, ipykernel.kernelapp, jupyter_client.blocking
import jupytext, jsonschema, pydantic, typer, rich.console, yaml, PIL.Image, matplotlib.pyplot, safetensors.torch
from grader.torchvision_compat import import_torchvision
import_torchvision()
import distributed, starlette.testclient, uvicorn, multiprocessing.pool, asyncio, sqlite3, pypdfium2, krippendorff, latex2mathml
MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "syslog"}
NAMES = {
    os: ["fork", "forkpty", "getuid", "geteuid", "getgid", "getegid", "setuid", "setresuid", "getresuid", "setsid", "getsid",
         "killpg", "chown", "fchown", "uname", "pidfd_open", "sched_getaffinity", "register_at_fork", "getgroups", "setgroups",
         "sysconf", "O_CLOEXEC", "O_NOFOLLOW", "O_PATH", "O_DIRECTORY", "mkfifo", "statvfs", "fwalk", "WNOHANG",
         "waitstatus_to_exitcode", "getpgid", "nice"],
    signal: ["SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGPROF", "SIGCHLD", "setitimer", "pthread_sigmask",
             "sigtimedwait", "pidfd_send_signal", "ITIMER_REAL", "ITIMER_PROF"],
    socket: ["AF_UNIX", "SOCK_SEQPACKET", "send_fds", "recv_fds", "SCM_RIGHTS", "SO_PASSCRED", "CMSG_SPACE", "socketpair"],
}
for module, names in NAMES.items():
    for name in names:
        if name != "waitstatus_to_exitcode" and hasattr(module, name):
            delattr(module, name)
plain = builtins.__import__
def without(name, globals=None, *rest, **more):
    if name in MODULES and (globals or {}).get("__name__", "").partition(".")[0] == "grader":
        raise ImportError(f"No module named {name!r}")
    return plain(name, globals, *rest, **more)
builtins.__import__ = without
"""

IMPORT_ALL = """
import grader
failed, count = [], 0
for found in pkgutil.walk_packages(grader.__path__, "grader."):
    # These run in a kernel alone, where they are found by other names.
    if found.name.startswith("grader.kernel.inside.") and found.name.rpartition(".")[2] not in ("confine", "packets", "frames"):
        continue
    if found.name in ("grader.__main__", "grader.homework3.stand_ins"):
        continue
    if "skeleton_files" in found.name or "_shipped" in found.name:
        continue
    try:
        importlib.import_module(found.name)
        count += 1
    except Exception as error:
        failed.append(f"{found.name}: {type(error).__name__}: {error}")
assert count > 200, count
sys.exit("\\n".join(failed) or 0)
"""


REFUSED = """
from grader.cli import main
for words in (
    ["grade", "--example"],
    ["check", "examples/honest_mistakes.ipynb"],
    ["batch", "examples", "--out", OUT],
    ["train", "examples/honest_mistakes.ipynb"],
):
    sys.argv = ["grader", *words]
    try:
        main()
    except SystemExit as ended:
        print(words[0], ended.code)
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "400"}
    command = [sys.executable, "-W", "ignore", "-c", ABSENT + script]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)


def test_every_module_imports_without_what_only_unix_has() -> None:
    ran = run(IMPORT_ALL)
    assert ran.returncode == 0, ran.stderr


def test_what_cannot_work_is_refused_with_one_line(tmp_path: Path) -> None:
    ran = run(f"OUT = {str(tmp_path / 'out')!r}\n{REFUSED}")
    assert ran.stdout.splitlines() == ["grade 2", "check 2", "batch 2", "train 2"], ran.stderr
    lines = ran.stderr.strip().splitlines()
    assert len(lines) == 4
    assert all("WSL 2" in line for line in lines)
