"""What the table of decisions is made of: rows, the commands of rows, and groups of situations and answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.taskstate.command import (
    Command,
    ConfirmDispatch,
    CreateTask,
    ExpireAttempt,
    NoteWait,
    StartAttempt,
    SuspectAttempt,
)
from services.taskstate.model import Task, WaitReason
from tests.unit.taskstate.fixed_facts import FixedFacts
from tests.unit.taskstate.situations import (
    ENDED_BEFORE_START,
    ENDED_BY_OTHERS,
    ENDED_BY_OWN_WORD,
    TASK_ID,
    TERMINAL,
    WORKER,
)

WAITING = "pending pending_not_due retrying_process_remains retrying retrying_not_due"
HANDED_OUT = "pending_handed_out pending_handed_out_long_ago retrying_handed_out retrying_handed_out_long_ago"
QUEUED = "queued queued_again"
LIVE = "running running_last_attempt running_stop_asked running_stop_overdue"
RUNNING = f"{LIVE} running_unresponsive running_suspect running_suspect_over"
RUNNING_FIRST = "running running_unresponsive running_suspect running_suspect_over"
STOP_ASKED = "running_stop_asked running_stop_overdue"
NOT_RUNNING = f"{WAITING} {HANDED_OUT} {QUEUED} {TERMINAL}"
NEVER_STARTED = f"pending pending_not_due pending_handed_out pending_handed_out_long_ago queued {ENDED_BEFORE_START}"
BEFORE_NEXT_ATTEMPT = "retrying retrying_not_due retrying_handed_out retrying_handed_out_long_ago queued_again"
STARTED_BEFORE = f"retrying_process_remains {BEFORE_NEXT_ATTEMPT} {ENDED_BY_OWN_WORD} {ENDED_BY_OTHERS}"
TERMINAL_GONE = "succeeded failed failed_by_force lost cancelled"
TERMINAL_REMAINS = (
    "succeeded_process_remains failed_process_remains failed_by_force_process_remains lost_process_remains "
    "cancelled_process_remains"
)


@dataclass(frozen=True)
class Row:
    """One command, made for the task it meets, and its answers: answer -> situations."""

    name: str
    make: Callable[[Task | None], Command]
    answers: dict[str, str]
    facts: Callable[[Task | None], FixedFacts] = lambda _task: FixedFacts()

    def expected(self) -> dict[str, str]:
        """situation -> answer."""
        return {name: answer for answer, names in self.answers.items() for name in names.split()}


def asks_to_create(request_id: str = "", request_hash: str = "") -> Callable[[Task | None], Command]:
    return lambda _task: CreateTask(
        task_id=TASK_ID, actor="test", type="known", request_id=request_id, request_hash=request_hash
    )


def notes(reason: WaitReason) -> Callable[[Task | None], Command]:
    return lambda _task: NoteWait(task_id=TASK_ID, actor="scheduler", wait_reason=reason)


def confirms(newer: int) -> Callable[[Task | None], Command]:
    return lambda task: ConfirmDispatch(
        task_id=TASK_ID, actor="scheduler", dispatch=(task.dispatch if task else 1) + newer
    )


def asks_to_start(
    newer: int = 0, start_id: str = "start-9", replica_id: str = "replica-1", stream_id: str = "stream-2"
) -> Callable[[Task | None], Command]:
    return lambda task: StartAttempt(
        task_id=TASK_ID,
        actor="worker",
        dispatch=(task.dispatch if task else 1) + newer,
        start_id=start_id,
        worker=WORKER,
        replica_id=replica_id,
        stream_id=stream_id,
        sequence=5,
    )


def of_attempt(
    kind: type[Command], sequence: int = 30, older: int = 0, **said: Any
) -> Callable[[Task | None], Command]:
    """A command about the attempt the task has or had, or with `older` about one that was never or no longer is."""
    return lambda task: kind(
        task_id=TASK_ID,
        actor="worker",
        fencing_token=(task.fencing_token if task and task.attempt else 500) - older,  # type: ignore[call-arg]
        sequence=sequence,
        **said,
    )


def breaks(stream_id: str) -> Callable[[Task | None], Command]:
    return lambda _task: SuspectAttempt(
        task_id=TASK_ID, actor="r", replica_id="replica-1", stream_id=stream_id, grace_s=2.0, lease_s=20.0
    )


def sweeps(replica_id: str) -> Callable[[Task | None], Command]:
    return lambda _task: ExpireAttempt(task_id=TASK_ID, actor="scheduler", replica_id=replica_id)


def answers_to_exit(last: str) -> dict[str, str]:
    """What an exit answers; `last`: how a running last attempt ends by it."""
    ended = {
        "RETRYING EXITED": f"{RUNNING_FIRST} retrying_process_remains",
        "LOST EXITED": "lost_process_remains",
        "SUCCEEDED EXITED": "succeeded_process_remains",
        "FAILED EXITED": "failed_process_remains failed_by_force_process_remains",
        "CANCELLED EXITED": f"cancelled_process_remains {STOP_ASKED}",
        "no-op": f"{BEFORE_NEXT_ATTEMPT} {TERMINAL_GONE}",
        "TOKEN_LOST": NEVER_STARTED,
    } | NOT_FOUND
    ended[f"{last} EXITED"] += " running_last_attempt"
    return ended


def made_before(task: Task | None) -> FixedFacts:
    return FixedFacts(made={"made-before": task} if task else {})


NOT_FOUND = {"TASK_NOT_FOUND": "no_task"}
ANYTHING_EXISTING = f"{NOT_RUNNING} {RUNNING}"
LOST_TOKEN = {"TOKEN_LOST": ANYTHING_EXISTING} | NOT_FOUND
# A message of the newest attempt that came before is a no-op for ever; where no attempt was, its token is unknown.
DOUBLE = {"no-op": f"{RUNNING} {STARTED_BEFORE}", "TOKEN_LOST": NEVER_STARTED} | NOT_FOUND
HELD_ONLY = {"TOKEN_LOST": NOT_RUNNING} | NOT_FOUND
NOTHING_TO_NOTE = {"no-op": ANYTHING_EXISTING} | NOT_FOUND
ADVANCED = {
    "RUNNING CANCEL_ADVANCED": STOP_ASKED,
    "FAILED CANCEL_ADVANCED": "failed_by_force_process_remains failed_by_force",
    "CANCELLED CANCEL_ADVANCED": "cancelled_process_remains cancelled",
    "no-op": "running running_last_attempt running_unresponsive running_suspect running_suspect_over "
    f"retrying_process_remains {BEFORE_NEXT_ATTEMPT} succeeded_process_remains succeeded failed_process_remains "
    "failed lost_process_remains lost",
    "TOKEN_LOST": NEVER_STARTED,
} | NOT_FOUND
STALE = {"STALE_DISPATCH": ANYTHING_EXISTING} | NOT_FOUND
