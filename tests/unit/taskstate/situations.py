"""One task in every situation that a command can meet: each state, and within it what changes the answer.

Situations are reached by commands, each of which must be accepted. A new state needs a situation here: a test says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from services.taskstate.command import (
    Accepted,
    AttemptExited,
    CancelTask,
    Command,
    ConfirmDispatch,
    CreateTask,
    ExpireAttempt,
    FinishAttempt,
    HandOut,
    HearAttempt,
    StartAttempt,
    SuspectAttempt,
)
from services.taskstate.decide import decide
from services.taskstate.model import ProcessExit, Task, TaskError, Worker
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

    def suspect(self, grace_s: float) -> Story:
        return self.then(
            SuspectAttempt(
                task_id=TASK_ID,
                actor="replica-1",
                replica_id="replica-1",
                stream_id="stream-1",
                grace_s=grace_s,
                lease_s=grace_s,
            )
        )

    def expire(self) -> Story:
        return self.then(ExpireAttempt(task_id=TASK_ID, actor="scheduler", replica_id="replica-1"))

    def stop(self, force: bool = False) -> Story:
        return self.then(CancelTask(task_id=TASK_ID, actor="http", force=force))

    def fall_silent(self) -> Story:
        return self.then(
            HearAttempt(task_id=TASK_ID, actor="worker", fencing_token=self.token, sequence=11, age_s=60.0)
        )


def _running() -> Story:
    return Story().create().hand_out().confirm().start()


def _retrying() -> Story:
    return _running().finish(ERROR).exit()


def _second_attempt() -> Story:
    return _retrying().wait(5).hand_out().confirm().start()


def _given_up() -> Story:
    return _second_attempt().suspect(2.0).wait(5).expire()


def _handed_out_long_ago() -> Task:
    return Story().create().hand_out().told


def _handed_out_just_now(task: Task) -> Task:
    return replace(task, handed_out_time=NOW - timedelta(seconds=1))


def _stop_asked(overdue: bool) -> Task:
    story = _running()
    story.now = NOW - timedelta(seconds=60 if overdue else 1)
    return story.stop().told


SITUATIONS: Final[dict[str, Callable[[], Task | None]]] = {
    "no_task": lambda: None,
    "pending": lambda: Story().create().told,
    "pending_not_due": lambda: replace(Story().create().told, due_time=NOW + timedelta(seconds=1)),
    "pending_handed_out": lambda: _handed_out_just_now(_handed_out_long_ago()),
    "pending_handed_out_long_ago": _handed_out_long_ago,
    "queued": lambda: Story().create().hand_out().confirm().told,
    "running": lambda: _running().told,
    "running_last_attempt": lambda: _second_attempt().told,
    "running_unresponsive": lambda: _running().fall_silent().told,
    "running_suspect": lambda: _running().suspect(2 * 3600.0).told,
    "running_suspect_over": lambda: _running().suspect(2.0).told,
    "running_stop_asked": lambda: _stop_asked(overdue=False),
    "running_stop_overdue": lambda: _stop_asked(overdue=True),
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
    "failed_by_force_process_remains": lambda: _running().stop(force=True).told,
    "failed_by_force": lambda: _running().stop(force=True).exit().told,
    "failed_before_start": lambda: Story().create().hand_out().stop(force=True).told,
    "lost_process_remains": lambda: _given_up().told,
    "lost": lambda: _second_attempt().exit().told,
    "cancelled_before_start": lambda: Story().create().stop().told,
    "cancelled_process_remains": lambda: _running().finish(ERROR).stop().told,
    "cancelled": lambda: _running().stop().exit().told,
}

ENDED_BY_OWN_WORD: Final = "succeeded_process_remains succeeded failed_process_remains failed cancelled_process_remains"
"""Terminal, and the attempt had told how it ended."""
ENDED_BY_OTHERS: Final = "failed_by_force_process_remains failed_by_force lost_process_remains lost cancelled"
ENDED_BEFORE_START: Final = "failed_before_start cancelled_before_start"
TERMINAL: Final = f"{ENDED_BY_OWN_WORD} {ENDED_BY_OTHERS} {ENDED_BEFORE_START}"
