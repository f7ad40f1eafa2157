"""A program for tests: serve PostgreSQL and Redis from a data folder until standard input ends.

`python tests/support/embedded_once.py DATA_FOLDER [MARK]` leaves MARK in both, if one is given, and writes one line of
JSON: what both hold by now, who runs them, and the pids. A program, because it has to run as another user, and be
killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import redis

from services.up.binaries import postgres_install, redis_server
from services.up.data_folder import DataFolder, open_data_folder
from services.up.embedded_postgres import EmbeddedPostgres
from services.up.embedded_redis import EmbeddedRedis
from services.up.port import free_port


def main() -> None:
    """Start both, tell, wait, stop both."""
    folder = open_data_folder(Path(sys.argv[1]))
    postgres = EmbeddedPostgres(postgres_install(folder), folder.servers, folder.account, folder.password, free_port())
    postgres.prepare()
    broker = EmbeddedRedis(
        redis_server(folder), folder.server_folder("redis"), folder.account, folder.password, free_port()
    )
    broker.prepare()
    processes = [_start(folder, server) for server in (postgres, broker)]
    for server, process in zip((postgres, broker), processes, strict=True):
        ready = server.wait_until_ready(lambda process=process: process.poll() is None)
        if not ready:
            sys.exit(f"no server: {(folder.logs / 'embedded.log').read_text(errors='replace')}")
    facts = {
        "postgres": _marks_in_postgres(postgres, sys.argv[2:]),
        "redis": _marks_in_redis(broker, sys.argv[2:]),
        "pids": [process.pid for process in processes],
        "owners": [Path(f"/proc/{process.pid}").stat().st_uid for process in processes],
        "servers": str(folder.servers),
        "uid": os.geteuid(),
    }
    print(json.dumps(facts), flush=True)
    sys.stdin.read()
    for process, how in zip(processes, (signal.SIGINT, signal.SIGTERM), strict=True):
        process.send_signal(how)
        process.wait(30)


def _start(folder: DataFolder, server: EmbeddedPostgres | EmbeddedRedis) -> subprocess.Popen[bytes]:
    with (folder.logs / "embedded.log").open("ab") as log:
        return subprocess.Popen(
            server.command(), env=server.environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _marks_in_postgres(server: EmbeddedPostgres, marks: list[str]) -> list[str]:
    with closing(psycopg2.connect(server.url("postgres"))) as connection, connection, connection.cursor() as cursor:
        cursor.execute("create table if not exists mark (text text)")
        for mark in marks:
            cursor.execute("insert into mark values (%s)", (mark,))
        cursor.execute("select text from mark order by 1")
        return [text for (text,) in cursor.fetchall()]


def _marks_in_redis(server: EmbeddedRedis, marks: list[str]) -> list[str]:
    with closing(redis.Redis.from_url(server.url(), decode_responses=True)) as client:
        for mark in marks:
            client.rpush("marks", mark)
        return list(client.lrange("marks", 0, -1))


if __name__ == "__main__":
    main()
