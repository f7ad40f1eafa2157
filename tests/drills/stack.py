"""A whole stack of the drill's own: PostgreSQL, Valkey, TaskState replicas, schedulers and supervisors."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from taskstate.client import TaskStateClient
from taskstate.errors import TaskStateError

from services.taskstate.migrations.run import migrate
from services.up.binaries import postgres_install, redis_server
from services.up.data_folder import DataFolder
from services.up.embedded_postgres import EmbeddedPostgres
from services.up.embedded_redis import EmbeddedRedis
from services.up.port import free_port
from tests.support.processes import Process, Processes
from tests.support.servers import temporary_data_folder
from tests.support.waiting import wait_until

T = TypeVar("T")

SHORT = {
    "TASKSTATE_STREAM_GRACE_SECONDS": "0.5",
    "TASKSTATE_SWEEP_INTERVAL_SECONDS": "0.2",
    "TASKSTATE_LEASE_TTL_SECONDS": "4",
    "TASKSTATE_HEARTBEAT_INTERVAL_SECONDS": "0.5",
}
"""Settings for `make test`: the same mechanisms, in less time."""


class Server:
    """A PostgreSQL or a Valkey that can be stopped in the way the drill wants, and started again on its port and data."""

    def __init__(self, server: EmbeddedPostgres | EmbeddedRedis) -> None:
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None
        server.prepare()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        process = subprocess.Popen(
            self._server.command(),
            env=self._server.environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._process = process
        assert self._server.wait_until_ready(lambda: process.poll() is None), "the server did not start"

    def stop(self, how: signal.Signals) -> None:
        """Stop it, and wait for its end. For PostgreSQL SIGINT is "fast", SIGQUIT is "immediate", as after a crash."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(20)


@dataclass
class Stack:
    """What a drill harms. `env` holds the settings all processes share."""

    processes: Processes
    postgres: Server
    redis: Server
    env: dict[str, str]
    ports: list[int] = field(default_factory=list)
    replicas: list[Process] = field(default_factory=list)
    schedulers: list[Process] = field(default_factory=list)
    workers: list[Process] = field(default_factory=list)

    @property
    def targets(self) -> str:
        """The addresses of all replicas."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def client(self) -> TaskStateClient:
        """A client of all replicas."""
        return TaskStateClient(self.targets, actor="drill", timeout_s=20)

    def start_replica(self, index: int) -> None:
        """Start a replica, or start it again on its port."""
        env = self.env | {"TASKSTATE_GRPC_PORT": str(self.ports[index])}
        process = self.processes.start("services.taskstate", env=env)
        self.replicas[index:] = [process, *self.replicas[index + 1 :]]

    def start_scheduler(self) -> None:
        """Start one more scheduler."""
        env = self.env | {"TASKSTATE_TARGET": self.targets, "TASKSTATE_SCHEDULER_PORT": "0"}
        self.schedulers.append(self.processes.start("services.scheduler", env=env))

    def start_worker(self, queues: str = "default=2") -> Process:
        """Start one more supervisor."""
        env = self.env | {
            "TASKSTATE_TARGET": self.targets,
            "TASKSTATE_WORKER_ID": f"drill-{len(self.workers)}",
            "TASKSTATE_TASKS": "workers.canary",
        }
        worker = self.processes.start("workers", "--queues", queues, env=env)
        self.workers.append(worker)
        return worker

    def wait_ready(self) -> None:
        """Wait until a task runs from one end to the other."""
        with self.client() as client:
            task = eventually(lambda: client.create("canary", {"seconds": 0, "steps": 1}))
            client.wait(task.task_id, timeout=60)


def eventually(call: Callable[[], T], timeout_s: float = 60) -> T:
    """The answer of a call that may fail with UNAVAILABLE for a while, as after a restart."""

    def attempt() -> list[T]:
        try:
            return [call()]
        except TaskStateError as error:
            if error.code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
                raise
            return []

    return wait_until(attempt, timeout_s, what="an answer of TaskState")[0]


@contextlib.contextmanager
def running_stack(
    settings: dict[str, str], replicas: int = 2, schedulers: int = 2, workers: tuple[str, ...] = ("default=2",)
) -> Iterator[Stack]:
    """Start a whole stack; everything it started is gone at the end."""
    with temporary_data_folder() as folder, Processes() as processes:
        stack = _stack(folder, processes, settings)
        try:
            stack.ports = [free_port() for _ in range(replicas)]
            for index in range(replicas):
                stack.start_replica(index)
            for _ in range(schedulers):
                stack.start_scheduler()
            for queues in workers:
                stack.start_worker(queues)
            stack.wait_ready()
            yield stack
        finally:
            for process in (*stack.workers, *stack.schedulers, *stack.replicas):
                process.kill()
            stack.redis.stop(signal.SIGTERM)
            stack.postgres.stop(signal.SIGINT)


def _stack(folder: DataFolder, processes: Processes, settings: dict[str, str]) -> Stack:
    account, password = folder.account, folder.password
    database = EmbeddedPostgres(postgres_install(folder), folder.servers, account, password, free_port())
    broker = EmbeddedRedis(redis_server(folder), folder.server_folder("redis"), account, password, free_port())
    postgres, redis = Server(database), Server(broker)
    postgres.start()
    redis.start()
    database.ensure_database("drill")
    url = database.url("drill")
    migrate(url)
    quiet = {"TASKSTATE_LOG_FORMAT": "json", "TASKSTATE_DATABASE_URL": url, "TASKSTATE_REDIS_URL": broker.url()}
    return Stack(processes, postgres, redis, quiet | settings)


def descendants(pid: int) -> list[int]:
    """A process and all below it that still live, the process first. Zombies count as gone."""
    children: dict[int, list[int]] = {}
    for one in process_ids():
        parent = _parent(one)
        if parent is not None:
            children.setdefault(parent, []).append(one)
    found = [pid] if _parent(pid) is not None else []
    for one in found:
        found.extend(children.get(one, ()))
    return found


def process_ids() -> list[int]:
    """All processes of this machine."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def is_gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    return _parent(pid) is None


def _parent(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[1])
