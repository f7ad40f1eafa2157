"""One task in every situation that a command can meet: each state, and within it what changes the answer.

A situation is reached by commands where commands lead there; a state that no command reaches yet is set by hand, so that
the table of answers already holds what must be refused in it. A new state needs a situation here: a test says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from services.taskstate.command import (
    Accepted,
    AttemptExited,
    Command,
    ConfirmDispatch,
    CreateTask,
    FinishAttempt,
    HandOut,
    StartAttempt,
)
from services.taskstate.decide import decide
from services.taskstate.model import ProcessExit, Reason, Task, TaskError, TaskState, Worker
from tests.unit.taskstate.fixed_facts import FixedFacts

TASK_ID: Final = "00000000-0000-4000-8000-000000000001"
CREATED_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
NOW: Final = CREATED_AT + timedelta(hours=1)
"""When the command under test comes: every delay of a situation has passed, unless its name says otherwise."""
REVISION: Final = 1000
"""The revision the command under test owns; those of the situations are smaller."""
WORKER: Final = Worker(worker_id="worker-1", host="host-1", pid=7, boot_id="boot-1", queues=("default",), horse_pid=8)
ERROR: Final = TaskError("ValueError", "it broke", "Traceback ...")
START_ID: Final = "start-1"


class Story:
    """One task's life so far: each command is decided a second after the one before, and must be accepted."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self.now = CREATED_AT
        self.revision = 1
        self.facts = FixedFacts()

    def then(self, command: Command) -> Story:
        outcome = decide(self.task, self.facts, command, self.now, self.revision)
        if not isinstance(outcome, Accepted) or outcome.no_op:
            raise AssertionError(f"{command} led nowhere: {outcome}")
        self.task = outcome.task
        self.revision += 1
        self.now += timedelta(seconds=1)
        return self

    def wait(self, seconds: float) -> Story:
        self.now += timedelta(seconds=seconds)
        return self

    @property
    def token(self) -> int:
        return self.told.fencing_token

    @property
    def told(self) -> Task:
        if self.task is None:
            raise AssertionError("the story has not begun")
        return self.task

    def create(self) -> Story:
        command = CreateTask(
            task_id=TASK_ID, actor="test", type="known", group="agent", request_id="made-before", request_hash="hash-1"
        )
        return self.then(command)

    def hand_out(self) -> Story:
        return self.then(HandOut(task_id=TASK_ID, actor="scheduler"))

    def confirm(self) -> Story:
        return self.then(ConfirmDispatch(task_id=TASK_ID, actor="scheduler", dispatch=self.told.dispatch))

    def start(self) -> Story:
        command = StartAttempt(
            task_id=TASK_ID,
            actor="worker",
            dispatch=self.told.dispatch,
            start_id=START_ID,
            worker=WORKER,
            replica_id="replica-1",
            stream_id="stream-1",
            sequence=10,
        )
        return self.then(command)

    def finish(self, error: TaskError | None = None, final: bool = False) -> Story:
        command = FinishAttempt(
            task_id=TASK_ID, actor="worker", fencing_token=self.token, sequence=20, error=error, final=final
        )
        return self.then(command if error else replace(command, result='{"n":1}'))

    def exit(self) -> Story:
        command = AttemptExited(
            task_id=TASK_ID, actor="worker", fencing_token=self.token, sequence=21, exit=ProcessExit()
        )
        return self.then(command)


def _running() -> Story:
    return Story().create().hand_out().confirm().start()


def _retrying() -> Story:
    return _running().finish(ERROR).exit()


def _second_attempt() -> Story:
    return _retrying().wait(5).hand_out().confirm().start()


def _by_hand(story: Story, state: TaskState, reason: Reason = Reason.NONE) -> Task:
    return replace(story.told, state=state, reason=reason, end_time=story.now)


def _handed_out_long_ago() -> Task:
    return Story().create().hand_out().told


def _handed_out_just_now(task: Task) -> Task:
    return replace(task, handed_out_time=NOW - timedelta(seconds=1))


SITUATIONS: Final[dict[str, Callable[[], Task | None]]] = {
    "no_task": lambda: None,
    "pending": lambda: Story().create().told,
    "pending_not_due": lambda: replace(Story().create().told, due_time=NOW + timedelta(seconds=1)),
    "pending_handed_out": lambda: _handed_out_just_now(_handed_out_long_ago()),
    "pending_handed_out_long_ago": _handed_out_long_ago,
    "queued": lambda: Story().create().hand_out().confirm().told,
    "running": lambda: _running().told,
    "running_last_attempt": lambda: _second_attempt().told,
    "retrying_process_remains": lambda: _running().finish(ERROR).told,
    "retrying": lambda: _retrying().told,
    "retrying_not_due": lambda: replace(_retrying().told, due_time=NOW + timedelta(seconds=1)),
    "retrying_handed_out": lambda: _handed_out_just_now(_retrying().wait(5).hand_out().told),
    "retrying_handed_out_long_ago": lambda: _retrying().wait(5).hand_out().told,
    "queued_again": lambda: _retrying().wait(5).hand_out().confirm().told,
    "succeeded_process_remains": lambda: _running().finish().told,
    "succeeded": lambda: _running().finish().exit().told,
    "failed_process_remains": lambda: _running().finish(ERROR, final=True).told,
    "failed": lambda: _running().finish(ERROR, final=True).exit().told,
    "lost_process_remains": lambda: replace(
        _by_hand(_running(), TaskState.LOST, Reason.WORKER_LOST), attempt_end_time=NOW - timedelta(minutes=1)
    ),
    "lost": lambda: _second_attempt().exit().told,
    "cancelled_before_start": lambda: _by_hand(Story().create(), TaskState.CANCELLED),
    "cancelled_process_remains": lambda: _by_hand(_running().finish(ERROR), TaskState.CANCELLED),
    "cancelled": lambda: _by_hand(_retrying(), TaskState.CANCELLED),
}

TERMINAL_REMAINS: Final = (
    "succeeded_process_remains failed_process_remains lost_process_remains cancelled_process_remains"
)
TERMINAL_GONE: Final = "succeeded failed lost cancelled"
TERMINAL: Final = f"{TERMINAL_REMAINS} {TERMINAL_GONE} cancelled_before_start"
