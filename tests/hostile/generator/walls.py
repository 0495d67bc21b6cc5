"""Submissions that try the layers of isolation one by one. Each says so in a counterexample when it gets through."""

# ruff: noqa: E501  (payloads)
from __future__ import annotations

import textwrap
from collections.abc import Callable

from tests.hostile.generator.kinds import TRACE, Notebook, kinds
from tests.hostile.generator.payloads import in_front, leaking

# Each says so in a counterexample when it gets through.
_WALL = """
import ctypes, os, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def through(step, *errors):
    try:
        step()
    except BaseException:
        return
    raise RuntimeError("hw3-" + "breached")
"""


def _wall(source: str) -> Callable[[Notebook], bytes]:
    return leaking(_WALL + textwrap.dedent(source))


KINDS = kinds(
    "attack",
    asks_the_warm_parent=_wall(
        """
        import re
        text = ""
        for place in ("/proc/self/net/unix", "/proc/net/unix", f"/proc/self/task/{os.getpid()}/net/unix"):
            try: text += open(place).read()
            except OSError: pass
        for path in re.findall(r"/[^ \\n]*hw3b-[^ \\n]*", text):
            through(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(path))
        """
    ),
    specification_over_every_descriptor=_wall(
        """
        import json
        for number in range(3, 64):
            try:
                a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                socket.send_fds(socket.socket(fileno=os.dup(number)), [json.dumps({"policy": {}}).encode()], [b.fileno()])
                a.settimeout(0.1)
                if b"pid" in a.recv(1000): FOUND.append("planted hw3-" + "breached")
            except (OSError, ValueError):
                pass
        """
    ),
    connects_to_sockets_of_others=_wall(
        """
        for path in ("/run/docker.sock", "/var/run/docker.sock", "/dev/log", "/run/systemd/notify", "/run/dbus/system_bus_socket", "../k-1", "\\0hw3"):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
                through(lambda: socket.socket(socket.AF_UNIX, kind).connect(path))
        """
    ),
    datagrams_to_others=_wall(
        """
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); receiver.bind("to-me")
        for path in ("to-me", "/dev/log", "/run/systemd/journal/dev-log"):
            through(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", path))
            through(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, path))
        """
    ),
    watches_files_of_others=_wall(
        """
        import fcntl
        through(lambda: 1 / (libc.inotify_init() + 1))
        through(lambda: 1 / (libc.fanotify_init(0, 0) + 1))
        through(lambda: fcntl.fcntl(os.open(".", os.O_RDONLY), 1026, 0x7))
        """
    ),
    queues_that_outlive_it=_wall(
        """
        through(lambda: 1 / (libc.msgget(0x4833, 0o1666) + 1))
        through(lambda: 1 / (libc.semget(0x4833, 1, 0o1666) + 1))
        through(lambda: 1 / (libc.shmget(0x4833, 4096, 0o1666) + 1))
        through(lambda: 1 / (libc.mq_open(b"/TRACE", 66, 0o666, None) + 1))
        """.replace("TRACE", TRACE)
    ),
    is_root_or_may_what_root_may=_wall(
        """
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        rights = int(status["CapEff"], 16) | int(status["CapPrm"], 16)
        # To enter folders is what remains where Python lies in a private home and nothing can be mounted.
        if 0 in os.getresuid() or 0 in os.getresgid() or rights & ~(1 << 2): FOUND.append("planted hw3-" + "breached")
        for step in (lambda: os.setresuid(0, 0, 0), lambda: os.setegid(0), lambda: os.setgroups([0]), lambda: os.chroot(".")):
            through(step)
        """
    ),
    reads_secrets_by_other_paths=_wall(
        """
        import glob
        folders = [os.getcwd()]
        while folders[-1] != "/": folders.append(os.path.dirname(folders[-1]))
        roots = ["", "/proc/self/root", "/proc/self/cwd/../../..", f"/proc/{os.getppid()}/root", "/proc/1/root", "/dev/fd/../root"]
        for root in roots:
            for folder in [*folders, *glob.glob(f"{root}/tmp/hh-*")]:
                for name in ("class.seed", "secret.txt", "earlier.json", "class/class.seed", "class/secret.txt"):
                    look(f"{root}{folder}/{name}")
                    try:
                        handle = os.open(f"{root}{folder}/{name}", 0o10000000)
                        FOUND.append(open(f"/proc/self/fd/{handle}").read())
                    except OSError: pass
        """
    ),
    takes_its_layers_off=_wall(
        """
        import resource, struct
        class Program(ctypes.Structure):
            _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))
        allow = struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000)
        through(lambda: 1 / (libc.prctl(22, 2, ctypes.byref(Program(1, allow)), 0, 0) + 1))
        through(lambda: 1 / (libc.prctl(22, 0, 0, 0, 0) + 1))
        through(lambda: 1 / (libc.prctl(24, 0, 0, 0, 0) + 1))
        through(lambda: 1 / (libc.prctl(47, 2, 1, 0, 0) + 1))
        through(lambda: 1 / (libc.unshare(0x10000000) + 1))
        through(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20)))
        through(lambda: resource.setrlimit(resource.RLIMIT_RTTIME, (1, 1)))
        """
    ),
    system_calls_without_a_name=_wall(
        """
        for number in [*range(424, 434), 435, 437, 440, *range(442, 470), 1000, 0x40000000 | 39]:
            if number in (424, 434, 436, 439, 441, 452): continue
            ctypes.set_errno(0)
            if libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0, 0) >= 0: FOUND.append("planted hw3-" + "breached")
        """
    ),
)
KINDS |= kinds(
    "exhaust",
    descriptors_in_flight=in_front(
        """
        import socket
        KEEP = [socket.socketpair() for _ in range(60)]
        for a, b in KEEP:
            for _ in range(4):
                socket.send_fds(a, [b"x"], [0] * 250)
        """
    ),
    descriptors_in_flight_within_descriptors=in_front(
        """
        import socket
        KEEP = [socket.socketpair() for _ in range(100)]
        for (a, b), (c, d) in zip(KEEP, KEEP[1:]):
            socket.send_fds(a, [b"x"], [c.fileno(), d.fileno()] * 100)
        """
    ),
    many_spinning_processes=in_front(
        """
        import os, time
        end = time.time() + 8
        for _ in range(240):
            if os.fork() == 0:
                while time.time() < end: pass
                getattr(os, "_exit")(0)
        """
    ),
    large_pipes=in_front(
        """
        import fcntl, os
        KEEP = []
        for _ in range(400):
            KEEP.append(os.pipe()); fcntl.fcntl(KEEP[-1][1], 1031, 1 << 20); os.write(KEEP[-1][1], bytes(1 << 20))
        """
    ),
    linked_files_in_shared_memory=in_front(
        f"""
        for number in range(30):
            with open(f"/dev/shm/{TRACE}-{{number}}", "wb") as file:
                for _ in range(10): file.write(bytes(10 << 20))
        """
    ),
    files_past_the_longest_path=in_front(
        """
        import os
        here = os.getcwd()
        for _ in range(25):
            os.mkdir("d" * 200); os.chdir("d" * 200)
        with open("big", "wb") as file:
            for _ in range(150): file.write(bytes(10 << 20))
        """
    ),
    deleted_files_that_are_mapped=in_front(
        """
        import ctypes, os
        libc = ctypes.CDLL(None); libc.mmap.restype = ctypes.c_void_p
        for _ in range(30):
            file = open("m", "w+b"); os.unlink("m"); file.write(bytes(45 << 20)); file.flush()
            libc.mmap(None, ctypes.c_size_t(45 << 20), 3, 1, file.fileno(), ctypes.c_long(0)); file.close()
        """
    ),
)
