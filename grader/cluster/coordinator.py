"""The coordinator's side of a cluster: a thread that talks to Dask, and the pool that a batch hands its jobs to.

Dask connects the machines, tells who is there, carries jobs and answers, and encrypts; what a worker does next is decided by
`hands`. A scheduler that goes away is waited for: whatever was under way is done again when it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import queue
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError as FutureCancelled
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import dask
from distributed import Client, KilledWorker

from grader.assignment import Assignment
from grader.batch.jobs import Job
from grader.batch.pool import TICK_SECONDS, Item, Lost, Value
from grader.cluster import plugin
from grader.cluster.hands import GPU_SHARE, Attempt, Desk, Hand
from grader.cluster.offer import Offer, offer_of, with_seed
from grader.cluster.parcels import Parcel, Unknown, unpacked
from grader.errors import GraderError, UsageError

LOOK_SECONDS = 0.5
CONNECT_SECONDS = 10.0
MEET_SECONDS = 300.0
GRACE_SECONDS = 5.0
"""How long workers may take to join after one was refused."""
_LOST = (OSError, FutureCancelled)
"""What Dask raises when the scheduler is gone."""


@dataclass(frozen=True)
class _Done:
    attempt: Attempt
    found: Any


class DaskCluster:
    """Workers of a Dask cluster, as a batch's backend. Use as a context manager, which connects to the scheduler.

    Raises `UsageError` where the scheduler cannot be reached, and when there was no worker to grade with for ``patience``
    seconds, or all were refused.
    """

    def __init__(self, address: str, assignment: Assignment, rubric: bytes, patience: float = 300.0) -> None:
        self.address, self.patience = address, patience
        self.desk = Desk()
        self._offer, self._seed = offer_of(assignment, rubric), assignment.seed
        self._told: queue.SimpleQueue[str | _Done | GraderError] = queue.SimpleQueue()
        self._met = threading.Event()
        self._stop = self._used_any = False
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._run_loop, name="cluster", daemon=True)
        self.weaker: dict[str, str] = {}
        """Workers that graded at less than level strong, with what they lack."""

    # -- what a batch calls, in its thread -----------------------------------------------------------------------------

    def __enter__(self) -> DaskCluster:
        """Connect."""
        self._thread.start()
        while not self._met.wait(TICK_SECONDS):
            if not self._thread.is_alive():
                break
        if not self._thread.is_alive():
            raise self._failure()
        return self

    def __exit__(self, *exception: object) -> None:
        """Let the workers go."""
        self._stop = True
        self._wake_up()
        self._thread.join(10)

    def pool(self, say: Callable[[str], None]) -> ClusterPool:
        """What runs a batch's jobs on the workers."""
        return ClusterPool(self, say)

    def has_gpu(self) -> bool:
        """Whether one of the workers that are here declares a GPU. Waits until one has agreed to grade."""
        deadline = time.monotonic() + self.patience
        while not self.desk.accepted and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(TICK_SECONDS)
        return any(hand.gpus for hand in self.desk.accepted)

    def put(self, attempts: Sequence[Attempt]) -> None:
        """Queue what is to be graded."""
        try:
            self._loop.call_soon_threadsafe(self.desk.waiting.extend, attempts)
        except RuntimeError:  # the thread has ended
            raise self._failure() from None
        self._wake_up()

    def drop(self) -> None:
        """Start nothing more of what is queued."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.desk.waiting.clear)
            self._loop.call_soon_threadsafe(self.desk.suspects.clear)

    def told(self, seconds: float) -> str | _Done | None:
        """What happened: a line for people or a result; None if nothing does for so long. Raises `GraderError`."""
        try:
            news = self._told.get(timeout=seconds)
        except queue.Empty:
            if not self._thread.is_alive():
                raise self._failure() from None
            return None
        if isinstance(news, GraderError):
            raise news
        return news

    def running(self) -> list[Job]:
        """What the workers do now."""
        tasks = [task for hand in list(self.desk.hands.values()) for task in list(hand.tasks.values())]
        return [attempt.job for attempt, _ in tasks]

    def _failure(self) -> GraderError:
        while True:
            try:
                news = self._told.get_nowait()
            except queue.Empty:
                return GraderError(f"the connection to the scheduler at {self.address} ended")
            if isinstance(news, GraderError):
                return news

    def _wake_up(self) -> None:
        with contextlib.suppress(RuntimeError, AttributeError):
            self._loop.call_soon_threadsafe(self._wake.set)

    # -- what talks to Dask, in a thread of its own --------------------------------------------------------------------

    def _run_loop(self) -> None:
        # A lost connection is reported in one line of ours, without Dask's traceback.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        # A notebook with large pictures is no mistake, about which Dask would warn.
        quiet = {"distributed.admin.large-graph-warning-threshold": "1GiB"}
        with dask.config.set(quiet), warnings.catch_warnings():
            try:
                asyncio.run(self._live())
            except GraderError as error:
                self._told.put(error)
            except Exception as error:
                self._told.put(GraderError(f"the cluster failed ({type(error).__name__}: {error})"[:500]))

    async def _live(self) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        self._seen = self._begun = time.monotonic()
        is_lost = False
        while not self._stop:
            try:
                async with Client(
                    self.address, asynchronous=True, timeout=CONNECT_SECONDS, set_as_default=False
                ) as client:
                    if is_lost:
                        self._told.put(f"the scheduler at {self.address} is back")
                        is_lost = False
                    self._met.set()
                    await self._watch(client)
            except Exception as error:
                if self._stop:
                    return
                if self._met.is_set() and not isinstance(error, _LOST):
                    raise
                self._drop_hands()
                if not self._met.is_set():
                    raise UsageError(
                        f"cannot reach a scheduler at {self.address} ({_reason(error)}); "
                        "start one with: dask scheduler"
                    ) from None
                if time.monotonic() - self._seen > self.patience:
                    raise UsageError(
                        f"the scheduler at {self.address} is gone; start it and run the same command again to resume"
                    ) from None
                if not is_lost:
                    self._told.put(f"lost the scheduler at {self.address}; waiting for it to come back")
                is_lost = True
                await asyncio.sleep(LOOK_SECONDS)

    async def _watch(self, client: Client) -> None:
        """Meet workers, hand out work and notice who is gone, until told to stop. Raises one of `_LOST`."""
        self._client, self._broken = client, False
        meetings: set[asyncio.Task[None]] = set()
        waits = False
        try:
            while not self._stop:
                present = await _present(client)
                if self._broken or client.status != "running":
                    raise OSError("the connection broke")
                self._seen = time.monotonic()
                for hand in [hand for hand in self.desk.hands.values() if hand.address not in present]:
                    self._bury(hand)
                for address in [address for address in present if address not in self.desk.hands]:
                    hand = self.desk.hands[address] = Hand(address)
                    task = asyncio.create_task(self._meet(client, hand))
                    meetings.add(task)
                    task.add_done_callback(meetings.discard)
                waits = self._complain_if_nobody_is_left(waits)
                await self._hand_out_for(LOOK_SECONDS)
            await self._say_goodbye(client)
        finally:
            for task in meetings:
                task.cancel()

    async def _meet(self, client: Client, hand: Hand) -> None:
        """Make a worker the offer."""
        offer: Offer = with_seed(self._offer, self._seed, self.address, hand.address)
        try:
            asked = client.run(plugin.meet, offer, workers=[hand.address], on_error="return")
            reply = (await asyncio.wait_for(asked, MEET_SECONDS)).get(hand.address)
        except (*_LOST, asyncio.TimeoutError) as error:
            reply = error
        if hand.gone or self.desk.hands.get(hand.address) is not hand:
            return
        if isinstance(reply, dict):
            hand.agreed(reply)
        elif reply is None or isinstance(reply, OSError):
            # It may be about to go; if it stays, it is met again.
            self.desk.hands.pop(hand.address, None)
            return
        else:
            hand.state, hand.reasons = (
                "refused",
                (f"it cannot answer ({_reason(reply)}); is the same grader installed?",),
            )
        if hand.state == "refused":
            self._told.put(f"worker {hand.who} is not used: {'; '.join(hand.reasons)}")
            return
        self._used_any = True
        if hand.weaknesses:
            self.weaker[hand.who] = f"level {hand.level}: {hand.weaknesses}"
        self._wake.set()

    def _complain_if_nobody_is_left(self, waits: bool) -> bool:
        """Raise `UsageError` where nobody can grade; whether it was told that workers are waited for."""
        hands = list(self.desk.hands.values())
        if any(hand.state != "refused" for hand in hands):
            self._begun = time.monotonic()
            return False
        for_long = time.monotonic() - self._begun
        # One that was used may be about to come back; where none was, others may be about to join.
        if hands and for_long > (self.patience if self._used_any else GRACE_SECONDS):
            reasons = "; ".join(f"{hand.who}: {', '.join(hand.reasons)}" for hand in hands[:3])
            raise UsageError(f"no worker at {self.address} can be used: {reasons}")
        if for_long > self.patience:
            raise UsageError(
                f"no worker was at {self.address} for {self.patience:.0f} s; start some with: grader worker {self.address}"
            )
        if not waits and for_long > GRACE_SECONDS:
            self._told.put(f"waiting for workers; start some with: grader worker {self.address}")
            return True
        return waits

    async def _hand_out_for(self, seconds: float) -> None:
        """Hand out work whenever a worker gets free, for so long."""
        until = time.monotonic() + seconds
        while not self._stop and not self._broken and (left := until - time.monotonic()) > 0:
            self._wake.clear()
            for hand, attempt in self.desk.handed_out():
                number = next(self._numbers)
                task = asyncio.create_task(self._asked(hand, attempt, number))
                hand.tasks[number] = (attempt, task)
                task.add_done_callback(functools.partial(self._ended, hand, number))
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), left)

    async def _asked(self, hand: Hand, attempt: Attempt, number: int) -> Any:
        job = attempt.job
        future = self._client.submit(
            plugin.grade,
            self._offer["token"],
            self.function,
            Parcel.of(job),
            key=f"grade-{self._offer['token']}-{number}",
            workers=[hand.address],
            allow_other_workers=False,
            resources={"GPU": GPU_SHARE} if attempt.wants_gpu else None,
            pure=False,
        )
        try:
            return unpacked(await future)
        finally:
            future.release()

    function: plugin.Grade
    """Grades a job, in a worker's judge process."""

    def _ended(self, hand: Hand, number: int, task: asyncio.Task[Any]) -> None:
        """Tell what came of a submission, or have it graded again."""
        attempt, _ = hand.tasks.pop(number)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        found: Any = None
        if error is None:
            found = task.result()
        elif hand.gone or isinstance(error, KilledWorker | Unknown):
            if not hand.gone:
                self._bury(hand, attempt)
            found = self.desk.after_death(attempt, hand.name_or_address)
        elif isinstance(error, asyncio.CancelledError | FutureCancelled | OSError):
            # Not the worker is gone but the scheduler, or all is over.
            self.desk.waiting.appendleft(attempt)
            self._broken = True
        elif isinstance(error, GraderError):
            found = Lost(str(error))
        else:
            found = Lost(f"the grader failed ({type(error).__name__}: {error})"[:500])
        if found is not None:
            self._told.put(_Done(attempt, found))
        self._wake.set()

    def _bury(self, hand: Hand, *more: Attempt) -> None:
        """A worker died: what it was doing is done elsewhere."""
        lost = self.desk.buried(hand, *more)
        if hand.state == "accepted":
            what = f"; it was grading {', '.join(one.job.label for one in lost)}" if lost else ""
            self._told.put(f"worker {hand.who} is gone{what}")
        for _, task in list(hand.tasks.values()):
            task.cancel()

    def _drop_hands(self) -> None:
        """Forget the workers; they are met again, if they are there."""
        for hand in list(self.desk.hands.values()):
            for _, task in list(hand.tasks.values()):
                task.cancel()
        self.desk.hands.clear()

    async def _say_goodbye(self, client: Client) -> None:
        addresses = [hand.address for hand in self.desk.accepted]
        with contextlib.suppress(*_LOST, asyncio.TimeoutError):
            await asyncio.wait_for(
                client.run(plugin.forget, self._offer["token"], workers=addresses, on_error="ignore"), 3
            )


