"""``CLASS/gradebook.sqlite``: the log of what people decided, and who has which answer open.

The log only grows: triggers refuse every change and deletion. Several processes and threads may use one file; each
decision is on disk when `Gradebook.record` returns.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from grader.errors import UsageError
from grader.gradebook.checks import checked
from grader.gradebook.database import Connection, Database
from grader.gradebook.entries import entries_of, worth_of
from grader.gradebook.events import JSON, Decision, Event, Kind
from grader.gradebook.state import Log, State
from grader.scoring.rubric import Rubric, RubricEntry
from grader.text.safe_text import SHORT, one_line

NAME = "gradebook.sqlite"
LOCK_SECONDS = 120.0
_FRESH = 0.9
"""A lock with more than this share of its time left is not written anew."""
LONGEST_NAME = SHORT


@dataclass(frozen=True)
class Lock:
    """An answer that somebody has open."""

    submission: str
    item: str
    who: str
    until: datetime


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Gradebook:
    """The decisions about a class. Every failure is a `GraderError` of one line."""

    def __init__(
        self,
        database: Database,
        items: Mapping[str, Sequence[RubricEntry]],
        worth: Mapping[str, float] | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._database = database
        self._items = {item: tuple(entries) for item, entries in items.items()}
        self._worth = worth
        self._clock = clock
        self._state = State(Log(), self._items, worth)

    @classmethod
    def open(
        cls,
        folder: Path,
        items: Mapping[str, Sequence[RubricEntry]],
        worth: Mapping[str, float] | None = None,
        *,
        clock: Callable[[], datetime] = _now,
    ) -> Gradebook:
        """The gradebook of a class folder, made if there is none.

        Args:
            folder: the folder of a batch.
            items: the entries of `rubric.yaml`, by item; others cannot be graded by entries.
            worth: what each item is worth; no grade gives more.
            clock: tells the time, in UTC.
        """
        return cls(Database.open(folder / NAME), items, worth, clock)

    @classmethod
    def of_class(cls, folder: Path, rubric: Rubric) -> Gradebook:
        """The gradebook of a class folder, with the entries and points of a rubric."""
        return cls.open(folder, entries_of(rubric), worth_of(rubric))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Gradebook:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # -- recording -----------------------------------------------------------------------------------------------

    def record(self, who: str, decisions: Sequence[Decision], *, act: str | None = None) -> str:
        """Record decisions as one act and return its id; they are on disk then, all or none.

        Args:
            who: the name of the person.
            decisions: what they decided.
            act: an id for the act, by which a repeated call is known: it records nothing again.
        """
        act = act or uuid.uuid4().hex
        with self._database.writing() as connection:
            if not self._has(connection, act):
                self._insert(connection, who, decisions, act)
        return act

    def _insert(self, connection: Connection, who: str, decisions: Sequence[Decision], act: str) -> None:
        who = _name(who)
        if not decisions:
            raise UsageError("nothing to record")
        state = self._as_of(connection)
        rows = []
        for decision in decisions:
            data = checked(state, decision)
            at = self._clock().isoformat()
            place = (decision.submission, decision.item)
            rows.append((at, who, act, decision.kind.value, *place, json.dumps(data)))
        connection.executemany(
            "INSERT INTO events(at, who, act, kind, submission, item, data) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
        )

    def undo(self, who: str, act: str) -> str:
        """Undo all of an act, and return the id of the undoing act, which can be undone itself."""
        return self.record(who, [Decision(Kind.undo, None, None, {"act": act})])

    @staticmethod
    def _has(connection: Connection, act: str) -> bool:
        return connection.execute("SELECT 1 FROM events WHERE act = ? LIMIT 1", (act,)).fetchone() is not None

    # -- imports -------------------------------------------------------------------------------------------------

    def imported(self, name: str) -> JSON:
        """What a file said when it was imported last; None if it never was."""
        with self._database.reading() as connection:
            return self._imported(connection, name)

    def record_import(
        self, name: str, base: JSON, now: JSON, decisions: Sequence[tuple[str, Decision]]
    ) -> bool:
        """Record what an imported file decided, as one act, and what the file says.

        Args:
            name: the name of the file.
            base: what it said when it was imported last, as `imported` gave it.
            now: what it says now.
            decisions: what follows from that, each with who decided it.

        Returns:
            Whether it was recorded; False where somebody has imported the file since.
        """
        act = uuid.uuid4().hex
        with self._database.writing() as connection:
            if self._imported(connection, name) != base:
                return False
            for who, decision in decisions:
                self._insert(connection, who, [decision], act)
            connection.execute(
                "INSERT INTO imports(at, name, data) VALUES (?, ?, ?)",
                (self._clock().isoformat(), name, json.dumps(now)),
            )
        return True

    @staticmethod
    def _imported(connection: Connection, name: str) -> JSON:
        row = connection.execute("SELECT data FROM imports WHERE name = ? ORDER BY id DESC LIMIT 1", (name,)).fetchone()
        found: JSON = None if row is None else json.loads(row[0])
        return found

    # -- reading -------------------------------------------------------------------------------------------------

    def events(self, submission: str | None = None, item: str | None = None, after: int = 0) -> list[Event]:
        """The events after an id, in order; of a submission or an item if one is named."""
        where = "id > ?"
        values: list[int | str] = [after]
        for column, value in (("submission", submission), ("item", item)):
            if value is not None:
                where += f" AND {column} = ?"
                values.append(value)
        with self._database.reading() as connection:
            return self._select(connection, where, values)

    @staticmethod
    def _select(connection: Connection, where: str, values: Sequence[int | str]) -> list[Event]:
        columns = "id, at, who, act, kind, submission, item, data"
        rows = connection.execute(f"SELECT {columns} FROM events WHERE {where} ORDER BY id", values)
        return [
            Event(
                id=number,
                at=datetime.fromisoformat(at),
                who=who,
                act=act,
                kind=Kind(kind),
                submission=submission,
                item=item,
                data=json.loads(data),
            )
            for number, at, who, act, kind, submission, item, data in rows
        ]

    def state(self) -> State:
        """What holds now."""
        with self._database.reading() as connection:
            # Kept only here, where all that is read is committed.
            self._state = self._as_of(connection)
            return self._state

    def _as_of(self, connection: Connection) -> State:
        new = self._select(connection, "id > ?", [self._state.log.last])
        return self._state.followed_by(new) if new else self._state

    # -- locks ---------------------------------------------------------------------------------------------------

    def claim(
        self,
        who: str,
        item: str,
        candidates: Sequence[str],
        seconds: float = LOCK_SECONDS,
        *,
        seen: int | None = None,
    ) -> str | None:
        """Lock the first candidate that nobody else has open, and return it; None if there is none.

        Args:
            who: the name of the person.
            item: the item.
            candidates: submissions, the preferred ones first.
            seconds: until the lock expires.
            seen: the id of the last event that the candidates were chosen by; whatever was graded since is passed over.
        """
        with self._database.writing_briefly() as connection:
            # Nothing else deletes them, and a class has thousands.
            connection.execute("DELETE FROM locks WHERE until <= ?", (self._clock().timestamp(),))
            others = connection.execute("SELECT submission FROM locks WHERE item = ? AND who != ?", (item, who))
            taken = {submission for (submission,) in others}
            if seen is not None:
                kinds = (Kind.grade.value, Kind.settle.value)
                rows = connection.execute(
                    "SELECT submission FROM events WHERE id > ? AND item = ? AND kind IN (?, ?)", (seen, item, *kinds)
                )
                taken.update(submission for (submission,) in rows)
            chosen = next((name for name in candidates if name not in taken), None)
            if chosen is not None:
                self._put_lock(connection, who, chosen, item, seconds)
        return chosen

    def lock(self, who: str, submission: str, item: str, seconds: float = LOCK_SECONDS) -> bool:
        """Lock an answer, or extend the own lock; False if somebody else has it open."""
        return self.hold(who, submission, item, seconds) == who

    def hold(self, who: str, submission: str, item: str, seconds: float = LOCK_SECONDS) -> str:
        """The same; gives the name of whoever has the answer open then."""
        soon = (self._clock() + timedelta(seconds=_FRESH * seconds)).timestamp()
        with self._database.reading() as connection:
            holder, until = self._holder(connection, submission, item)
        if holder and (holder != who or until > soon):
            return holder
        with self._database.writing_briefly() as connection:
            holder, _ = self._holder(connection, submission, item)
            if holder and holder != who:
                return holder
            self._put_lock(connection, who, submission, item, seconds)
        return who

    def _holder(self, connection: Connection, submission: str, item: str) -> tuple[str, float]:
        """Who has an answer open, and until when; an empty name for nobody."""
        found: tuple[str, float] | None = connection.execute(
            "SELECT who, until FROM locks WHERE submission = ? AND item = ? AND until > ?",
            (submission, item, self._clock().timestamp()),
        ).fetchone()
        return found or ("", 0.0)

    def release(self, who: str, submission: str, item: str) -> None:
        """Give up the own lock of an answer, if there is one."""
        with self._database.writing_briefly() as connection:
            connection.execute(
                "DELETE FROM locks WHERE submission = ? AND item = ? AND who = ?", (submission, item, _name(who))
            )

    def locks(self) -> list[Lock]:
        """The answers that somebody has open now."""
        with self._database.reading() as connection:
            return self._locks(connection)

    def _locks(self, connection: Connection) -> list[Lock]:
        rows = connection.execute(
            "SELECT submission, item, who, until FROM locks WHERE until > ? ORDER BY item, submission",
            (self._clock().timestamp(),),
        )
        return [
            Lock(submission, item, who, datetime.fromtimestamp(until, timezone.utc))
            for submission, item, who, until in rows
        ]

    def _put_lock(self, connection: Connection, who: str, submission: str, item: str, seconds: float) -> None:
        until = (self._clock() + timedelta(seconds=seconds)).timestamp()
        connection.execute(
            "INSERT OR REPLACE INTO locks(submission, item, who, until) VALUES (?, ?, ?, ?)",
            (submission, item, _name(who), until),
        )


def _name(who: str) -> str:
    name = one_line(who).strip()
    if not name or len(name) > LONGEST_NAME:
        raise UsageError(f"give a name of 1 to {LONGEST_NAME} characters")
    return name
