"""The SQLite file of a gradebook: its schema, its checks, its transactions."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from grader.errors import GraderError, UsageError
from grader.text.safe_text import one_line

APPLICATION = 0x47524144
"""Tells gradebooks from other SQLite files."""
VERSION = 1
WAIT_SECONDS = 30.0

Connection = sqlite3.Connection

_SCHEMA = """
CREATE TABLE events(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  who TEXT NOT NULL,
  act TEXT NOT NULL,
  kind TEXT NOT NULL,
  submission TEXT,
  item TEXT,
  data TEXT NOT NULL
);
CREATE INDEX events_by_place ON events(submission, item);
CREATE INDEX events_by_item ON events(item);
CREATE INDEX events_by_act ON events(act);
CREATE TRIGGER events_stay BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;
CREATE TRIGGER events_are_final BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;
CREATE TRIGGER events_are_new BEFORE INSERT ON events WHEN EXISTS (SELECT 1 FROM events WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;
CREATE TABLE imports(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  name TEXT NOT NULL,
  data TEXT NOT NULL
);
CREATE TABLE locks(
  submission TEXT NOT NULL,
  item TEXT NOT NULL,
  who TEXT NOT NULL,
  until REAL NOT NULL,
  PRIMARY KEY (submission, item)
) WITHOUT ROWID;
"""


class Database:
    """A connection to a gradebook, for all threads of this process."""

    def __init__(self, path: Path, connection: Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open a gradebook, and make it if there is none; raises `GraderError` for a damaged or foreign file."""
        with _failures(path):
            connection = sqlite3.connect(
                path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(path, connection)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def close(self) -> None:
        """Close the file; this is the end of this object."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """One view of the file, whatever others write meanwhile."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that nobody else writes beside; it is on disk at the end, or undone by an exception."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextlib.contextmanager
    def writing_briefly(self) -> Iterator[Connection]:
        """The same for what may be lost with the power, but not with the process: it waits for no disk."""
        with self._lock:
            self._connection.execute("PRAGMA synchronous = NORMAL")
            try:
                with self._transaction("BEGIN IMMEDIATE") as connection:
                    yield connection
            finally:
                self._connection.execute("PRAGMA synchronous = FULL")

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        with self._lock, _failures(self.path):
            self._connection.execute(begin)
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _prepare(path: Path, connection: Connection) -> None:
    new = _is_new(path, connection)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            # SQLite waits for nobody while it changes the mode.
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    connection.execute("PRAGMA synchronous = FULL")
    if not new and connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise sqlite3.DatabaseError("malformed")
    connection.execute("BEGIN IMMEDIATE")
    if new and _is_new(path, connection):
        for statement in _statements(_SCHEMA):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _is_new(path: Path, connection: Connection) -> bool:
    """Whether nothing is in the file yet; raises `UsageError` where it is no gradebook that this version reads."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if not tables and not application:
        return True
    if application != APPLICATION:
        raise UsageError(f"{one_line(str(path))}: is not a gradebook; move it away to start a new one")
    if version != VERSION:
        raise UsageError(
            f"{one_line(str(path))}: has schema {version}, but this version of the grader reads {VERSION}; install the "
            "version that wrote it"
        )
    return False


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, which `executescript` would run outside of the transaction."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextlib.contextmanager
def _failures(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into one line."""
    name = one_line(str(path))
    try:
        yield
    except sqlite3.OperationalError as error:
        reason = str(error)
        if "locked" in reason or "busy" in reason:
            reason = f"another process has kept it for {WAIT_SECONDS:g} s; end it or try again"
        raise GraderError(f"{name}: cannot be used: {one_line(reason)}") from error
    except sqlite3.DatabaseError as error:
        reason = f"is damaged or not a gradebook ({one_line(str(error))})"
        raise GraderError(f"{name}: {reason}; restore a copy, or move it away to start a new one") from error
