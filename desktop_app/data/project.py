"""A project: one relocatable folder with a document, a catalogue (SQLite) and content-addressed blobs.

Nothing inside names an absolute path, so the folder may be moved, copied or zipped.
"""

import contextlib
import re
import shutil
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from contract.codec import decode, encode, utc_now
from contract.errors import ContractError
from contract.files import read_bounded, write_atomic
from contract.names import is_sha256
from desktop_app.errors import DataError, ProjectError

if TYPE_CHECKING:
    from desktop_app.data.database import Database

TASK_NAMES = ("image-classification", "tabular-classification")
DOCUMENT_NAME = "project.json"
CATALOGUE_NAME = "catalogue.sqlite"
CATALOGUE_SCHEMA_VERSION = 1
DOCUMENT_MAX_BYTES = 1 << 20
NAME_MAX_LENGTH = 100
BUSY_TIMEOUT_S = 20.0


class ProjectDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """`project.json`."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    id: str
    name: str
    task: str
    created_at: str
    settings: dict[str, Any] = {}


class Project:
    """An open project; a context manager. Safe to use from several threads, each has its own connection."""

    def __init__(self, folder: Path, document: ProjectDocument) -> None:
        self.folder = folder
        self.document = document
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    @property
    def id(self) -> str:
        """Random identifier, made with the project."""
        return self.document.id

    @property
    def name(self) -> str:
        """Free text, to be shown as plain text."""
        return self.document.name

    @property
    def task(self) -> str:
        """`image-classification` or `tabular-classification`."""
        return self.document.task

    @property
    def db(self) -> "Database":
        """The catalogue, through this thread's connection. For several writes use `transaction`."""
        found: Database | None = getattr(self._local, "db", None)
        if found is None:
            found = self._local.db = self._connect()
        return found

    def _connect(self) -> "Database":
        from desktop_app.data.database import Database

        connection = sqlite3.connect(self.folder / CATALOGUE_NAME, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")
        with self._lock:
            self._connections.append(connection)
        return Database(connection)

    @contextlib.contextmanager
    def transaction(self) -> Iterator["Database"]:
        """All writes inside happen or none; the write lock is taken at once, so nothing is lost to a race."""
        db = self.db
        db.conn.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.conn.execute("ROLLBACK")
            raise
        db.conn.execute("COMMIT")

    def blob_path(self, sha256: str) -> Path:
        """Where the original with this digest lies.

        Raises:
            DataError: `sha256` is no digest (so that it can not lead out of the folder).
        """
        if not is_sha256(sha256):
            raise DataError(f"{sha256[:80]!r} is no SHA-256 in lower-case hexadecimal")
        return self.folder / "blobs" / sha256[:2] / sha256

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()

    def __enter__(self) -> "Project":  # noqa: PYI034  (typing.Self is not in Python 3.10)
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close."""
        self.close()


def create_project(folder: Path, name: str, task: str) -> Project:
    """Make a project in `folder` (made too where absent; files that lie there stay) and open it.

    Raises:
        ProjectError: there is one already, the name or the task is not valid, or the folder can not be written.
    """
    _check_name(name)
    if task not in TASK_NAMES:
        raise ProjectError(f"there is no task {task!r}; known tasks: {', '.join(TASK_NAMES)}")
    if (folder / DOCUMENT_NAME).exists():
        raise ProjectError(f"{folder} holds a project already", "Open it, or choose another folder.")
    document = ProjectDocument(1, uuid.uuid4().hex, name, task, utc_now())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _create_catalogue(folder / CATALOGUE_NAME)
        write_atomic(folder / DOCUMENT_NAME, encode(document))  # last: without it, it is no project
    except OSError as error:
        raise ProjectError(f"a project can not be made in {folder}: {error.strerror or error}") from error
    return Project(folder, document)


def _check_name(name: str) -> None:
    if not 1 <= len(name.strip()) <= NAME_MAX_LENGTH or re.search(r"[\x00-\x1f\x7f]", name):
        raise ProjectError(f"a project's name has 1 to {NAME_MAX_LENGTH} characters and none that control a terminal; got {name[:120]!r}")


def _create_catalogue(path: Path) -> None:
    """Make the catalogue; one that a broken-off attempt left behind is made anew."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    schema = resources.files("desktop_app.data").joinpath(f"schema/{CATALOGUE_SCHEMA_VERSION}.sql").read_text(encoding="utf-8")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN; {schema} PRAGMA user_version = {CATALOGUE_SCHEMA_VERSION}; COMMIT;")


def open_project(folder: Path) -> Project:
    """Open the project in `folder`.

    Raises:
        ProjectError: there is none, it is broken, or a newer studio wrote it (the message has both numbers).
    """
    path = folder / DOCUMENT_NAME
    try:
        document = decode(read_bounded(path, DOCUMENT_MAX_BYTES), ProjectDocument, DOCUMENT_NAME, DOCUMENT_MAX_BYTES)
    except FileNotFoundError as error:
        advice = "Make one with `eyelet-studio new`, or import a folder, which makes one too."
        raise ProjectError(f"{folder} is no project: it has no {DOCUMENT_NAME}", advice) from error
    except OSError as error:
        raise ProjectError(f"the project in {folder} can not be read: {error.strerror or error}") from error
    except ContractError as error:
        raise ProjectError(f"the project in {folder} can not be opened: {error}") from error
    _check_catalogue(folder / CATALOGUE_NAME)
    return Project(folder, document)


def remove_empty_project(folder: Path) -> bool:
    """Remove a project that holds nothing (after a first import that failed); files that are not its own stay.

    Returns:
        Whether it was removed; one with samples, versions or imports never is.
    """
    with open_project(folder) as project:
        tables = ("samples", "imports", "versions")
        if any(project.db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in tables):  # noqa: S608  (constants)
            return False
    (folder / DOCUMENT_NAME).unlink(missing_ok=True)
    for suffix in ("", "-wal", "-shm"):
        (folder / f"{CATALOGUE_NAME}{suffix}").unlink(missing_ok=True)
    shutil.rmtree(folder / "blobs", ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
    return True


def _check_catalogue(path: Path) -> None:
    """Refuse a catalogue that is missing, no SQLite file, or newer than this program."""
    if not path.is_file():
        raise ProjectError(f"the project lacks its {CATALOGUE_NAME}", "Restore the project from a backup.")
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
            found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError as error:
        raise ProjectError(f"{CATALOGUE_NAME} is damaged or no SQLite file: {error}", "Restore the project from a backup.") from error
    if found > CATALOGUE_SCHEMA_VERSION:
        raise ProjectError(
            f"{CATALOGUE_NAME} has schema version {found}; this studio reads up to {CATALOGUE_SCHEMA_VERSION}",
            "Update the studio; the project was not changed.",
        )
    if found < 1:
        raise ProjectError(f"{CATALOGUE_NAME} has schema version {found}, expected 1 to {CATALOGUE_SCHEMA_VERSION}: it is not Eyelet's")
