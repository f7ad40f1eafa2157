"""`taskstate worker`: a supervisor with its RQ workers, in the foreground."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from taskstate.cli import options
from taskstate.cli.exit_codes import ExitCode
from taskstate.cli.local_stack import local_connections


def worker(
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--tasks", metavar="MODULE", help="Module that registers tasks; may be repeated. TASKSTATE_TASKS."
        ),
    ] = None,
    queues: Annotated[
        str | None,
        typer.Option(
            "--queues", metavar="SPEC", help="Queues and how many at once: default=2,agent. TASKSTATE_QUEUES."
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option("--processes", min=1, help="How many at once for queues that do not say it themselves.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Log JSON lines, also to a terminal.")] = False,
    target: options.Target = None,
) -> None:
    """Run a worker until Ctrl-C or SIGTERM; running tasks then get their grace."""
    from taskstate.worker import SettingsError, SupervisorSettings, run_supervisor

    try:
        settings = SupervisorSettings.from_env(
            _environment(target, as_json=as_json),
            tasks=",".join(tasks) if tasks else None,
            queues=with_processes(queues or os.environ.get("TASKSTATE_QUEUES") or "default", processes),
        )
    except SettingsError as error:
        from taskstate.cli.output import complain

        for problem in error.problems:
            complain(problem)
        raise typer.Exit(ExitCode.USAGE) from error
    raise typer.Exit(run_supervisor(settings))


def with_processes(queues: str, processes: int) -> str:
    """The queue spec with a number for each queue that gives none: "default,agent=1" and 2 is "default=2,agent=1"."""
    parts = [part.strip() for part in queues.split(",") if part.strip()]
    return ",".join(part if "=" in part else f"{part}={processes}" for part in parts)


def _environment(target: str | None, *, as_json: bool) -> dict[str, str]:
    environment = dict(os.environ)
    if not environment.get("TASKSTATE_REDIS_URL"):
        # Beside `taskstate up`: its Redis has a port and a password that nobody chose.
        environment = local_connections() | environment
    if target is not None:
        environment["TASKSTATE_TARGET"] = target
    if as_json:
        environment["TASKSTATE_LOG_FORMAT"] = "json"
    elif sys.stderr.isatty():
        # For whoever looks on; a program that collects logs gets JSON lines, as from every service.
        environment.setdefault("TASKSTATE_LOG_FORMAT", "text")
    return environment
