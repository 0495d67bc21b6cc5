"""What a submission reaches at each level, as root and as an ordinary user; and that THREATS.md says so.

On each host (`hosts`) one submission tries every attack (`attack_here`), and others use more than their budget where a
watchdog could look away.
"""

from __future__ import annotations

import pytest

from tests.isolation.hosts import HOSTS, NAMES, ROOT, needs_all_layers, report

pytestmark = needs_all_layers


@pytest.mark.parametrize("name", NAMES)
def test_what_a_submission_reaches(name: str) -> None:
    host, found = HOSTS[name], report(name)
    assert found["level"] == host.level
    assert isinstance(found["through"], list), found["through"]
    assert set(found["through"]) == host.through
    assert set(found["left"]) == host.left


@pytest.mark.parametrize("name", NAMES)
def test_what_is_used_beyond_the_budget_is_ended(name: str) -> None:
    assert set(report(name)["unseen"]) == HOSTS[name].unseen


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
