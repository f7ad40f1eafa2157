"""The stack: which parts there are, in which order they start and stop, and what each is told by its environment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from services.up.account import launch_command
from services.up.binaries import postgres_install, redis_server
from services.up.connections import remove_connections, write_connections
from services.up.data_folder import DataFolder
from services.up.embedded_postgres import EmbeddedPostgres
from services.up.embedded_redis import EmbeddedRedis
from services.up.part import Part, PartSpec
from services.up.port import claim_port, free_port
from services.up.problem import CannotStartError
from services.up.readiness import grpc_is_serving, http_is_ready
from services.up.settings import CHECKOUT, UpSettings

Server = TypeVar("Server", EmbeddedPostgres, EmbeddedRedis)

DATABASE = "taskstate"
_READY_TIMEOUT_S = 60.0
_PORT_TRIES = 3
# A part's grace to stop, on top of what it gives to running tasks.
_STOP_MARGIN_S = 5.0
# Variables of the `make` that may have started us; a task that runs make itself must not inherit its flags.
_NOT_PASSED_ON = frozenset({"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"})


@dataclass(frozen=True)
class Addresses:
    """Where the stack serves."""

    host: str
    grpc_port: int
    http_port: int

    @property
    def grpc(self) -> str:
        """Target of gRPC clients."""
        return f"{self._host_in_url}:{self.grpc_port}"

    @property
    def http(self) -> str:
        """The gateway's address."""
        return f"http://{self._host_in_url}:{self.http_port}"

    @property
    def _host_in_url(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


class Stack:
    """Everything that `up` runs. `prepare()`, `start()`, then it keeps itself running until `stop()`."""

    def __init__(self, settings: UpSettings, folder: DataFolder, notice: Callable[[str, str], None]) -> None:
        """`notice(part, text)` is told about warnings, deaths and restarts of the parts."""
        self._settings = settings
        self.folder = folder
        self._notice = notice
        self._parts: list[Part] = []
        self._postgres_install = self._redis_program = Path()
        # What runs where, by part, for the summary.
        self.servers: dict[str, str] = {}
        self.hurry = asyncio.Event()
        self.database_url = settings.database_url or ""
        self.redis_url = settings.redis_url or ""
        self.addresses = Addresses(_reachable(settings.bind_host), settings.grpc_port, settings.http_port)

    @property
    def queues(self) -> str:
        """Queue specification of the supervisor."""
        return self._settings.queues

    async def prepare(self) -> None:
        """Look whether the ports are free and the servers' programs there. Starts nothing; raises CannotStartError."""
        self._claim_ports()
        if not self.database_url:
            self._postgres_install = await asyncio.to_thread(postgres_install, self.folder)
        if not self.redis_url:
            self._redis_program = await asyncio.to_thread(redis_server, self.folder)

    async def start(self) -> None:
        """Start all parts, each when what it needs is ready. Raises CannotStartError; call `stop()` also then."""
        servers = [] if self.database_url else [self._start_postgres()]
        servers += [] if self.redis_url else [self._start_redis()]
        await _together(*servers)
        await self._migrate()
        target = self.addresses.grpc
        await self._start_service("taskstate", "services.taskstate", lambda: asyncio.to_thread(grpc_is_serving, target))
        await _together(
            self._start_service("scheduler", "services.scheduler"), self._start_gateway(), self._start_workers()
        )
        write_connections(self.folder.path, {"TASKSTATE_REDIS_URL": self.redis_url, "TASKSTATE_TARGET": target})

    async def stop(self) -> None:
        """Stop all parts in the reverse order of their start: nobody loses what it still needs. Idempotent."""
        order = ("workers", "scheduler", "gateway", "migrate", "taskstate", "redis", "postgres")
        for part in sorted(self._parts, key=lambda part: order.index(part.name)):
            await part.stop(self.hurry)
        remove_connections(self.folder.path)

    def _claim_ports(self) -> None:
        """Settle the ports before anything runs: a taken one is refused at once, a part that restarts keeps its own."""
        settings = self._settings
        http_port = claim_port(settings.bind_host, settings.http_port, "TASKSTATE_HTTP_PORT")
        grpc_port = claim_port(settings.bind_host, settings.grpc_port, "TASKSTATE_GRPC_PORT")
        self.addresses = Addresses(_reachable(settings.bind_host), grpc_port, http_port)

    async def _start_postgres(self) -> None:
        def new_server() -> EmbeddedPostgres:
            folder, install = self.folder, self._postgres_install
            return EmbeddedPostgres(install, folder.servers, folder.account, folder.password, free_port())

        # SIGINT is PostgreSQL's fast shutdown: it ends sessions and writes a checkpoint.
        server = await self._start_server("postgres", new_server, signal.SIGINT)
        self.servers["postgres"] = f"127.0.0.1:{server.port}"
        await asyncio.to_thread(server.ensure_database, DATABASE)
        self.database_url = server.url(DATABASE)

    async def _start_redis(self) -> None:
        home = self.folder.server_folder("redis")

        def new_server() -> EmbeddedRedis:
            folder, program = self.folder, self._redis_program
            return EmbeddedRedis(program, home, folder.account, folder.password, free_port())

        server = await self._start_server("redis", new_server, signal.SIGTERM)
        self.servers["redis"] = f"127.0.0.1:{server.port}"
        self.redis_url = server.url()

    async def _start_server(self, name: str, new_server: Callable[[], Server], stop: signal.Signals) -> Server:
        """Start an embedded server; on another port if somebody took the one that was free a moment ago."""
        tries = 0
        while True:
            server = new_server()
            await asyncio.to_thread(server.prepare)
            part = self._part(name, server.command(), server.environment, Path("/"), stop)
            try:
                await part.wait_until_ready(partial(asyncio.to_thread, server.is_ready), _READY_TIMEOUT_S)
            except CannotStartError:
                tries += 1
                await part.stop(self.hurry)
                self._parts.remove(part)
                if tries == _PORT_TRIES:
                    raise
            else:
                return server

    async def _migrate(self) -> None:
        part = self._python_part("migrate", ["services.taskstate", "migrate"])
        await part.wait_until_ended()
        await part.stop(self.hurry)
        self._parts.remove(part)

    async def _start_service(
        self, name: str, module: str, is_ready: Callable[[], Awaitable[bool]] | None = None
    ) -> None:
        """Start a Python part and wait for it; without a question of its own, for its `ready` log line."""
        part = self._python_part(name, [module])
        await part.wait_until_ready(is_ready or _has_said(part, "ready"), _READY_TIMEOUT_S)

    async def _start_gateway(self) -> None:
        host, port = self.addresses.host, self.addresses.http_port
        await self._start_service("gateway", "services.gateway", lambda: asyncio.to_thread(http_is_ready, host, port))

    async def _start_workers(self) -> None:
        part = self._python_part("workers", ["workers", "--queues", self._settings.queues])
        await part.wait_until_ready(_has_said(part, "session_up"), _READY_TIMEOUT_S)

    def _python_part(self, name: str, module: list[str]) -> Part:
        command = launch_command([sys.executable, "-m", *module], None)
        return self._part(name, command, self._environment(), CHECKOUT, signal.SIGTERM)

    def _part(
        self, name: str, command: list[str], environment: Mapping[str, str], folder: Path, stop: signal.Signals
    ) -> Part:
        grace = self._settings.drain_grace_seconds + _STOP_MARGIN_S
        spec = PartSpec(name, command, environment, folder, self.folder.logs, stop, grace)
        part = Part(spec, self._notice)
        # Listed before it runs, so that a stop in between finds it.
        self._parts.append(part)
        part.start()
        return part

    def _environment(self) -> dict[str, str]:
        """Our environment with what the stack decides on top: a setting for one part reaches it untouched."""
        passed_on = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
        return {
            **passed_on,
            "PYTHONUNBUFFERED": "1",
            "TASKSTATE_BIND_HOST": self._settings.bind_host,
            "TASKSTATE_DATABASE_URL": self.database_url,
            "TASKSTATE_DATA_DIR": str(self.folder.path),
            "TASKSTATE_DRAIN_GRACE_SECONDS": f"{self._settings.drain_grace_seconds:g}",
            "TASKSTATE_GRPC_PORT": str(self.addresses.grpc_port),
            "TASKSTATE_HTTP_PORT": str(self.addresses.http_port),
            "TASKSTATE_LOG_FORMAT": "json",
            "TASKSTATE_REDIS_URL": self.redis_url,
            # Its health port is for Kubernetes; a fixed one would be one more port that can be taken.
            "TASKSTATE_SCHEDULER_PORT": passed_on.get("TASKSTATE_SCHEDULER_PORT", "0"),
            "TASKSTATE_TARGET": self.addresses.grpc,
        }


async def _together(*steps: Coroutine[None, None, None]) -> None:
    """Run the steps at once; if one fails, the others are cancelled and its problem is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except ExceptionGroup as problems:
        raise problems.exceptions[0] from None


def _has_said(part: Part, event: str) -> Callable[[], Awaitable[bool]]:
    async def has_said() -> bool:
        return event in part.events_seen

    return has_said


def _reachable(bind_host: str) -> str:
    """The address at which clients on this machine find a server that is bound to `bind_host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(bind_host, bind_host)  # noqa: S104 - a comparison
