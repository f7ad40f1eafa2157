"""The shared fixtures give each test servers of its own kind: fresh databases, an empty Redis."""

from __future__ import annotations

from contextlib import closing

import psycopg2
import redis


def _tables(url: str) -> set[str]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("select tablename from pg_tables where schemaname = 'public'")
        return {name for (name,) in cursor.fetchall()}


def test_an_empty_database_has_no_tables(empty_database_url: str) -> None:
    assert _tables(empty_database_url) == set()


def test_a_migrated_database_has_the_tables(database_url: str) -> None:
    assert "alembic_version" in _tables(database_url)


def test_two_databases_of_one_test_are_apart(database_url: str, empty_database_url: str) -> None:
    assert database_url != empty_database_url


def test_redis_is_empty(redis_url: str) -> None:
    with closing(redis.Redis.from_url(redis_url)) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_redis_is_empty_again(redis_url: str) -> None:
    with closing(redis.Redis.from_url(redis_url)) as client:
        assert client.dbsize() == 0
