"""What run_autograder calls: keeps time and a valid results.json while another process grades.

That process can fail, hang or be ended for want of memory; this one is small, does little, and has the last
word. It imports the standard library only, and nothing of what it reads is a student's.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from grader.files.atomic import write_atomically
from grader.gradescope.place import (
    ENOUGH_MEMORY,
    MIB,
    Place,
    read_mapping,
)
from grader.memory import free_memory, times_out_of_memory

STARTED = (
    "The autograder has started. If this message does not change, it was stopped before it graded "
    "anything. That is not your fault. Ask your instructor to run it again."
)
FAILED = "The grader failed before it finished. This is not your fault; tell your instructor."
NOT_JUDGED = "Tests that were not graded yet give no points so far."


class _Stopped(Exception):
    """The platform asked this process to end."""


def main() -> int:
    """Run the grader within the time that the platform gives; results.json is valid at every moment."""
    place = Place.here()
    began = time.monotonic() - _age()
    limit = place.minutes * 60
    last = began + limit - max(15.0, limit / 24)
    os.umask(0o077)
    place.results.parent.mkdir(parents=True, exist_ok=True)
    with place.closed():
        _say(place, STARTED, fresh=True)
        free = free_memory()
        if free is not None and free < ENOUGH_MEMORY:
            text = too_little_memory(free)
            print(text)
            _say(place, text)
            return 0
        note = _watched(place, last)
        if note is not None:
            print(note)
            _say(place, note)
    return 0


def too_little_memory(free: int) -> str:
    """The message if grading would be ended half-way, which would cost a student points."""
    return (
        f"Not graded: the container has {free / MIB:.0f} MB of memory to spare, and grading needs at least "
        f"{ENOUGH_MEMORY / MIB:.0f} MB. This is not your fault. Instructor: choose a larger container in the "
        "assignment's autograder settings (2 CPUs and 3 GB are comfortable) and run the autograder again."
    )


def _watched(place: Place, last: float) -> str | None:
    """Have the submission graded; what to tell if that did not come to its end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    _adopt_orphans()
    killed_before = times_out_of_memory()
    # The judge ends by itself well before it would be ended here.
    for_judge = max(last - time.monotonic() - 20.0, 5.0)
    process: subprocess.Popen[bytes] | None = None
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "grader.gradescope.judge", f"{for_judge:.1f}"], stdin=subprocess.DEVNULL
        )
        status = process.wait(max(last - time.monotonic(), 1.0))
    except subprocess.TimeoutExpired:
        return f"The time for grading ({place.minutes:g} minutes) was used up. {NOT_JUDGED}"
    except _Stopped:
        return f"The platform stopped the grader before it finished. {NOT_JUDGED}"
    except OSError as error:
        return f"{FAILED} ({error.strerror})"
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _end_descendants()
    if status == 0:
        return None
    if times_out_of_memory() > killed_before or status == -signal.SIGKILL:
        return (
            f"The container's memory ran out and the grader was stopped. {NOT_JUDGED} "
            "Ask your instructor for a container with more memory."
        )
    return f"{FAILED} {NOT_JUDGED}"


def _stop(number: int, frame: Any) -> None:
    raise _Stopped


def _say(place: Place, text: str, *, fresh: bool = False) -> None:
    """Put a sentence first in the results, and keep what they hold unless that is an earlier run's."""
    results = {} if fresh else read_mapping(place.results)
    before = results.get("output")
    kept = before if isinstance(before, str) and before != STARTED else ""
    results["output"] = f"{text}\n{kept}".strip() if kept != text else text
    results.setdefault("score", 0.0)
    results["output_format"] = "text"
    write_atomically(place.results, json.dumps(results, ensure_ascii=False, indent=1) + "\n")


def _age() -> float:
    """Seconds since run_autograder began, by a clock that nobody sets."""
    with contextlib.suppress(KeyError, OSError, ValueError, IndexError):
        began = float(os.environ["HW3_BEGAN"])
        return max(float(Path("/proc/uptime").read_text(encoding="ascii").split()[0]) - began, 0.0)
    return 0.0


# -- what is left behind ---------------------------------------------------------------------------------------


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, ctypes.c_ulong(1))


def _end_descendants() -> None:
    """End every process beneath this one; a few rounds, as processes may be made while others are ended."""
    for _ in range(50):
        below = _descendants()
        for pid in below:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not below:
            return
        time.sleep(0.02)


def _descendants() -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The name in parentheses may hold anything; what follows its last parenthesis may not.
                fields = (
                    (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                )
                if fields[0] not in ("Z", "X"):
                    parents[int(entry.name)] = int(fields[1])
    found: set[int] = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {os.getpid()})


if __name__ == "__main__":
    sys.exit(main())
