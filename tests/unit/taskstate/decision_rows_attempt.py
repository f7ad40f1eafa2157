"""Rows of the table of decisions: from a create to the exit of an attempt's process."""

from __future__ import annotations

from services.taskstate.command import (
    AttemptExited,
    FinishAttempt,
    HandOut,
    HearAttempt,
    ReportPhase,
    ReportProgress,
)
from services.taskstate.model import ExitCause, PhaseState, WaitReason
from tests.unit.taskstate.decision_table import (
    ANYTHING_EXISTING,
    BEFORE_NEXT_ATTEMPT,
    DOUBLE,
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
    WAITING,
    Row,
    answers_to_exit,
    asks_to_create,
    asks_to_start,
    confirms,
    made_before,
    notes,
    of_attempt,
)
from tests.unit.taskstate.fixed_facts import FixedFacts
from tests.unit.taskstate.situations import (
    ENDED_BY_OTHERS,
    ENDED_BY_OWN_WORD,
    ERROR,
    START_ID,
    TASK_ID,
    TERMINAL,
)

ATTEMPT_ROWS = [
    Row(
        "create, no request id",
        asks_to_create(),
        {"PENDING CREATED": "no_task", "REQUEST_ID_CONFLICT": ANYTHING_EXISTING},
    ),
    Row(
        "create, the same request again",
        asks_to_create("made-before", "hash-1"),
        {"PENDING CREATED": "no_task", "no-op": ANYTHING_EXISTING},
        made_before,
    ),
    Row(
        "create, its request id with other contents",
        asks_to_create("made-before", "hash-2"),
        {"PENDING CREATED": "no_task", "REQUEST_ID_CONFLICT": ANYTHING_EXISTING},
        made_before,
    ),
    Row("note that it waits for dispatch, as it does", notes(WaitReason.DISPATCH), NOTHING_TO_NOTE),
    Row(
        "note that it waits for a slot, which is taken",
        notes(WaitReason.SLOT),
        {
            "PENDING WAITING": "pending",
            "RETRYING WAITING": "retrying",
            "no-op": f"pending_not_due retrying_process_remains retrying_not_due {HANDED_OUT} {QUEUED} {RUNNING} {TERMINAL}",
        }
        | NOT_FOUND,
        lambda _task: FixedFacts(used=1),
    ),
    Row("note that it waits for a slot, which has become free", notes(WaitReason.SLOT), NOTHING_TO_NOTE),
    Row(
        "hand out",
        lambda _task: HandOut(task_id=TASK_ID, actor="scheduler"),
        {
            "PENDING HANDED_OUT": "pending pending_handed_out_long_ago",
            "RETRYING HANDED_OUT": "retrying retrying_handed_out_long_ago",
            "NOT_DISPATCHABLE": "pending_not_due pending_handed_out retrying_process_remains retrying_not_due "
            f"retrying_handed_out {QUEUED} {RUNNING} {TERMINAL}",
        }
        | NOT_FOUND,
    ),
    Row(
        "confirm the newest message",
        confirms(0),
        {"QUEUED QUEUED": HANDED_OUT, "no-op": f"{WAITING} {QUEUED} {RUNNING} {TERMINAL}"} | NOT_FOUND,
    ),
    Row("confirm an older message", confirms(-1), STALE),
    Row("confirm a message that never was", confirms(1), STALE),
    Row(
        "start with the newest message",
        asks_to_start(),
        {"RUNNING STARTED": f"{HANDED_OUT} {QUEUED}", "STALE_DISPATCH": f"{WAITING} {RUNNING} {TERMINAL}"} | NOT_FOUND,
    ),
    Row(
        "start, asked again",
        asks_to_start(start_id=START_ID, stream_id="stream-1"),
        {
            "RUNNING STARTED": f"{HANDED_OUT} {QUEUED}",
            "RUNNING RESUMED": "running_suspect running_suspect_over",
            "no-op": f"{LIVE} running_unresponsive",
            "STALE_DISPATCH": f"{WAITING} {TERMINAL}",
        }
        | NOT_FOUND,
    ),
    Row(
        "start, asked again on another stream, which carries the attempt from there",
        asks_to_start(start_id=START_ID),
        {
            "RUNNING STARTED": f"{HANDED_OUT} {QUEUED}",
            "RUNNING RESUMED": RUNNING,
            "STALE_DISPATCH": f"{WAITING} {TERMINAL}",
        }
        | NOT_FOUND,
    ),
    Row(
        "start, asked again of a replica without a lease",
        asks_to_start(start_id=START_ID, replica_id="replica-2"),
        {"HOLDER_DEAD": f"{HANDED_OUT} {QUEUED} {RUNNING}", "STALE_DISPATCH": f"{WAITING} {TERMINAL}"} | NOT_FOUND,
    ),
    Row("start with an older message", asks_to_start(newer=-1), STALE),
    Row("start with a message that never was", asks_to_start(newer=1), STALE),
    Row(
        "start by a replica without a lease",
        asks_to_start(replica_id="replica-2"),
        {"HOLDER_DEAD": f"{HANDED_OUT} {QUEUED}", "STALE_DISPATCH": f"{WAITING} {RUNNING} {TERMINAL}"} | NOT_FOUND,
    ),
    Row("progress", of_attempt(ReportProgress, done=3.0), {"hot": RUNNING} | HELD_ONLY),
    Row("progress, seen before", of_attempt(ReportProgress, sequence=1, done=3.0), DOUBLE),
    Row("progress with a lost token", of_attempt(ReportProgress, older=1, done=3.0), LOST_TOKEN),
    Row(
        "a phase begins",
        of_attempt(ReportPhase, phase_id="fetch", state=PhaseState.RUNNING),
        {"RUNNING PHASE": RUNNING} | HELD_ONLY,
    ),
    Row(
        "a phase ends",
        of_attempt(ReportPhase, phase_id="fetch", state=PhaseState.DONE),
        {"RUNNING PHASE": RUNNING} | HELD_ONLY,
    ),
    Row(
        "a phase begins, seen before",
        of_attempt(ReportPhase, sequence=1, phase_id="fetch", state=PhaseState.RUNNING),
        DOUBLE,
    ),
    Row(
        "a phase begins with a lost token",
        of_attempt(ReportPhase, older=1, phase_id="fetch", state=PhaseState.RUNNING),
        LOST_TOKEN,
    ),
    Row(
        "heard just now",
        of_attempt(HearAttempt, age_s=0.5),
        {
            "hot": f"{LIVE} running_suspect running_suspect_over",
            "RUNNING LIVENESS": "running_unresponsive",
            "no-op": f"retrying_process_remains {BEFORE_NEXT_ATTEMPT} {ENDED_BY_OWN_WORD}",
            # Whose attempt was ended by others does not know it yet, and learns it so.
            "TOKEN_LOST": f"{NEVER_STARTED} {ENDED_BY_OTHERS}",
        }
        | NOT_FOUND,
    ),
    Row(
        "heard long ago",
        of_attempt(HearAttempt, age_s=1e6),
        {
            "RUNNING LIVENESS": LIVE,
            "no-op": "running_unresponsive running_suspect running_suspect_over "
            f"retrying_process_remains {BEFORE_NEXT_ATTEMPT} {ENDED_BY_OWN_WORD}",
            "TOKEN_LOST": f"{NEVER_STARTED} {ENDED_BY_OTHERS}",
        }
        | NOT_FOUND,
    ),
    Row("heard with a lost token", of_attempt(HearAttempt, older=1, age_s=0.5), LOST_TOKEN),
    Row("finish with a result", of_attempt(FinishAttempt, result="1"), {"SUCCEEDED FINISHED": RUNNING} | HELD_ONLY),
    Row(
        "finish with an error",
        of_attempt(FinishAttempt, error=ERROR),
        {
            "RETRYING FINISHED": RUNNING_FIRST,
            "FAILED FINISHED": "running_last_attempt",
            "CANCELLED FINISHED": STOP_ASKED,
        }
        | HELD_ONLY,
    ),
    Row(
        "finish with an error that another attempt would meet too",
        of_attempt(FinishAttempt, error=ERROR, final=True),
        {"FAILED FINISHED": f"{RUNNING_FIRST} running_last_attempt", "CANCELLED FINISHED": STOP_ASKED} | HELD_ONLY,
    ),
    Row("finish, seen before", of_attempt(FinishAttempt, sequence=1, result="1"), DOUBLE),
    Row("finish with a lost token", of_attempt(FinishAttempt, older=1, result="1"), LOST_TOKEN),
    Row("exited", of_attempt(AttemptExited), answers_to_exit("LOST")),
    Row(
        "exited, killed at its deadline", of_attempt(AttemptExited, cause=ExitCause.TIMEOUT), answers_to_exit("FAILED")
    ),
    Row("exited, killed as it stalled", of_attempt(AttemptExited, cause=ExitCause.STALLED), answers_to_exit("FAILED")),
    Row(
        "exited, drained",
        of_attempt(AttemptExited, cause=ExitCause.DRAINED),
        # A drained attempt does not count, so that there is always another.
        answers_to_exit("RETRYING"),
    ),
    Row("exited with a lost token", of_attempt(AttemptExited, older=1), LOST_TOKEN),
]
