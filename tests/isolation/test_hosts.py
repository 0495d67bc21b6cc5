"""What is reported and allowed on other hosts: other users, containers, installed graders, other systems."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grader import doctor
from grader.kernel import confinement
from grader.kernel.confinement import calls, landlock, seccomp

ROOT = Path(confinement.__file__).parents[3]
HERE = confinement.Host(True, 7, True, True, "own")

# A grader of its own, in miniature: a kernel that tries to get out and one that forks away.
JUDGE = """
import json, os, subprocess, sys
sys.path.insert(0, {folder!r})
from grader.kernel import confinement
confine = {folder!r} + "/grader/kernel/inside/confine.py"
student = '''
import importlib.util, json, os, sys
spec = importlib.util.spec_from_file_location("confine", sys.argv[1])
confine = importlib.util.module_from_spec(spec); spec.loader.exec_module(confine)
layers = confine.apply(json.loads(sys.stdin.read()))
def attempt(step):
    try: step()
    except Exception as error: return type(error).__name__
    return "done"
if os.fork() == 0:
    os.setsid()
    while True: os.fork() and os._exit(0)
read = attempt(lambda: open(sys.argv[1]))
print(json.dumps([layers, os.getuid(), read, attempt(lambda: os.kill(os.getppid(), 0))]))
'''
with confinement.Workspace() as workspace:
    policy = json.dumps(confinement.make_policy(workspace))
    process = subprocess.Popen([sys.executable, "-I", "-c", student, confine], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, cwd=workspace.path)
    process.stdin.write(policy); process.stdin.close(); process.stdin = None
    said = json.loads(process.stdout.readline())
    workspace.sweep()
    process.wait()
    left = workspace.mark.pids()
host = confinement.probe()
print(json.dumps([said, left, host.level, host.identity, workspace.path.exists()]))
"""


@pytest.fixture
def public_grader(tmp_path_factory):
    """The modules of isolation where any user can read them, run by the system's Python."""
    if os.geteuid() != 0 or not Path("/usr/bin/python3").exists():
        pytest.skip("needs root and a system Python")
    if not confinement.probe().landlock or not confinement.probe().seccomp:
        pytest.skip("needs Landlock and seccomp")
    folder = Path("/var/tmp") / f"hw3-public-{os.getpid()}"
    for name in (
        "__init__.py",
        "errors.py",
        "kernel/__init__.py",
        "kernel/gpu.py",
        "kernel/inside/confine.py",
    ):
        (folder / "grader" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / "grader" / name, folder / "grader" / name)
    shutil.copytree(ROOT / "grader/kernel/confinement", folder / "grader/kernel/confinement")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _judge(folder, *prefix):
    run = subprocess.run(
        [*prefix, "/usr/bin/python3", "-I", "-B", "-c", JUDGE.format(folder=str(folder))],
        capture_output=True,
        text=True,
        timeout=30,
        cwd="/",
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_a_grader_that_is_not_root(public_grader, needs_program):
    setpriv = needs_program("setpriv")
    (layers, uid, read, signalled), left, level, identity, there = _judge(
        public_grader, setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"
    )
    assert {"landlock", "seccomp", "keeper", "limits"} <= set(layers)
    assert (uid, read, signalled) == (65534, "PermissionError", "PermissionError")
    assert (left, level, identity, there) == ([], "strong", "shared", False)


def test_root_with_the_capabilities_of_a_container(public_grader, needs_program):
    setpriv = needs_program("setpriv")
    docker = ["chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"]
    docker += ["net_bind_service", "net_raw", "sys_chroot", "mknod", "audit_write", "setfcap"]
    only = ",".join(["-all", *(f"+{name}" for name in docker)])
    (layers, uid, read, signalled), left, level, identity, there = _judge(
        public_grader, setpriv, f"--bounding-set={only}", f"--inh-caps={only}"
    )
    assert {"landlock", "seccomp", "uid", "limits"} <= set(layers)
    assert confinement.FIRST_UID <= uid < confinement.KEEPER_UID
    assert (read, signalled) == ("PermissionError", "PermissionError")
    assert (left, level, identity, there) == ([], "full", "own", False)


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, "full"),
        ({"identity": "reading"}, "strong"),
        ({"identity": "reading", "landlock": 3}, "strong"),
        ({"identity": "reading", "landlock": 0}, "basic"),
        ({"identity": "shared", "root": False}, "strong"),
        ({"identity": "shared", "as_root": True}, "strong"),
        ({"identity": "shared"}, "none"),
        ({"identity": "shared", "root": False, "landlock": 5}, "basic"),
        ({"landlock": 0}, "basic"),
        ({"seccomp": False}, "basic"),
        ({"landlock": 0, "seccomp": False, "identity": "shared"}, "none"),
        ({"linux": False, "landlock": 0, "seccomp": False, "identity": "shared"}, "none"),
    ],
)
def test_levels(changes, level):
    host = dataclasses.replace(HERE, **changes)
    assert host.level == level
    assert confinement.meets(level, host)
    above = confinement.LEVELS[confinement.LEVELS.index(level) + 1 :]
    assert not any(confinement.meets(other, host) for other in above)


def test_no_layer_is_required_that_the_host_lacks():
    bare = dataclasses.replace(HERE, linux=False, landlock=0, seccomp=False, root=False, identity="shared")
    with confinement.Workspace(bare) as workspace:
        policy = confinement.make_policy(workspace, host=bare)
    assert (policy["required"], policy["landlock"], policy["seccomp"], policy["uid"]) == (
        [],
        None,
        None,
        None,
    )
    assert all(row["note"] for row in confinement.describe([], bare))


