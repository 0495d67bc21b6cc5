"""Who of a cluster's workers grades what: pure bookkeeping, without a network.

Each worker gets as many submissions as it has threads and no more, so that when it dies it is known what it was grading. Dask
would queue further ones on it, and count its death against those, too. A submission on which a worker died is graded next on
a worker that grades nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from grader.batch.jobs import Job
from grader.batch.pool import Lost
from grader.batch.training import GPU_TRAINEES, cpu_trainees

DEATHS = 3
"""Workers that a submission may cost until it is set aside. Dask calls such a task a killed worker, too."""
MOST_DEATHS = 10
"""The limit where the workers also died without the submission, so that something else may be the cause."""
GPU_SHARE = round(1 / GPU_TRAINEES, 3)
"""Of one GPU, for one model."""


@dataclass
class Attempt:
    """A job on its way to a result."""

    job: Job
    died: list[str] = field(default_factory=list)
    """The workers that died while they had it."""

    @property
    def wants_gpu(self) -> bool:
        """Whether it trains on a GPU."""
        return self.job.training is not None and self.job.training.device == "cuda"


@dataclass(eq=False)
class Hand:
    """A worker, by its address."""

    address: str
    state: Literal["asked", "accepted", "refused"] = "asked"
    name: str = ""
    threads: int = 1
    gpus: float = 0.0
    cores: int = 1
    level: str = ""
    weaknesses: str = ""
    reasons: tuple[str, ...] = ()
    """Why it was refused."""
    gone: bool = False
    tasks: dict[int, tuple[Attempt, Any]] = field(default_factory=dict)
    """What it does now, by number."""

    @property
    def name_or_address(self) -> str:
        """Its name, which a restarted worker keeps, or its address if it has none."""
        return self.name or self.address

    @property
    def who(self) -> str:
        """What people call it."""
        return self.address if self.name in ("", self.address) else f"{self.name} ({self.address})"

    def agreed(self, reply: dict[str, Any]) -> None:
        """Record what the worker says about itself."""
        self.name, self.reasons = str(reply["name"]), tuple(map(str, reply["refused"]))
        self.threads, self.cores, self.gpus = int(reply["threads"]), int(reply["cores"]), float(reply["gpus"])
        self.level, self.weaknesses = str(reply["level"]), str(reply["weaknesses"])
        self.state = "refused" if self.reasons else "accepted"

    def room(self, attempt: Attempt, *, others_have_gpus: bool, others_have_none: bool) -> int:
        """How many like this one it may do at the same time."""
        if attempt.job.training is None:
            # GPUs are scarce: properties are judged elsewhere if there is an elsewhere.
            return 0 if self.gpus and others_have_none else self.threads
        if attempt.wants_gpu:
            return min(self.threads, int(self.gpus / GPU_SHARE + 0.01))
        return 0 if others_have_gpus and not self.gpus else cpu_trainees(self.threads, self.cores)


class Desk:
    """What waits, and who is there to do it."""

    def __init__(self) -> None:
        self.hands: dict[str, Hand] = {}
        self.waiting: deque[Attempt] = deque()
        self.suspects: deque[Attempt] = deque()
        """On which a worker died: each is tried again alone on a worker."""
        self._deaths: dict[str, list[list[Attempt]]] = {}
        """By a worker's name, what it was grading each time it died."""

    @property
    def accepted(self) -> list[Hand]:
        """Workers that grade."""
        return [hand for hand in self.hands.values() if hand.state == "accepted"]

    def handed_out(self) -> Iterator[tuple[Hand, Attempt]]:
        """Who may begin what, now; the caller notes it in ``hand.tasks`` before it asks for the next."""
        while self.suspects:
            attempt = self.suspects[0]
            idle = [hand for hand in self._able(attempt) if not hand.tasks]
            if not idle:
                break
            yield idle[0], self.suspects.popleft()
        reserved = self._reserved()
        for _ in range(len(self.waiting)):
            free = [hand for hand in self._able(self.waiting[0]) if hand is not reserved]
            if not free:
                return
            yield min(free, key=lambda hand: len(hand.tasks) / hand.threads), self.waiting.popleft()

    def buried(self, hand: Hand, *more: Attempt) -> list[Attempt]:
        """Forget a worker that died. Returns what it was grading, with ``more`` in front; pass each to `after_death`."""
        self.hands.pop(hand.address, None)
        hand.gone = True
        lost = [*more, *(attempt for attempt, _ in hand.tasks.values())]
        self._deaths.setdefault(hand.name_or_address, []).append(lost)
        return lost

    def after_death(self, attempt: Attempt, name: str) -> Lost | None:
        """Put a submission where it is tried again; `Lost` where it cost too many workers.

        A death counts against it only if that worker has not also died without it.
        """
        attempt.died.append(name)
        blamed = [one for one in attempt.died if all(attempt in graded for graded in self._deaths.get(one, []))]
        if len(blamed) >= DEATHS or len(attempt.died) >= MOST_DEATHS:
            return Lost(f"kills workers: {', '.join(attempt.died)} died while grading it")
        self.suspects.append(attempt)
        return None

    def _able(self, attempt: Attempt) -> list[Hand]:
        hands = self.accepted
        any_gpu = any(hand.gpus for hand in hands)
        # A worker that has not answered yet may have no GPU.
        any_without = any(not hand.gpus for hand in hands) or any(hand.state == "asked" for hand in self.hands.values())
        return [
            hand
            for hand in hands
            if not any(other.died for other, _ in hand.tasks.values())
            and len(hand.tasks) < hand.room(attempt, others_have_gpus=any_gpu, others_have_none=any_without)
        ]

    def _reserved(self) -> Hand | None:
        """The worker that gets nothing new until a suspect can have it for itself."""
        if not self.suspects:
            return None
        able = self._able(self.suspects[0]) or [hand for hand in self.accepted if hand.threads > 1]
        return min(able, key=lambda hand: len(hand.tasks), default=None)
