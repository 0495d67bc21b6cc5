"""What a grader on this host makes of notebooks that aim at the judge, or at the submission beside them; for `attack_here`.

The notebooks hold nothing but the loss, so that each is graded in a moment.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from grader.assignment import load_assignment
from grader.grade import Request, judge
from grader.judging.budget import Budget, Spent
from grader.kernel import confinement
from grader.kernel.process import WarmLink
from grader.kernel.session import Session
from grader.scoring.result import Result
from grader.submission.planning import Plan
from tests.batch.conftest import loss_only
from tests.conftest import notebook, solutions
from tests.hostile.generator import BREACH, hostile

ITEM = "4d"

# Looks for the names of the properties in all frames and in what they hold. They stand here backwards, as the notebook's own
# text is in the kernel, too.
_LOOKS_FOR_NAMES = """
import sys
WORDS = [word[::-1] for word in BACKWARDS]
LEFT = [3]
def is_told():
    waiting, seen, frame = [], set(), sys._getframe()
    while frame is not None:
        waiting += [scope for scope in (frame.f_locals, frame.f_globals) if scope is not globals()]
        frame = frame.f_back
    while waiting and len(seen) < 20_000:
        value = waiting.pop(0)
        if id(value) in seen or value is WORDS: continue
        seen.add(id(value))
        if type(value) is str and any(word in value for word in WORDS): return True
        if type(value) is dict: waiting += [*value.keys(), *value.values()]
        elif type(value) in (list, tuple, set): waiting += value
        elif type(value).__module__ in ("agent", "standins", "frames"): waiting += vars(value).values()
    return False
original = DialogueLoss.forward
def forward(self, *args, **kwargs):
    LEFT[0] -= 1
    if LEFT[0] >= 0 and is_told(): raise RuntimeError("hw3-" + "breached")
    return original(self, *args, **kwargs)
DialogueLoss.forward = forward
"""

# Holds as much of what is counted for each user as it may, and sleeps.
HOG = """
import os, socket, time
PAIRS = [socket.socketpair() for _ in range(60)]
PIPES = [os.pipe() for _ in range(60)]
for a, b in PAIRS:
    for _ in range(4):
        try: socket.send_fds(a, [b"x"], [0] * 250)
        except OSError: pass
for reads, writes in PIPES:
    os.set_blocking(writes, False)
    try: os.write(writes, bytes(1 << 16))
    except OSError: pass
for _ in range(12):
    try:
        if os.fork() == 0:
            time.sleep(60); os._exit(0)
    except OSError: pass
"""


def graded(level: confinement.Level | None, warm: WarmLink, folder: Path) -> dict[str, dict[str, Any]]:
    """What becomes of a notebook of each kind, by its name."""
    assignment = dataclasses.replace(load_assignment(), least_isolation=level, most_cases=4, shrink_calls=4)
    names = [name for name in assignment.rubric.properties if name.startswith("dialogue_loss.")]
    backwards = [part[::-1] for name in names for part in (name, name.partition(".")[2])]
    looking = _LOOKS_FOR_NAMES.replace("BACKWARDS", repr(backwards))
    wrong = json.loads(loss_only(1, right=False))
    texts = {
        "right": loss_only(0),
        "raises what the grader may raise": hostile("raises_what_the_grader_may_raise", wrong).decode(),
        "looks for names": notebook(solutions()["setup"], solutions()["dialogue-loss"], looking),
    }

    def grade(text: str) -> dict[str, Any]:
        path = folder / "submission.ipynb"
        path.write_text(text, encoding="utf-8")
        return _summary(judge(path, assignment, Request(warm=warm, only=names)).result)

    found = {name: grade(text) for name, text in texts.items()}
    with Session(Plan((), {}, False, ()), warm=warm, isolation_level=level) as hog:
        hog.kernel.execute(HOG, 60.0)
        found["right, beside a hog"] = grade(loss_only(2))
        found["hog"] = {"stopped_for": hog.kernel.stopped_for, "is_alive": hog.kernel.is_alive()}
    return found


def _summary(result: Result) -> dict[str, Any]:
    criteria = [each for item in result.items if item.id == ITEM for each in item.criteria]
    return {
        "points": sum(each.points for each in criteria),
        "status": sorted({each.status for each in criteria}),
        "error": result.error,
        "is_breached": BREACH in result.to_json(),
        "weaker": [row.layer for row in result.isolation if not row.active],
        "warnings": list(result.warnings),
    }


def bounded() -> dict[str, bool]:
    """Whether the judge's clock and its bound on memory stop what a reply could make it do, and give back what they took."""
    found = {"clock": False, "memory": False}
    try:
        with Budget(seconds=0.05).clock():
            while True:
                pass
    except Spent:
        found["clock"] = True
    with Budget(memory=32 << 20).memory(), contextlib.suppress(MemoryError):
        np.ones(1 << 24)
        found["memory"] = False
        return found
    found["memory"] = np.ones(1 << 24).size > 0
    return found
