"""Record the system calls that confined kernels make, and compare them with the list in ``grader/kernel/confinement/calls.py``.

    python tools/record_calls.py grader grade --example

Runs the command under strace and counts what processes call after they loaded the filter. Prints each call that is not
allowed, with its number of calls; exit status 1 if one answered ENOSYS that the list does not name.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from grader.kernel.confinement import calls

_LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$")
_STARTS = {"fork", "vfork", "clone", "clone3"}


def calls_of_kernels(lines: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """How often each call was made, and how often it answered ENOSYS, by processes under the filter."""
    confined: set[str] = set()
    made: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        pid, resumed, begun, rest = found.groups()
        name = resumed or begun
        if name == "prctl" and "PR_SET_SECCOMP" in rest and rest.rstrip().endswith("= 0"):
            confined.add(pid)
            continue
        if pid not in confined:
            continue
        if name in _STARTS and (child := re.search(r"= (\d+)$", rest.rstrip())):
            confined.add(child[1])
        made[name] += begun is not None
        unknown[name] += "ENOSYS" in rest
    return made, unknown


def main(command: list[str]) -> int:
    """Run the command and report."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "calls"
        subprocess.run(["strace", "-f", "-qq", "-s", "0", "-o", str(log), *command], check=False)
        with log.open(encoding="utf-8", errors="replace") as lines:
            made, unknown = calls_of_kernels(lines)
    free = calls.ALLOWED | calls.ATTRIBUTES
    for name, count in made.most_common():
        if name not in free:
            print(f"{name}: {count} calls, {unknown[name]} of them unknown")
    print(f"{len(made)} different calls, {sum(name in free for name in made)} of them allowed without conditions")
    named = {name for group in (calls.UNKNOWN, calls.REFUSED, calls.CONDITIONAL) for name in group}
    return int(any(count and name not in named for name, count in unknown.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
