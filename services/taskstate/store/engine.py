"""Connections to PostgreSQL, with the time-outs that keep one frozen process from stopping all others.

A replica that is frozen inside its transaction holds the revision row, and with it the order of everything: without
`idle_in_transaction_session_timeout` it blocks all writers for ever (tried), with it they stand still for 2 s.
"""

from __future__ import annotations

from typing import Any

import psycopg2
from psycopg2 import extensions
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

NOTIFY_CHANNEL = "taskstate"
CONNECT_TIMEOUT_S = 3
_UUID_OID = 2950
_UUID_ARRAY_OID = 2951
_SESSION_OPTIONS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "statement_timeout": "5s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "2s",
        "timezone": "UTC",
        "jit": "off",
    }.items()
)


def connect_arguments(application_name: str) -> dict[str, Any]:
    """What every connection is opened with; the TCP settings bound how long a vanished server is waited for."""
    return {
        "application_name": application_name,
        "connect_timeout": CONNECT_TIMEOUT_S,
        "options": _SESSION_OPTIONS,
        "tcp_user_timeout": 5000,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }


def open_engine(database_url: str, application_name: str, pool_size: int) -> Engine:
    """An engine of at most `pool_size` connections; a caller waits at most 5 s for one. READ COMMITTED."""
    engine = create_engine(
        make_url(database_url).set(drivername="postgresql+psycopg2"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        connect_args=connect_arguments(application_name),
    )
    event.listen(engine, "connect", _read_uuids_as_text)
    return engine


def _read_uuids_as_text(connection: extensions.connection, _record: object) -> None:
    """A task's id is text everywhere above SQL; SQLAlchemy's dialect makes psycopg2 answer UUID objects unless told so."""
    as_text = extensions.new_type((_UUID_OID,), "UUID_AS_TEXT", lambda value, _cursor: value)
    extensions.register_type(as_text, connection)
    extensions.register_type(extensions.new_array_type((_UUID_ARRAY_OID,), "UUID_AS_TEXT[]", as_text), connection)


def open_listener(database_url: str) -> extensions.connection:
    """A plain connection that LISTENs for commits of all replicas. Blocks up to 3 s; raises psycopg2.OperationalError."""
    dsn = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection: extensions.connection = psycopg2.connect(dsn, **connect_arguments("taskstate listen"))
    connection.set_session(autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute(f"listen {NOTIFY_CHANNEL}")
    return connection
