"""A PostgreSQL and a Redis-compatible server for one test session (one each per xdist worker), from services/up.

They run in a temporary folder, without fsync: a test's data need not survive a power cut.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from services.up.binaries import postgres_install, redis_server
from services.up.data_folder import DataFolder, open_data_folder
from services.up.embedded_postgres import EmbeddedPostgres
from services.up.embedded_redis import EmbeddedRedis
from services.up.port import free_port

Server = TypeVar("Server", EmbeddedPostgres, EmbeddedRedis)

FAST_SETTINGS = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=200",
    "shared_buffers=64MB",
    "autovacuum_naptime=10s",
)
_TRIES = 5


@contextlib.contextmanager
def temporary_data_folder() -> Iterator[DataFolder]:
    """Open a data folder directly below the temporary directory: pytest's own folders are closed to other users."""
    outer = Path(tempfile.mkdtemp(prefix="taskstate-tests-"))
    outer.chmod(0o711)
    folder = open_data_folder(outer / "data")
    try:
        yield folder
    finally:
        folder.close()
        shutil.rmtree(outer, ignore_errors=True)


@contextlib.contextmanager
def running_postgres(folder: DataFolder) -> Iterator[EmbeddedPostgres]:
    """Serve a fresh cluster until the end of the block."""

    def new_server() -> EmbeddedPostgres:
        install = postgres_install(folder)
        server = EmbeddedPostgres(install, folder.servers, folder.account, folder.password, free_port(), FAST_SETTINGS)
        server.prepare()
        return server

    with _running(new_server, folder.logs / "postgres.log", signal.SIGINT) as server:
        yield server


@contextlib.contextmanager
def running_redis(folder: DataFolder) -> Iterator[EmbeddedRedis]:
    """Serve an empty Redis until the end of the block; nothing is written to disk."""

    def new_server() -> EmbeddedRedis:
        program, home = redis_server(folder), folder.server_folder("redis")
        server = EmbeddedRedis(program, home, folder.account, folder.password, free_port(), append_only=False)
        server.prepare()
        return server

    with _running(new_server, folder.logs / "redis.log", signal.SIGTERM) as server:
        yield server


@contextlib.contextmanager
def _running(new_server: Callable[[], Server], log: Path, stop: signal.Signals) -> Iterator[Server]:
    for _ in range(_TRIES):
        server = new_server()
        with log.open("wb") as output:
            process = subprocess.Popen(
                server.command(),
                env=server.environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        # Somebody may have taken the free port between our look and the server's: then it ends, and we try another.
        if server.wait_until_ready(lambda process=process: process.poll() is None):  # type: ignore[misc]
            break
        _stop(process, signal.SIGKILL)
    else:
        raise AssertionError(f"server did not start:\n{log.read_text(errors='replace')[-2000:]}")
    try:
        yield server
    finally:
        _stop(process, stop)


def _stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    if process.poll() is None:
        os.kill(process.pid, how)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
