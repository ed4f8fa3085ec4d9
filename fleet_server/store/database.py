"""SQLite with one writer thread that commits in groups, and readers that never wait for it.

A piece of work is a function of a connection. `write` runs it in the writer's thread inside
`BEGIN IMMEDIATE`, in a savepoint of its own, and returns after the commit is on disk
(`synchronous=FULL`); work that waits together shares one commit. SQLAlchemy's own default for
SQLite loses concurrent updates silently, hence the explicit `BEGIN`.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.dialects.sqlite import insert

from fleet_server.errors import FleetError
from fleet_server.store import schema
from fleet_server.store.upgrade import upgrade

T = TypeVar("T")
Work = Callable[[Connection], T]
GROUP_MAX = 256
BUSY_TIMEOUT_S = 10
_LOG = logging.getLogger(__name__)


class Change(str, Enum):
    """What a piece of work may say it changed, for those who react after the commit."""

    OUTBOX = "outbox"
    ROLLOUTS = "rollouts"
    CREDENTIALS = "credentials"


class _Job(NamedTuple):
    work: Work[Any]
    future: Future[Any]


def mark(connection: Connection, change: Change) -> None:
    """Say inside a piece of work what it changes; listeners hear it after the commit."""
    connection.info.setdefault("changes", set()).add(change)


class Database:
    """The server's database; open it in a `with` block."""

    def __init__(self, path: Path) -> None:
        """Open (or create) the database file and bring its tables up to date."""
        self._writer = _engine(path, "BEGIN IMMEDIATE")
        self._reader = _engine(path, "BEGIN")
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self._listeners: list[tuple[Change, Callable[[], None]]] = []
        with self._writer.begin() as connection:
            upgrade(connection)
        self._thread = threading.Thread(target=self._run, name="database-writer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Open for a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close at the end of a `with` block."""
        self.close()

    def close(self) -> None:
        """Finish the work that waits, then close."""
        self._jobs.put(None)
        self._thread.join()
        self._writer.dispose()
        self._reader.dispose()

    def listen(self, change: Change, callback: Callable[[], None]) -> None:
        """Call `callback` (in the writer's thread) after each commit that marked `change`."""
        self._listeners.append((change, callback))

    def read(self, work: Work[T]) -> T:
        """Run `work` on one consistent snapshot; it may not write."""
        with self._reader.begin() as connection:
            return work(connection)

    async def read_async(self, work: Work[T]) -> T:
        """`read` in a thread."""
        return await asyncio.to_thread(self.read, work)

    def submit(self, work: Work[T]) -> "Future[T]":
        """Queue `work` for the writer, in order; the future is done after the commit."""
        if not self._thread.is_alive():
            raise FleetError("the database is closed")
        future: Future[T] = Future()
        self._jobs.put(_Job(work, future))
        return future

    def write(self, work: Work[T]) -> T:
        """Run `work` in the writer and wait for the commit."""
        return self.submit(work).result()

    async def write_async(self, work: Work[T]) -> T:
        """`write` without blocking the event loop."""
        return await asyncio.wrap_future(self.submit(work))

    def _run(self) -> None:
        with self._writer.connect() as connection:
            open_ = True
            while open_:
                jobs, open_ = self._take()
                if jobs:
                    self._commit_group(connection, jobs)

    def _take(self) -> tuple[list[_Job], bool]:
        jobs: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            if job.future.set_running_or_notify_cancel():
                jobs.append(job)
            if len(jobs) >= GROUP_MAX:
                return jobs, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, True
        return jobs, False

    def _commit_group(self, connection: Connection, jobs: list[_Job]) -> None:
        connection.info["changes"] = set()
        outcomes: list[tuple[_Job, Any, BaseException | None]] = []
        try:
            with connection.begin():
                outcomes.extend((job, *_run_one(connection, job.work)) for job in jobs)
        except Exception as error:  # noqa: BLE001  (each caller gets it through its future)
            outcomes = [(job, None, error) for job in jobs]
        self._tell(connection.info.pop("changes", set()))  # first: who asked may build on what listeners do
        for job, result, failure in outcomes:
            if failure is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(failure)

    def _tell(self, changes: set[Change]) -> None:
        for change, callback in self._listeners:
            if change in changes:
                try:
                    callback()
                except RuntimeError:  # the event loop of the listener has ended
                    _LOG.debug("a listener for %s is gone", change.value)


def _run_one(connection: Connection, work: Work[Any]) -> tuple[Any, BaseException | None]:
    try:
        with connection.begin_nested():
            return work(connection), None
    except Exception as error:  # noqa: BLE001  (the caller gets it through its future)
        return None, error


def _engine(path: Path, begin: str) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401  (a DBAPI connection)
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_S * 1000}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def get_fact(connection: Connection, name: str) -> str | None:
    """A single value that the server keeps about itself, e.g. the fleet's name."""
    return connection.scalar(select(schema.facts.c.value).where(schema.facts.c.name == name))


def set_fact(connection: Connection, name: str, value: str) -> None:
    """Write such a value."""
    statement = insert(schema.facts).values(name=name, value=value)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))
