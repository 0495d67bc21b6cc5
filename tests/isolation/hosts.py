"""Hosts that lack layers or are run by an ordinary user, and what a grader on each finds; for `attack_here`'s reports.

Each host is a process of its own from which a filter takes the layers (`lacking`).
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from grader.kernel import confinement

ROOT = Path(confinement.__file__).parents[3]

needs_all_layers = pytest.mark.skipif(
    sys.platform != "linux" or confinement.probe().level != "full" or not confinement.probe().namespaces,
    reason="needs a host of level full with namespaces, from which layers can be taken",
)


@dataclass(frozen=True)
class Host:
    """What a host lacks, who grades there, what it is called in THREATS.md, and what a submission reaches."""

    lacking: tuple[str, ...]
    level: str
    column: str
    through: frozenset[str]
    """Attacks that get through."""
    left: frozenset[str] = frozenset()
    """What is still there when the session has ended."""
    unseen: frozenset[str] = frozenset()
    """What is more than its budget and not noticed."""
    user: bool = False
    own: bool = False
    slow: bool = True


def _host(lacking: str, level: str, column: str, through: str, left: str = "", unseen: str = "", **more: Any) -> Host:
    def words(text: str) -> frozenset[str]:
        return frozenset(filter(None, (word.strip() for word in text.split(","))))

    return Host(tuple(sorted(words(lacking))), level, column, words(through), words(left), words(unseen), **more)


# Every submission may make a process and a file in shared memory, where it has some; what counts is that neither stays.
ALWAYS = "stay"
OWN_USER = "stay, leave_shared_memory"
# Of a kernel that is the grader's user.
SHARED = "is_judge, stat_secret"
FILES = "read_secret, read_neighbor, stat_secret, list_sockets, leave_file"
# Where nothing keeps it from the calls.
SOCKETS = "connect, send_datagram, send_to_address, watch, pass_descriptor, large_pipe, shared_object_of_its_own"

HOSTS = {
    "root": _host("", "full", "full", OWN_USER, slow=False),
    "root, no namespaces": _host("namespaces, private home", "full", "full without namespaces", OWN_USER),
    "root of a container": _host("container", "full", "full without namespaces", OWN_USER, unseen="mapped, deleted"),
    "root, no namespaces, Python in a private home": _host(
        "namespaces", "strong", "strong", f"{OWN_USER}, stat_secret"
    ),
    "user": _host("", "strong", "strong", f"{ALWAYS}, {SHARED}", unseen="mapped, deleted", user=True, slow=False),
    "root, no Landlock": _host("landlock", "basic", "basic without Landlock", f"{OWN_USER}, leave_file", slow=False),
    "root, neither Landlock nor namespaces": _host(
        "landlock, namespaces, private home", "basic", "basic without Landlock", f"{OWN_USER}, leave_file, list_sockets",
    ),
    "root, neither Landlock nor namespaces, Python in a private home": _host(
        "landlock, namespaces", "basic", "basic without Landlock", f"{OWN_USER}, {FILES}"
    ),
    "user, no Landlock": _host(
        "landlock", "basic", "basic without Landlock", f"{OWN_USER}, {SHARED}, {FILES}, write_secret, signal_judge",
        left="/dev/shm, /tmp", unseen="mapped, deleted, shared", user=True, slow=False,
    ),
    "root, no seccomp": _host("seccomp", "basic", "basic without seccomp", f"{OWN_USER}, {SOCKETS}", slow=False),
    "root, neither seccomp nor namespaces": _host(
        "seccomp, namespaces, private home", "basic", "basic without seccomp",
        f"{OWN_USER}, {SOCKETS}, network_datagram, shared_object",
    ),
    "user, no seccomp": _host(
        "seccomp", "basic", "basic without seccomp",
        f"{ALWAYS}, {SHARED}, {SOCKETS}, network_datagram, shared_object, limit_judge",
        left="shm object, sem object, msg object", unseen="mapped, deleted", user=True,
    ),
    "root, neither Landlock nor seccomp": _host(
        "landlock, seccomp", "basic", "", f"{OWN_USER}, {SOCKETS}, leave_file"
    ),
    "root without another user, one's own notebook": _host(
        "capabilities", "none", "", f"{ALWAYS}, {SHARED}, is_root", unseen="mapped, deleted", own=True, slow=False
    ),
}  # fmt: skip

NAMES = [pytest.param(name, marks=[pytest.mark.slow] if host.slow else []) for name, host in HOSTS.items()]


@functools.cache
def report(name: str) -> dict[str, Any]:
    """What `attack_here` finds on a host; one process for all tests that ask."""
    host = HOSTS[name]
    required = None if host.own else host.level
    ran = subprocess.run(
        [sys.executable, "-m", "tests.isolation.attack_here", json.dumps([host.lacking, host.user, required])],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    assert found["error"] is None, found["error"]
    return found
