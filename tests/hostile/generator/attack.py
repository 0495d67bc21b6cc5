"""Submissions that attack the grader's processes and files, or those of other submissions."""

# ruff: noqa: E501  (payloads)
from __future__ import annotations

from tests.hostile.generator.kinds import kinds
from tests.hostile.generator.payloads import behind, in_front

KINDS = kinds(
    "attack",
    kills_its_parent=behind(
        "import os, signal\nfor pid in (os.getppid(), 1):\n    try: getattr(os, 'kill')(pid, signal.SIGKILL)\n    except OSError: pass"
    ),
    kills_everyone=behind("import os, signal\ntry: getattr(os, 'kill')(-1, signal.SIGKILL)\nexcept OSError: pass"),
    kills_groups=behind(
        """
        import os, signal
        for pid in range(2, 40000):
            if pid != os.getpid():
                for kill in (os.kill, os.killpg):
                    try: kill(pid, signal.SIGKILL)
                    except OSError: pass
        """
    ),
    traces_its_parent=behind(
        """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        for request in (16, 0x4206):
            for pid in (os.getppid(), 1):
                if libc.ptrace(request, pid, 0, 0) == 0: raise SystemExit("hw3-" + "breached")
        """
    ),
    raw_system_calls=behind(
        """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        for number in (101, 310, 311, 165, 272, 308, 321, 425, 250, 438, 169, 246, 175, 298, 323, 161, 155):
            libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0)
        """
    ),
    limits_of_its_parent=behind(
        """
        import os, resource
        for pid in (os.getppid(), 1):
            for which in (resource.RLIMIT_CPU, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_DATA):
                try:
                    resource.prlimit(pid, which, (0, 0))
                except (OSError, ValueError):
                    pass
        """
    ),
    stops_its_parent=behind(
        "import os, signal\nfor pid in (os.getppid(), *range(2, 2000)):\n    try:\n        if pid != os.getpid(): getattr(os, 'kill')(pid, signal.SIGSTOP)\n    except OSError: pass"
    ),
    becomes_root=behind(
        """
        import os
        for step in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgroups([0]), lambda: os.setgid(0), lambda: os.chroot("/")):
            try:
                step(); globals()["ROOT"] = os.getuid() == 0 and bool(open("/etc/shadow").read())
            except OSError:
                pass
        if globals().get("ROOT"): raise SystemExit("hw3-" + "breached")
        """
    ),
    rewrites_the_grader=behind(
        """
        import os, sys
        for root in ("<checkout>", *sys.path):
            for folder, folders, files in os.walk(root):
                folders[:] = folders[:20]
                for name in files[:5]:
                    if name.endswith((".py", ".yaml")):
                        try:
                            with open(os.path.join(folder, name), "a") as file:
                                file.write("# hw3-hostile-trace")
                            raise SystemExit("hw3-" + "breached: wrote " + name)
                        except OSError:
                            pass
        """
    ),
    locks_and_pipes=behind(
        """
        import fcntl, os
        for path in ("/run/lock/hw3-grader-uids/60600", "/tmp/hw3-grader-uids/60600", "<checkout>/rubric.yaml"):
            try:
                fcntl.flock(os.open(path, os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pass
        for name in ("../connection.json", "../k-1", "../k-2", "input.txt"):
            try:
                os.remove(name)
            except OSError:
                pass
            try:
                os.mkfifo(name)
            except OSError:
                pass
        """
    ),
    starts_programs=behind(
        """
        import os, subprocess, sys
        for command in (["/bin/sh", "-c", "id"], [sys.executable, "-c", "print(1)"], ["/usr/bin/su"], ["sudo", "-n", "id"], ["curl", "http://192.0.2.1/"]):
            try:
                print(getattr(subprocess, "run")(command, capture_output=True, timeout=5))
            except Exception as error:
                print(type(error))
        getattr(os, "system")("id"); getattr(get_ipython(), "system")("id")
        """
    ),
    abstract_sockets=behind(
        """
        import socket
        for line in range(1):
            for name in ("\\0/tmp/.X11-unix/X0", "\\0grader", "/run/dbus/system_bus_socket", "/run/systemd/private", "/var/run/docker.sock"):
                try:
                    with socket.socket(socket.AF_UNIX) as out:
                        out.settimeout(0.2); out.connect(name)
                except OSError:
                    pass
        """
    ),
    replaces_its_own_sockets=behind(
        """
        import os, stat
        for fd in range(3, 200):
            try:
                if stat.S_ISSOCK(os.fstat(fd).st_mode): os.close(fd)
            except OSError:
                pass
        """
    ),
    types_into_the_terminal=behind(
        """
        import fcntl, os
        for path in ("/dev/tty", "/dev/pts/0", "/dev/console", "/proc/self/fd/0"):
            try:
                fd = os.open(path, os.O_RDWR)
                for byte in b"echo hw3-hostile-trace\\n":
                    fcntl.ioctl(fd, 0x5412, bytes([byte]))
            except OSError:
                pass
        """
    ),
    hooks_the_import_system=in_front(
        """
        import builtins, sys
        real = builtins.__import__
        class Finder:
            def find_spec(self, name, path=None, target=None):
                return None
        sys.meta_path.insert(0, Finder()); sys.path_hooks.insert(0, lambda path: (_ for _ in ()).throw(ImportError))
        builtins.__import__ = lambda name, *args, **kwargs: real(name, *args, **kwargs)
        """
    ),
    site_customisation=behind(
        """
        import os, site, sys
        for folder in [*sys.path, os.path.expanduser("~"), "/tmp", "."]:
            for name in ("sitecustomize.py", "usercustomize.py", "hw3-hostile-trace.pth", "conftest.py", ".pdbrc", "torch.py", "json.py"):
                try:
                    with open(os.path.join(folder, name), "w") as file:
                        file.write("raise SystemExit\\n")
                except OSError:
                    pass
        """
    ),
)
