"""Bring a database to the newest schema with the packaged Alembic migrations."""

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from fleet_server.errors import SetupError

LOCATION = "fleet_server.store:migrations"


def migration_config(connection: Connection) -> Config:
    """Alembic's configuration for an open connection."""
    config = Config()
    config.set_main_option("script_location", LOCATION)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, inside the caller's transaction.

    Raises:
        SetupError: the database was written by a newer server.
    """
    config = migration_config(connection)
    found = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(config)
    known = [script.revision for script in scripts.walk_revisions()]
    if found is not None and found not in known:
        raise SetupError(
            f"the database has schema revision {found}; this server knows up to {scripts.get_current_head()}",
            "Update this server, or start it with the data folder of its own version.",
        )
    if found != scripts.get_current_head():
        command.upgrade(config, "head")
