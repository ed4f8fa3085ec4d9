import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from fleet_server.devices.commands import CommandQuery, list_commands
from fleet_server.errors import SetupError
from fleet_server.samples.listing import SampleQuery, list_samples
from fleet_server.store import schema
from fleet_server.store.database import Change, Database, get_fact, mark, set_fact
from fleet_server.store.upgrade import upgrade
from fleet_server.telemetry import list_events

OLD_DATABASE = Path(__file__).parents[2] / "golden" / "fleet_database_1.sql"


def test_the_migrations_give_the_tables_of_the_schema():
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        upgrade(connection)
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
    engine.dispose()
    assert differences == []


def test_a_database_of_a_newer_server_is_refused(tmp_path):
    path = tmp_path / "fleet.sqlite"
    with Database(path) as database:
        database.write(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(SetupError, match=r"9999.*0002"):
        Database(path)


def test_concurrent_read_modify_write_loses_nothing(database):
    database.write(lambda connection: set_fact(connection, "count", "0"))

    def add(connection):
        set_fact(connection, "count", str(int(get_fact(connection, "count")) + 1))

    threads = [threading.Thread(target=lambda: [database.write(add) for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.read(lambda connection: get_fact(connection, "count")) == "100"


def test_work_that_fails_takes_nothing_else_with_it(database):
    release = threading.Event()
    blocked = database.submit(lambda _connection: release.wait(5))  # what follows shares one commit

    def half(connection):
        set_fact(connection, "half", "written")
        raise ValueError("broken")

    first = database.submit(lambda connection: set_fact(connection, "first", "1"))
    broken = database.submit(half)
    last = database.submit(lambda connection: set_fact(connection, "last", "1"))
    release.set()
    blocked.result(5)
    first.result(5)
    last.result(5)
    with pytest.raises(ValueError, match="broken"):
        broken.result(5)
    names = ("first", "half", "last")
    assert database.read(lambda connection: [get_fact(connection, name) for name in names]) == ["1", None, "1"]


def test_a_reader_sees_one_snapshot_while_the_writer_goes_on(database):
    database.write(lambda connection: set_fact(connection, "value", "old"))

    def look(connection):
        before = get_fact(connection, "value")
        database.write(lambda writer: set_fact(writer, "value", "new"))
        return before, get_fact(connection, "value")

    assert database.read(look) == ("old", "old")
    assert database.read(lambda connection: get_fact(connection, "value")) == "new"


def test_a_listener_hears_of_a_change_after_its_commit_only(database):
    seen = []
    database.listen(Change.OUTBOX, lambda: seen.append(database.read(lambda connection: get_fact(connection, "x"))))

    def change(connection):
        set_fact(connection, "x", "1")
        mark(connection, Change.OUTBOX)

    database.write(change)
    database.write(lambda connection: set_fact(connection, "x", "2"))
    assert seen == ["1"]


def test_every_commit_is_flushed_to_disk(database):
    assert database.write(lambda connection: connection.exec_driver_sql("PRAGMA synchronous").scalar()) == 2
    assert database.write(lambda connection: connection.exec_driver_sql("PRAGMA journal_mode").scalar()) == "wal"


def test_a_database_of_the_first_schema_is_brought_up_to_date_and_keeps_what_it_holds(tmp_path):
    path = tmp_path / "fleet.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(OLD_DATABASE.read_text())
    with Database(path) as database:
        (event,) = database.read(lambda connection: list_events(connection, 0, "pi-01", 10)).events
        assert event.text == "the agent started"
        assert database.read(lambda connection: list_samples(connection, SampleQuery(), 0, 10)) == []
        assert database.read(lambda connection: list_commands(connection, CommandQuery(), 10, 0.0)) == []