class ClusterPool:
    """Runs the jobs of a batch on a cluster; made by `DaskCluster.pool`."""

    folder: Path | None = None
    restarts = 0

    def __init__(self, cluster: DaskCluster, say: Callable[[str], None]) -> None:
        self._cluster, self._say = cluster, say

    def __enter__(self) -> ClusterPool:
        """Nothing: the cluster is connected."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Start nothing more."""
        self._cluster.drop()

    def run(
        self,
        function: Callable[[Any, str | None], Value],
        items: Sequence[Item],
        tick: Callable[[list[Item]], None] = lambda running: None,
    ) -> Iterator[tuple[Item, Value | Lost]]:
        """Jobs with what came of them, in the order of their end; ``tick`` is told often what runs now.

        Raises `UsageError` when nobody is left to grade.
        """
        cluster = self._cluster
        cluster.function = cast(plugin.Grade, function)
        cluster.put([Attempt(cast(Job, item)) for item in items])
        left = len(items)
        while left:
            news = cluster.told(TICK_SECONDS)
            if isinstance(news, _Done):
                left -= 1
                yield cast(Item, news.attempt.job), news.found
            elif news is not None:
                self._say(news)
            tick(cast("list[Item]", cluster.running()))


async def _present(client: Client) -> dict[str, int]:
    """The addresses of the workers that are here, with their threads; raises OSError where the scheduler does not say."""
    try:
        return cast(dict[str, int], await client.nthreads())
    except Exception as error:  # a client that is closing raises all sorts of things
        raise OSError(_reason(error)) from error


def _reason(error: object) -> str:
    return f"{type(error).__name__}: {error}"[:200] if str(error) else type(error).__name__
