"""Settings of a supervisor, from the environment and the command line; all errors are reported together."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taskstate.task import QUEUE_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RQ_WORKERS_MAX: Final = 256
DRAIN_GRACE_MAX_S: Final = 24 * 3600.0
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_FORMATS: Final = ("json", "text")

_MODULE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_WORKER_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_REDIS_URL: Final = re.compile(r"(redis|rediss|unix)://\S+")


class SettingsError(ValueError):
    """One or more settings are wrong; ``problems`` has a line for each, naming it and saying what would be right."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class SupervisorSettings:
    """What a supervisor needs to know. Make it with ``from_env``, which checks everything."""

    tasks: tuple[str, ...]
    """Modules that register tasks. Only RQ workers import them. TASKSTATE_TASKS, separated by commas."""
    queues: tuple[tuple[str, int], ...]
    """Queues, and how many RQ workers (one attempt at a time each) for each. TASKSTATE_QUEUES, as "default=2,agent"."""
    target: str
    """gRPC address of TaskState, several separated by commas. TASKSTATE_TARGET."""
    redis_url: str
    """Redis or Valkey of RQ. TASKSTATE_REDIS_URL."""
    worker_id: str
    """Name of this worker; may come back after a restart. TASKSTATE_WORKER_ID, the host's name unless set."""
    drain_grace_s: float
    """How long running attempts may go on after SIGTERM, in seconds. TASKSTATE_DRAIN_GRACE_SECONDS."""
    log_level: str
    log_format: str
    """"json" or "text". TASKSTATE_LOG_FORMAT."""

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        tasks: str | None = None,
        queues: str | None = None,
        default_tasks: str = "",
        default_queues: str = "default",
    ) -> SupervisorSettings:
        """Settings from the environment; ``tasks`` and ``queues``, as the command line gives them, win over it.

        Raises SettingsError, which names everything that is wrong.
        """
        environ = os.environ if environ is None else environ
        problems: list[str] = []

        def read(name: str, default: str, parse: Callable[[str], Any], given: str | None = None) -> Any:
            text = given if given is not None else environ.get(name) or default
            try:
                return parse(text)
            except ValueError as error:
                problems.append(f"{name}: {error}")
                return None

        settings = {
            "tasks": read("TASKSTATE_TASKS", default_tasks, parse_tasks, tasks),
            "queues": read("TASKSTATE_QUEUES", default_queues, parse_queues, queues),
            "target": read("TASKSTATE_TARGET", "127.0.0.1:50051", _not_empty),
            "redis_url": read("TASKSTATE_REDIS_URL", "redis://127.0.0.1:6379/0", _redis_url),
            "worker_id": read("TASKSTATE_WORKER_ID", _host_as_worker_id(), _worker_id),
            "drain_grace_s": read("TASKSTATE_DRAIN_GRACE_SECONDS", "30", _grace),
            "log_level": read("TASKSTATE_LOG_LEVEL", "INFO", lambda text: _one_of(text.upper(), LOG_LEVELS)),
            "log_format": read("TASKSTATE_LOG_FORMAT", "json", lambda text: _one_of(text.lower(), LOG_FORMATS)),
        }
        if problems:
            raise SettingsError(problems)
        return cls(**settings)

    @property
    def queue_of_each_slot(self) -> tuple[str, ...]:
        """One queue name for each RQ worker."""
        return tuple(name for name, count in self.queues for _ in range(count))


def parse_queues(text: str) -> tuple[tuple[str, int], ...]:
    """``default=2,agent`` as (("default", 2), ("agent", 1)). Raises ValueError, saying what would be right."""
    queues: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = part.partition("=")
        name, number = name.strip(), number.strip() if equals else "1"
        if not QUEUE_PATTERN.fullmatch(name):
            raise ValueError(f"the queue name {name!r} must match {QUEUE_PATTERN.pattern}")
        if not (number.isascii() and number.isdecimal()) or int(number) < 1:
            raise ValueError(f"{part!r}: the number of RQ workers must be 1 or more, as in default=2,agent")
        if name in queues:
            raise ValueError(f"the queue {name!r} is named twice")
        queues[name] = int(number)
    if not queues:
        raise ValueError("no queue is named; give for example default=2,agent")
    if sum(queues.values()) > RQ_WORKERS_MAX:
        raise ValueError(f"{sum(queues.values())} RQ workers are too many for one supervisor; {RQ_WORKERS_MAX} at most")
    return tuple(queues.items())


def parse_tasks(text: str) -> tuple[str, ...]:
    """Module names separated by commas. Raises ValueError for none, and for what is no module's name."""
    modules = tuple(dict.fromkeys(filter(None, (part.strip() for part in text.split(",")))))
    if not modules:
        raise ValueError("no module with tasks is named; give for example my_app.tasks,my_app.reports")
    for module in modules:
        if not _MODULE.fullmatch(module):
            raise ValueError(f"{module!r} is not the name of a module, such as my_app.tasks")
    return modules


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty; give host:port")
    return text.strip()


def _redis_url(text: str) -> str:
    if not _REDIS_URL.fullmatch(text):
        raise ValueError("must be a URL such as redis://127.0.0.1:6379/0 (or rediss://, unix://)")
    return text


def _worker_id(text: str) -> str:
    if not _WORKER_ID.fullmatch(text):
        raise ValueError(f"{text!r} must match {_WORKER_ID.pattern}")
    return text


def _host_as_worker_id() -> str:
    return re.sub(r"[^A-Za-z0-9_.:-]", "-", socket.gethostname())[:128].lstrip("_.:-") or "worker"


def _grace(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= DRAIN_GRACE_MAX_S:
        raise ValueError(f"{text!r} must be a number of seconds from 0 to {DRAIN_GRACE_MAX_S:.0f}")
    return seconds


def _one_of(text: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise ValueError(f"{text!r} must be one of {', '.join(choices)}")
    return text
