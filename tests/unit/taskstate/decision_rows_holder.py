"""Rows of the table of decisions: stops, broken streams, returns, the sweep, messages handed back."""

from __future__ import annotations

from datetime import timedelta

from services.taskstate.command import (
    AdvanceCancel,
    CancelTask,
    ReleaseDispatch,
    ResumeAttempt,
)
from tests.unit.taskstate.decision_table import (
    ADVANCED,
    ANYTHING_EXISTING,
    BEFORE_NEXT_ATTEMPT,
    HANDED_OUT,
    HELD_ONLY,
    LIVE,
    LOST_TOKEN,
    NEVER_STARTED,
    NOT_FOUND,
    NOTHING_TO_NOTE,
    QUEUED,
    RUNNING,
    RUNNING_FIRST,
    STALE,
    STOP_ASKED,
    TERMINAL_GONE,
    WAITING,
    Row,
    breaks,
    of_attempt,
    sweeps,
)
from tests.unit.taskstate.fixed_facts import FixedFacts
from tests.unit.taskstate.situations import (
    ENDED_BEFORE_START,
    NOW,
    TASK_ID,
    TERMINAL,
)

HOLDER_ROWS = [
    Row(
        "cancel",
        lambda _task: CancelTask(task_id=TASK_ID, actor="http"),
        {
            "CANCELLED CANCEL_REQUESTED": f"{WAITING} {HANDED_OUT} {QUEUED}",
            "RUNNING CANCEL_REQUESTED": f"{RUNNING_FIRST} running_last_attempt",
            "no-op": STOP_ASKED,
            "TASK_TERMINAL": TERMINAL,
        }
        | NOT_FOUND,
    ),
    Row(
        "cancel by force",
        lambda _task: CancelTask(task_id=TASK_ID, actor="http", force=True),
        {"FAILED CANCEL_REQUESTED": f"{WAITING} {HANDED_OUT} {QUEUED} {RUNNING}", "TASK_TERMINAL": TERMINAL}
        | NOT_FOUND,
    ),
    Row("the task was told to stop", of_attempt(AdvanceCancel), ADVANCED),
    Row("the process was sent a signal", of_attempt(AdvanceCancel, signalled=True), ADVANCED),
    Row("a stop advances with a lost token", of_attempt(AdvanceCancel, older=1), LOST_TOKEN),
    Row(
        "the stream broke",
        breaks("stream-1"),
        {
            "RUNNING SUSPECTED": f"{LIVE} running_unresponsive running_suspect_over",
            "RETRYING SUSPECTED": "retrying_process_remains",
            "SUCCEEDED SUSPECTED": "succeeded_process_remains",
            "FAILED SUSPECTED": "failed_process_remains failed_by_force_process_remains",
            "LOST SUSPECTED": "lost_process_remains",
            "CANCELLED SUSPECTED": "cancelled_process_remains",
            "no-op": f"{NEVER_STARTED} {BEFORE_NEXT_ATTEMPT} {TERMINAL_GONE} running_suspect",
        }
        | NOT_FOUND,
    ),
    Row("another stream broke", breaks("stream-2"), NOTHING_TO_NOTE),
    Row(
        "resumed on another stream",
        of_attempt(ResumeAttempt, replica_id="replica-1", stream_id="stream-2"),
        {"RUNNING RESUMED": RUNNING} | HELD_ONLY,
    ),
    Row(
        "resumed on the same stream",
        of_attempt(ResumeAttempt, replica_id="replica-1", stream_id="stream-1"),
        {
            "RUNNING RESUMED": "running_suspect running_suspect_over",
            "no-op": f"{LIVE} running_unresponsive",
        }
        | HELD_ONLY,
    ),
    Row(
        "resumed on a replica without a lease",
        of_attempt(ResumeAttempt, replica_id="replica-2", stream_id="stream-2"),
        {"HOLDER_DEAD": RUNNING} | HELD_ONLY,
    ),
    Row(
        "resumed with a lost token",
        of_attempt(ResumeAttempt, older=1, replica_id="replica-1", stream_id="stream-2"),
        LOST_TOKEN,
    ),
    Row(
        "swept, its holder lives",
        sweeps("replica-1"),
        {
            "RETRYING EXPIRED": "running_suspect_over",
            "CANCELLED EXPIRED": "running_stop_overdue",
            "LOST GIVEN_UP": "lost_process_remains",
            "no-op": f"running running_last_attempt running_unresponsive running_suspect running_stop_asked "
            f"{WAITING} {HANDED_OUT} {QUEUED} {ENDED_BEFORE_START} {TERMINAL_GONE} succeeded_process_remains "
            "failed_process_remains failed_by_force_process_remains cancelled_process_remains",
        }
        | NOT_FOUND,
    ),
    Row(
        "swept by another replica, its holder is gone",
        sweeps("replica-3"),
        {
            "RETRYING EXPIRED": RUNNING_FIRST,
            "LOST EXPIRED": "running_last_attempt",
            "CANCELLED EXPIRED": STOP_ASKED,
            "RETRYING GIVEN_UP": "retrying_process_remains",
            "SUCCEEDED GIVEN_UP": "succeeded_process_remains",
            "FAILED GIVEN_UP": "failed_process_remains failed_by_force_process_remains",
            "LOST GIVEN_UP": "lost_process_remains",
            "CANCELLED GIVEN_UP": "cancelled_process_remains",
            "no-op": f"{NEVER_STARTED} {BEFORE_NEXT_ATTEMPT} {TERMINAL_GONE}",
        }
        | NOT_FOUND,
        lambda _task: FixedFacts(replicas=frozenset({"replica-3"})),
    ),
    Row(
        "swept while an outage is made up for",
        sweeps("replica-3"),
        NOTHING_TO_NOTE,
        lambda _task: FixedFacts(replicas=frozenset({"replica-3"}), hold_until=NOW + timedelta(seconds=1)),
    ),
    Row(
        "swept by a replica without a lease",
        sweeps("replica-3"),
        {"HOLDER_DEAD": ANYTHING_EXISTING} | NOT_FOUND,
    ),
    Row(
        "the newest message is handed back",
        lambda task: ReleaseDispatch(task_id=TASK_ID, actor="worker", dispatch=task.dispatch if task else 1),
        {"PENDING RELEASED": f"{HANDED_OUT} {QUEUED}", "STALE_DISPATCH": f"{WAITING} {RUNNING} {TERMINAL}"} | NOT_FOUND,
    ),
    Row(
        "an older message is handed back",
        lambda task: ReleaseDispatch(task_id=TASK_ID, actor="worker", dispatch=task.dispatch - 1 if task else 1),
        STALE,
    ),
]
