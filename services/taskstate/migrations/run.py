"""Bring a database to this version, one process at a time."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

_FOLDER = Path(__file__).parent
_LOCK = 7_238_114_905_316_001
"""The advisory lock under which migrations run: any number nobody else uses."""


class MigrationFailed(Exception):
    """The database could not be brought to this version; the message says why in one line."""


def migrate(database_url: str) -> str:
    """Run what is missing, under a lock, in one transaction; answers the migration the database is at then.

    Waits for another process that migrates. Safe to repeat. Raises MigrationFailed without a database, or for one that a
    newer version has migrated.
    """
    engine = create_engine(
        make_url(database_url).set(drivername="postgresql+psycopg2"),
        connect_args={"connect_timeout": 10, "application_name": "taskstate migrate"},
    )
    try:
        with engine.begin() as connection:
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            # A long-running reader must make the migration fail, not make everybody queue behind it.
            connection.execute(text("set local lock_timeout = '3s'"))
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return newest_migration()
    except (CommandError, SQLAlchemyError) as error:
        raise MigrationFailed(str(error).strip().splitlines()[0]) from error
    finally:
        engine.dispose()


def current_migration(connection: Connection) -> str | None:
    """The migration a database is at; None for an empty one."""
    if connection.execute(text("select to_regclass('alembic_version')")).scalar_one() is None:
        return None
    found: str | None = connection.execute(text("select version_num from alembic_version")).scalar_one_or_none()
    return found


@cache
def newest_migration() -> str:
    """The migration this version needs."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config
