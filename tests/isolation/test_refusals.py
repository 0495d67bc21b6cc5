"""System calls, sockets, signals and privileges that confined code is refused, tried by real processes."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.long


def test_no_socket_but_unix_ones(cell):
    families = ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG"]
    outcome = cell.run(
        f"""
        import socket
        def of(name):
            return attempt(lambda: socket.socket(getattr(socket, name), socket.SOCK_RAW))
        print(json.dumps([of(name) for name in {families!r}]))
        """
    )
    assert outcome == ["PermissionError"] * len(families)


def test_other_processes_are_out_of_reach(cell):
    outcome = cell.run(
        f"""
        import os, resource, signal
        judge = {os.getpid()}
        print(json.dumps([
            attempt(lambda: os.kill(judge, 0)),
            attempt(lambda: os.kill(1, signal.SIGTERM)),
            attempt(lambda: os.killpg(os.getpgid(judge), 0)),
            attempt(lambda: signal.pidfd_send_signal(os.pidfd_open(judge), 0)),
            attempt(lambda: resource.prlimit(judge, resource.RLIMIT_CPU, (1, 1))),
            attempt(lambda: os.setpriority(os.PRIO_PROCESS, judge, 19)),
            attempt(lambda: os.sched_setaffinity(judge, {{0}})),
        ]))
        """
    )
    assert set(outcome) == {"PermissionError"}


# Number on x86_64, then arguments.
CALLS = {
    "ptrace": (101, 16, "judge", 0, 0),
    "process_vm_readv": (310, "judge", 0, 0, 0, 0, 0),
    "io_uring_setup": (425, 1, 0),
    "keyctl": (250, 0, -3, 0),
    "add_key": (248, 0, 0, 0, 0, -3),
    "bpf": (321, 0, 0, 0),
    "userfaultfd": (323, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0),
    "unshare": (272, 0x10000000),
    "clone with a new user namespace": (56, 0x10000000 | 17, 0, 0, 0, 0),
    "mount": (165, 0, 0, 0, 0, 0),
    "setns": (308, 0, 0),
    "pidfd_getfd": (438, 0, 0, 0),
    "memfd_create": (319, 0, 0),
    "shmget": (29, 0, 4096, 0o1600),
    "mq_open": (240, 0, 0, 0, 0),
    "init_module": (175, 0, 0, 0),
    "kexec_load": (246, 0, 0, 0, 0),
    "open_by_handle_at": (304, -100, 0, 0),
    "execveat": (322, -100, 0, 0, 0, 0),
    "clone3": (435, 0, 0),
    "x32's getpid": (0x40000000 | 39,),
    "ioctl that types for the user": (16, 0, 0x5412, 0),
    "prlimit64 that wipes off the mark": (302, 0, 15, -1, 0),
    "connect": (42, 0, 0, 0),
    "sendto with an address": (44, 0, 0, 0, 0, 4096, 16),
    "sendmsg": (46, 0, 0, 0),
    "sendmmsg": (307, 0, 0, 0, 0),
    "inotify_init1": (294, 0),
    "inotify_add_watch": (254, 0, 0, 0),
    "fanotify_init": (300, 0, 0),
    "setsid": (112,),
    "setresuid": (117, 0, 0, 0),
    "capset": (126, 0, 0),
    "msgget": (68, 0, 0o1600),
    "semget": (64, 0, 1, 0o1600),
    "fcntl that makes a pipe larger": (72, 0, 1031, 1 << 20),
    "fcntl that takes a lease": (72, 0, 1024, 1),
    "fcntl that watches a folder": (72, 0, 1026, 1),
    "sync": (162,),
    "openat2, which nothing needs": (437, 0, 0, 0, 0),
    "io_setup, which nothing needs": (206, 0, 0),
    "a call of the future": (999,),
}


def test_refused_system_calls(cell):
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    outcome = cell.run(
        f"""
        import ctypes, errno
        libc = ctypes.CDLL(None, use_errno=True)
        def call(number, *arguments):
            arguments = [{os.getpid()} if a == "judge" else a for a in arguments]
            ctypes.set_errno(0)
            result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
            return errno.errorcode.get(ctypes.get_errno(), result)
        print(json.dumps({{name: call(*arguments) for name, arguments in {CALLS!r}.items()}}))
        """
    )
    unknown = {name for name in CALLS if name.endswith("nothing needs")}
    unknown |= {"clone3", "memfd_create", "x32's getpid", "a call of the future"}
    assert outcome == {name: "ENOSYS" if name in unknown else "EPERM" for name in CALLS}


def test_no_way_to_more_privileges(cell):
    outcome = cell.run(
        """
        import os, subprocess
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        print(json.dumps({
            "setuid": attempt(lambda: os.setresuid(0, 0, 1)),
            "chroot": attempt(lambda: os.chroot(".")),
            "echo": attempt(lambda: subprocess.run(["/bin/echo"])),
            "su": attempt(lambda: subprocess.run(["/bin/su", "-c", "id"])),
            "capabilities": [int(status["Cap" + of], 16) for of in ("Inh", "Prm", "Eff", "Bnd", "Amb")],
            "groups": os.getgroups(),
            "no_new_privs": status["NoNewPrivs"].strip(),
        }))
        """
    )
    reading = 1 << 2 if cell.host.identity == "reading" else 0
    assert outcome["capabilities"] == [0, reading, reading, 0, 0]
    assert outcome["echo"] == outcome["su"] == outcome["chroot"] == outcome["setuid"] == "PermissionError"
    assert outcome["no_new_privs"] == "1"
    assert outcome["groups"] == []
