"""What a submission reaches at each level, as root and as an ordinary user; and that THREATS.md says so.

Each host is a process of its own from which a filter takes the layers (`lacking`). In it one submission tries every attack
(`attack_here`), and others use more than their budget where a watchdog could look away.
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

pytestmark = pytest.mark.skipif(
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
def _report(name: str) -> dict[str, Any]:
    host = HOSTS[name]
    required = None if host.own else host.level
    ran = subprocess.run(
        [sys.executable, "-m", "tests.isolation.attack_here", json.dumps([host.lacking, host.user, required])],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    report: dict[str, Any] = json.loads(ran.stdout)
    assert report["error"] is None, report["error"]
    return report


@pytest.mark.parametrize("name", NAMES)
def test_what_a_submission_reaches(name: str) -> None:
    host, report = HOSTS[name], _report(name)
    assert report["level"] == host.level
    assert isinstance(report["through"], list), report["through"]
    assert set(report["through"]) == host.through
    assert set(report["left"]) == host.left


@pytest.mark.parametrize("name", NAMES)
def test_what_is_used_beyond_the_budget_is_ended(name: str) -> None:
    assert set(_report(name)["unseen"]) == HOSTS[name].unseen


# -- the table ---------------------------------------------------------------------------------------------------

ROWS = {
    "read files of the grader or of other submissions": "read_secret, read_neighbor",
    "change files of the grader": "write_secret, write_grader",
    "`stat` and `readlink` on paths it can guess": "stat_secret",
    "list other sockets in `/proc/net`": "list_sockets",
    "connect to a Unix socket, send a datagram": "connect, send_datagram, send_to_address, ask_parent",
    "network": "network, network_datagram",
    "watch what others do to files": "watch",
    "System V and POSIX IPC with others": "shared_object",
    "signal other processes": "signal_judge",
    "change limits of other processes": "limit_judge",
    "read the memory of other processes, or trace them": (
        "trace_judge, open_judge_memory, open_parent_memory, read_judge_environment"
    ),
    "write in folders where everyone may": "leave_file",
    "more rights than it started with": "become_root, new_namespace",
}
"""Rows of the table with the attacks that try them."""


def _table() -> dict[str, dict[str, str]]:
    lines = (ROOT / "THREATS.md").read_text(encoding="utf-8").partition("## What each level leaves open")[2].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    columns = rows[0][1:]
    return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows[2:]}


@pytest.mark.parametrize("row", list(ROWS))
def test_the_table_says_no_only_where_nothing_gets_through(row: str) -> None:
    """That just these attacks get through is shown above; here, that the table does not deny them."""
    attacks = {attack.strip() for attack in ROWS[row].split(",")}
    for column, said in _table()[row].items():
        reached = [name for name, host in HOSTS.items() if host.column == column and attacks & host.through]
        assert not (reached and said.startswith(("no", "only where everyone may"))), (column, reached)


def test_the_table_tells_what_stays_and_what_is_not_counted() -> None:
    table = _table()
    for host in HOSTS.values():
        if not host.column:
            continue
        if "/dev/shm" in host.left:
            assert "stays" in table["leave something in `/dev/shm`"][host.column]
        if "/tmp" in host.left:
            assert "stays" in table["write in folders where everyone may"][host.column]
        if "shm object" in host.left:
            assert "stay" in table["System V and POSIX IPC with others"][host.column]
        if "deleted" in host.unseen:
            assert "root" in table["files that have no path, or are deleted"][host.column]


def test_the_table_has_a_host_in_each_column() -> None:
    columns = set(next(iter(_table().values())))
    assert columns == {host.column for host in HOSTS.values()} - {""}
    assert set(ROWS) <= set(_table())