def test_cover_leaves_out_what_is_hidden(tmp_path):
    for name in ("a/one.py", "a/two.py", "b/c/secret.py", "b/c/open.py", "b/d.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "b" / "c" / "secret.py")
    covered = {
        str(path.relative_to(tmp_path)): whole
        for path, whole in landlock.cover(tmp_path, [tmp_path / "b/c/secret.py"])
    }
    assert covered == {".": False, "a": True, "b": False, "b/c": False, "b/c/open.py": True, "b/d.py": True}


def test_a_grader_among_the_packages_is_hidden(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    for name in ("grader", "hw3_grader-0.1.0.dist-info", "torch"):
        (site / name).mkdir(parents=True)
    (site / "_hw3_grader.pth").write_text("/somewhere")
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    rules = dict(landlock.rules(7, tmp_path / "own", landlock.Access(hidden=(tmp_path,)))["rules"])
    landlock._read_rules.cache_clear()
    rules = dict(landlock.rules(7, tmp_path / "own", landlock.Access())["rules"])
    landlock._read_rules.cache_clear()
    mine = {Path(path).name for path in rules if Path(path).parent == site.resolve()}
    assert mine == {"torch"}


def test_readable_data_does_not_open_what_is_around_it():
    data = ROOT / "grader" / "data" / "nltk"
    rules = dict(landlock.rules(7, Path("/nowhere"), landlock.Access(readable=(data,), gpu=True))["rules"])
    assert str(data) in rules
    around = {ROOT, *ROOT.parents, ROOT / "grader", ROOT / "grader" / "data"}
    assert not {str(path) for path in around} & set(rules)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("open_up", [True, False])
def test_filters_are_programs_that_end(machine, open_up):
    program = seccomp.program(machine, programs=open_up, attributes=open_up, gpu=open_up)
    steps = [program[i : i + 8] for i in range(0, len(program), 8)]
    assert len(program) % 8 == 0
    assert len(steps) < 4096
    returns = {i for i, step in enumerate(steps) if step[0] == 0x06}
    assert len(steps) - 1 in returns
    # Every jump stays inside.
    assert all(i + 1 + max(step[2], step[3]) < len(steps) for i, step in enumerate(steps) if step[0] & 7 == 5)


# What docker's default profile denies a container without capabilities: moby, profiles/seccomp/default.json.
DENIED_BY_DOCKER = [
    "acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "clone3", "delete_module", "fanotify_init",
    "finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "init_module", "ioperm", "iopl", "kcmp",
    "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mbind", "mount", "mount_setattr",
    "move_mount", "move_pages", "name_to_handle_at", "nfsservctl", "open_by_handle_at", "open_tree",
    "perf_event_open", "pidfd_getfd", "pivot_root", "process_madvise", "process_vm_readv",
    "process_vm_writev", "ptrace", "quotactl", "reboot", "request_key", "setdomainname", "sethostname",
    "setns", "settimeofday", "swapoff", "swapon", "syslog", "umount2", "unshare", "uselib", "userfaultfd",
    "vhangup", "io_uring_setup", "io_uring_enter", "io_uring_register", "set_mempolicy", "get_mempolicy",
    "personality", "modify_ldt",
]  # fmt: skip


def test_nothing_is_allowed_that_docker_denies():
    assert not set(DENIED_BY_DOCKER) & set(calls.ALLOWED)
    assert not set(calls.REFUSED) & set(calls.ALLOWED)
    named = [*calls.ALLOWED, *calls.ATTRIBUTES, *calls.REFUSED, *calls.UNKNOWN, *calls.PROGRAMS]
    named += [*calls.SCHEDULING, *calls.EXTENDED_ATTRIBUTES, *calls.CONDITIONAL]
    assert len(named) == len(set(named))
    for column in (0, 1):
        numbers = [
            pair[column]
            for group in vars(calls).values()
            if isinstance(group, dict)
            for pair in group.values()
            if isinstance(pair, tuple) and pair[column] is not None
        ]
        assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize(
    ("machine", "header"),
    [("x86_64", "x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "asm-generic/unistd.h")],
)
def test_numbers_are_those_of_the_headers(machine, header):
    path = Path("/usr/include") / header
    if not path.exists():
        pytest.skip("needs the kernel's headers")
    found = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text()))
    column = list(seccomp.ARCHITECTURES).index(machine)
    checked = 0
    for group in (calls.ALLOWED, calls.ATTRIBUTES, calls.REFUSED, calls.CONDITIONAL, calls.GPU):
        for name, pair in group.items():
            known = found.get(name) or found.get({"newfstatat": "fstatat"}.get(name, ""))
            if known is not None and pair[column] is not None:
                assert pair[column] == int(known), name
                checked += 1
    assert checked > 200


def test_doctor_examines_this_host():
    findings = doctor.examine()
    names = [finding.name for finding in findings]
    assert len(names) == len(set(names))
    assert {"Python", "isolation", "torch", "ipykernel", "nltk data", "memory", "disk"} <= set(names)
    assert all(finding.detail for finding in findings)
    assert all(finding.remedy for finding in findings if finding.ok is False)


@pytest.mark.parametrize("landlock", [0, 1, 3, 5, 7])
@pytest.mark.parametrize("seccomp", [True, False])
@pytest.mark.parametrize("identity", ["own", "reading", "shared"])
def test_doctor_has_a_remedy_for_what_is_missing(landlock, seccomp, identity):
    host = confinement.Host(True, landlock, seccomp, True, identity, "a reason" * (identity != "own"))
    assert all(finding.remedy for finding in doctor._isolation(host) if finding.ok is False)
