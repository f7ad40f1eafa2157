"""The steps of a task's life as commands to a replica's pipeline, each with what it usually carries."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any

from services.taskstate.command import (
    Accepted,
    AttemptExited,
    Command,
    ConfirmDispatch,
    CreateTask,
    FinishAttempt,
    HandOut,
    Outcome,
    Priority,
    Refused,
    ReportPhase,
    ReportProgress,
    StartAttempt,
)
from services.taskstate.model import PhaseState, ProcessExit, Task, TaskError, TaskType, Worker
from services.taskstate.service import Replica
from services.taskstate.store import type_rows

WORKER = Worker(worker_id="worker-1", host="host-1", pid=100, boot_id="boot-1", queues=("default",), horse_pid=101)
CANARY = TaskType(name="canary", queue="default", max_attempts=3)
LOW = Priority.LOW
_sequences = itertools.count(1)


def new_id() -> str:
    """A task id, or any other UUID."""
    return str(uuid.uuid4())


async def declare(replica: Replica, *types: TaskType) -> None:
    """Declare types as a worker's hello does; `canary` when none is named."""
    await replica.database.write(type_rows.declare, types or (CANARY,))


def create(task_id: str | None = None, **fields: Any) -> CreateTask:
    """Accept a task of type canary."""
    return CreateTask(**{"task_id": task_id or new_id(), "actor": "test", "type": "canary"} | fields)


def hand_out(task_id: str) -> HandOut:
    """Hand it to a scheduler."""
    return HandOut(task_id=task_id, actor="scheduler")


def confirm(task_id: str, dispatch: int = 1) -> ConfirmDispatch:
    """The message is in the queue."""
    return ConfirmDispatch(task_id=task_id, dispatch=dispatch, actor="scheduler")


def start(replica: Replica, task_id: str, dispatch: int = 1, **fields: Any) -> StartAttempt:
    """A work-horse has taken the message."""
    usual = {
        "task_id": task_id,
        "actor": "worker:worker-1",
        "dispatch": dispatch,
        "start_id": new_id(),
        "worker": WORKER,
        "replica_id": replica.replica_id,
        "stream_id": "stream-1",
        "sequence": next(_sequences),
    }
    return StartAttempt(**usual | fields)


def _held(task_id: str, token: int) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "actor": "worker:worker-1",
        "fencing_token": token,
        "sequence": next(_sequences),
    }


def progress(task_id: str, token: int, done: float, **fields: Any) -> ReportProgress:
    """How far the attempt is."""
    return ReportProgress(**_held(task_id, token) | {"done": done} | fields)


def phase(task_id: str, token: int, phase_id: str, state: PhaseState = PhaseState.RUNNING) -> ReportPhase:
    """A phase begins or ends."""
    return ReportPhase(**_held(task_id, token), phase_id=phase_id, state=state)


def finish(task_id: str, token: int, result: str | None = '{"ok":true}') -> FinishAttempt:
    """The last word: a result."""
    return FinishAttempt(**_held(task_id, token), result=result)


def fail(task_id: str, token: int, final: bool = False) -> FinishAttempt:
    """The last word: an error."""
    error = TaskError("builtins.ValueError", "it broke", "Traceback: it broke")
    return FinishAttempt(**_held(task_id, token), error=error, final=final)


def exited(task_id: str, token: int, code: int = 0) -> AttemptExited:
    """The process has gone."""
    return AttemptExited(**_held(task_id, token), exit=ProcessExit(exit_code=code))


def accepted(outcome: Outcome) -> Task:
    """The task of an accepted command."""
    assert isinstance(outcome, Accepted), outcome
    return outcome.task


def refusal(outcome: Outcome) -> str:
    """The reason of a refused command."""
    assert isinstance(outcome, Refused), outcome
    return outcome.reason


async def created(outcome: Awaitable[Outcome]) -> int:
    """The revision of a creation."""
    return accepted(await outcome).spec.create_revision


async def put(replica: Replica, *commands: Command) -> list[Task]:
    """Put commands through together; all must be accepted."""
    return [accepted(await future) for future in replica.pipeline.submit_many(commands)]


async def put_one(replica: Replica, command: Command) -> Task:
    """Put one command through; it must be accepted."""
    return accepted(await replica.pipeline.submit(command))


async def run_to_start(replica: Replica, **fields: Any) -> Task:
    """A task of its own that runs."""
    command = create(**fields)
    await put(replica, command, hand_out(command.task_id), confirm(command.task_id))
    return await put_one(replica, start(replica, command.task_id))


async def run_to_end(replica: Replica, **fields: Any) -> Task:
    """A task of its own that has succeeded, and whose process has gone."""
    task = await run_to_start(replica, **fields)
    token = task.fencing_token
    return (await put(replica, finish(task.task_id, token), exited(task.task_id, token)))[-1]


def numbered(commands: Sequence[Command], first: int) -> list[Command]:
    """Attempt commands with sequences of the test's own, from `first` on."""
    return [replace(command, sequence=number) for number, command in enumerate(commands, first)]  # type: ignore[call-arg]
