"""Every (state, command) pair: what each command does in every situation a task can be in.

A row is one command, perhaps in one of its meanings (the current message, an older one). It names each situation exactly
once, under the answer expected there: a refusal's reason, "no-op", "hot" (progress, no event), or "STATE KIND" for a
transition. A new command needs rows, a new state a situation in `situations.py` and a place in every row.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from services.taskstate import codec, command, progress
from services.taskstate.command import (
    Accepted,
    AdvanceCancel,
    AttemptExited,
    CancelTask,
    Command,
    ConfirmDispatch,
    CreateTask,
    ExpireAttempt,
    FinishAttempt,
    HandOut,
    HearAttempt,
    NoteWait,
    Outcome,
    ReleaseDispatch,
    ReportPhase,
    ReportProgress,
    ResumeAttempt,
    StartAttempt,
    SuspectAttempt,
)
from services.taskstate.decide import decide
from services.taskstate.model import EventKind, ExitCause, PhaseState, Reason, Task, TaskState, WaitReason
from tests.unit.taskstate.answers import answer_of
from tests.unit.taskstate.fixed_facts import FixedFacts
from tests.unit.taskstate.situations import (
    ENDED_BEFORE_START,
    ENDED_BY_OTHERS,
    ENDED_BY_OWN_WORD,
    ERROR,
    NOW,
    REVISION,
    SITUATIONS,
    START_ID,
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


def _create(request_id: str = "", request_hash: str = "") -> Callable[[Task | None], Command]:
    return lambda _task: CreateTask(
        task_id=TASK_ID, actor="test", type="known", request_id=request_id, request_hash=request_hash
    )


def _note(reason: WaitReason) -> Callable[[Task | None], Command]:
    return lambda _task: NoteWait(task_id=TASK_ID, actor="scheduler", wait_reason=reason)


def _confirm(newer: int) -> Callable[[Task | None], Command]:
    return lambda task: ConfirmDispatch(
        task_id=TASK_ID, actor="scheduler", dispatch=(task.dispatch if task else 1) + newer
    )


def _start(
    newer: int = 0, start_id: str = "start-9", replica_id: str = "replica-1"
) -> Callable[[Task | None], Command]:
    return lambda task: StartAttempt(
        task_id=TASK_ID,
        actor="worker",
        dispatch=(task.dispatch if task else 1) + newer,
        start_id=start_id,
        worker=WORKER,
        replica_id=replica_id,
        stream_id="stream-2",
        sequence=5,
    )


def _held(kind: type[Command], sequence: int = 30, older: int = 0, **said: Any) -> Callable[[Task | None], Command]:
    """A command about the attempt the task has or had, or with `older` about one that was never or no longer is."""
    return lambda task: kind(
        task_id=TASK_ID,
        actor="worker",
        fencing_token=(task.fencing_token if task and task.attempt else 500) - older,  # type: ignore[call-arg]
        sequence=sequence,
        **said,
    )


def _suspect(stream_id: str) -> Callable[[Task | None], Command]:
    return lambda _task: SuspectAttempt(
        task_id=TASK_ID, actor="r", replica_id="replica-1", stream_id=stream_id, grace_s=2.0, lease_s=20.0
    )


def _sweep(replica_id: str) -> Callable[[Task | None], Command]:
    return lambda _task: ExpireAttempt(task_id=TASK_ID, actor="scheduler", replica_id=replica_id)


def _exited(last: str) -> dict[str, str]:
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


def _made_before(task: Task | None) -> FixedFacts:
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

ROWS = [
    Row("create, no request id", _create(), {"PENDING CREATED": "no_task", "REQUEST_ID_CONFLICT": ANYTHING_EXISTING}),
    Row(
        "create, the same request again",
        _create("made-before", "hash-1"),
        {"PENDING CREATED": "no_task", "no-op": ANYTHING_EXISTING},
        _made_before,
    ),
    Row(
        "create, its request id with other contents",
        _create("made-before", "hash-2"),
        {"PENDING CREATED": "no_task", "REQUEST_ID_CONFLICT": ANYTHING_EXISTING},
        _made_before,
    ),
    Row("note that it waits for dispatch, as it does", _note(WaitReason.DISPATCH), NOTHING_TO_NOTE),
    Row(
        "note that it waits for a slot, which is taken",
        _note(WaitReason.SLOT),
        {
            "PENDING WAITING": "pending",
            "RETRYING WAITING": "retrying",
            "no-op": f"pending_not_due retrying_process_remains retrying_not_due {HANDED_OUT} {QUEUED} {RUNNING} {TERMINAL}",
        }
        | NOT_FOUND,
        lambda _task: FixedFacts(used=1),
    ),
    Row("note that it waits for a slot, which has become free", _note(WaitReason.SLOT), NOTHING_TO_NOTE),
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
        _confirm(0),
        {"QUEUED QUEUED": HANDED_OUT, "no-op": f"{WAITING} {QUEUED} {RUNNING} {TERMINAL}"} | NOT_FOUND,
    ),
    Row("confirm an older message", _confirm(-1), STALE),
    Row("confirm a message that never was", _confirm(1), STALE),
    Row(
        "start with the newest message",
        _start(),
        {"RUNNING STARTED": f"{HANDED_OUT} {QUEUED}", "STALE_DISPATCH": f"{WAITING} {RUNNING} {TERMINAL}"} | NOT_FOUND,
    ),
    Row(
        "start, asked again",
        _start(start_id=START_ID),
        {"RUNNING STARTED": f"{HANDED_OUT} {QUEUED}", "no-op": RUNNING, "STALE_DISPATCH": f"{WAITING} {TERMINAL}"}
        | NOT_FOUND,
    ),
    Row("start with an older message", _start(newer=-1), STALE),
    Row("start with a message that never was", _start(newer=1), STALE),
    Row(
        "start by a replica without a lease",
        _start(replica_id="replica-2"),
        {"HOLDER_DEAD": f"{HANDED_OUT} {QUEUED}", "STALE_DISPATCH": f"{WAITING} {RUNNING} {TERMINAL}"} | NOT_FOUND,
    ),
    Row("progress", _held(ReportProgress, done=3.0), {"hot": RUNNING} | HELD_ONLY),
    Row("progress, seen before", _held(ReportProgress, sequence=1, done=3.0), DOUBLE),
    Row("progress with a lost token", _held(ReportProgress, older=1, done=3.0), LOST_TOKEN),
    Row(
        "a phase begins",
        _held(ReportPhase, phase_id="fetch", state=PhaseState.RUNNING),
        {"RUNNING PHASE": RUNNING} | HELD_ONLY,
    ),
    Row(
        "a phase ends",
        _held(ReportPhase, phase_id="fetch", state=PhaseState.DONE),
        {"RUNNING PHASE": RUNNING} | HELD_ONLY,
    ),
    Row(
        "a phase begins, seen before",
        _held(ReportPhase, sequence=1, phase_id="fetch", state=PhaseState.RUNNING),
        DOUBLE,
    ),
    Row(
        "a phase begins with a lost token",
        _held(ReportPhase, older=1, phase_id="fetch", state=PhaseState.RUNNING),
        LOST_TOKEN,
    ),
    Row(
        "heard just now",
        _held(HearAttempt, age_s=0.5),
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
        _held(HearAttempt, age_s=1e6),
        {
            "RUNNING LIVENESS": LIVE,
            "no-op": "running_unresponsive running_suspect running_suspect_over "
            f"retrying_process_remains {BEFORE_NEXT_ATTEMPT} {ENDED_BY_OWN_WORD}",
            "TOKEN_LOST": f"{NEVER_STARTED} {ENDED_BY_OTHERS}",
        }
        | NOT_FOUND,
    ),
    Row("heard with a lost token", _held(HearAttempt, older=1, age_s=0.5), LOST_TOKEN),
    Row("finish with a result", _held(FinishAttempt, result="1"), {"SUCCEEDED FINISHED": RUNNING} | HELD_ONLY),
    Row(
        "finish with an error",
        _held(FinishAttempt, error=ERROR),
        {
            "RETRYING FINISHED": RUNNING_FIRST,
            "FAILED FINISHED": "running_last_attempt",
            "CANCELLED FINISHED": STOP_ASKED,
        }
        | HELD_ONLY,
    ),
    Row(
        "finish with an error that another attempt would meet too",
        _held(FinishAttempt, error=ERROR, final=True),
        {"FAILED FINISHED": f"{RUNNING_FIRST} running_last_attempt", "CANCELLED FINISHED": STOP_ASKED} | HELD_ONLY,
    ),
    Row("finish, seen before", _held(FinishAttempt, sequence=1, result="1"), DOUBLE),
    Row("finish with a lost token", _held(FinishAttempt, older=1, result="1"), LOST_TOKEN),
    Row("exited", _held(AttemptExited), _exited("LOST")),
    Row("exited, killed at its deadline", _held(AttemptExited, cause=ExitCause.TIMEOUT), _exited("FAILED")),
    Row("exited, killed as it stalled", _held(AttemptExited, cause=ExitCause.STALLED), _exited("FAILED")),
    Row(
        "exited, drained",
        _held(AttemptExited, cause=ExitCause.DRAINED),
        # A drained attempt does not count, so that there is always another.
        _exited("RETRYING"),
    ),
    Row("exited with a lost token", _held(AttemptExited, older=1), LOST_TOKEN),
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
    Row("the task was told to stop", _held(AdvanceCancel), ADVANCED),
    Row("the process was sent a signal", _held(AdvanceCancel, signalled=True), ADVANCED),
    Row("a stop advances with a lost token", _held(AdvanceCancel, older=1), LOST_TOKEN),
    Row(
        "the stream broke",
        _suspect("stream-1"),
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
    Row("another stream broke", _suspect("stream-2"), NOTHING_TO_NOTE),
    Row(
        "resumed on another stream",
        _held(ResumeAttempt, replica_id="replica-1", stream_id="stream-2"),
        {"RUNNING RESUMED": RUNNING} | HELD_ONLY,
    ),
    Row(
        "resumed on the same stream",
        _held(ResumeAttempt, replica_id="replica-1", stream_id="stream-1"),
        {
            "RUNNING RESUMED": "running_suspect running_suspect_over",
            "no-op": f"{LIVE} running_unresponsive",
        }
        | HELD_ONLY,
    ),
    Row(
        "resumed on a replica without a lease",
        _held(ResumeAttempt, replica_id="replica-2", stream_id="stream-2"),
        {"HOLDER_DEAD": RUNNING} | HELD_ONLY,
    ),
    Row(
        "resumed with a lost token",
        _held(ResumeAttempt, older=1, replica_id="replica-1", stream_id="stream-2"),
        LOST_TOKEN,
    ),
    Row(
        "swept, its holder lives",
        _sweep("replica-1"),
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
        _sweep("replica-3"),
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
        _sweep("replica-3"),
        NOTHING_TO_NOTE,
        lambda _task: FixedFacts(replicas=frozenset({"replica-3"}), hold_until=NOW + timedelta(seconds=1)),
    ),
    Row(
        "swept by a replica without a lease",
        _sweep("replica-3"),
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


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_command_in_each_situation(row: Row):
    found = {}
    for name, situation in SITUATIONS.items():
        task = situation()
        asked = row.make(task)
        outcome = decide(task, row.facts(task), asked, NOW, REVISION)
        found[name] = answer_of(outcome)
        check_outcome(task, asked, outcome)
    assert found == row.expected()


def check_outcome(task: Task | None, asked: Command, outcome: Outcome) -> None:
    """What holds of every answer: refusals and no-ops change nothing, a transition tells all that it changed."""
    if not isinstance(outcome, Accepted):
        assert outcome.message
        return
    if outcome.no_op:
        assert outcome.event is None
        assert outcome.task is task
        return
    moved, event = outcome.task, outcome.event
    assert moved.revision == REVISION
    changed = {name for name in _status_fields() if task is None or getattr(moved, name) != getattr(task, name)}
    if event is None:
        assert changed <= codec.HOT_FIELDS | {"revision"}
        return
    assert moved.event_revision == event.revision == REVISION
    assert (event.task_id, event.namespace, event.attempt) == (TASK_ID, "default", moved.attempt)
    assert (event.actor, event.time, event.reason) == (asked.actor, NOW, moved.reason)
    assert (event.from_state, event.to_state) == (task.state if task else None, moved.state)
    if task is not None:
        assert changed - codec.EVENT_LEFT_OUT <= set(event.changes)
        folded = codec.fold(task, event.changes)
        left_out = {name: getattr(moved, name) for name in codec.EVENT_LEFT_OUT}
        assert replace(folded, **left_out) == moved


def _status_fields() -> list[str]:
    return [name for name in Task.__slots__ if name != "spec"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_row_names_each_situation_once(row: Row):
    named = [name for names in row.answers.values() for name in names.split()]
    assert sorted(named) == sorted(SITUATIONS)


def test_every_command_has_rows():
    commands = {kind for _, kind in inspect.getmembers(command, inspect.isclass) if issubclass(kind, Command)}
    bases = {base for kind in commands for base in kind.__mro__[1:]}
    in_table = {type(row.make(SITUATIONS["running"]())) for row in ROWS}
    assert in_table == commands - bases


def test_every_state_has_situations():
    reached = {task.state for make in SITUATIONS.values() if (task := make()) is not None}
    assert reached == set(TaskState)
    for name, make in SITUATIONS.items():
        task = make()
        assert name.startswith("no_task" if task is None else task.state.lower())


def test_every_kind_of_event_is_told():
    told = {answer.split()[1] for row in ROWS for answer in row.answers if " " in answer}
    assert told == set(EventKind)


@pytest.mark.parametrize(
    ("facts", "waits_for"),
    [
        (FixedFacts(used=1, limit=1), WaitReason.SLOT),
        (FixedFacts(used=3, limit=2), WaitReason.SLOT),
        (FixedFacts(used=0, limit=0), WaitReason.SLOT),
        (FixedFacts(messages=100), WaitReason.DISPATCH),
        (FixedFacts(messages=1, dispatch_window=1), WaitReason.DISPATCH),
    ],
)
def test_a_hand_out_is_refused_with_what_it_waits_for(facts: FixedFacts, waits_for: WaitReason):
    outcome = decide(SITUATIONS["pending"](), facts, HandOut(task_id=TASK_ID, actor="s"), NOW, REVISION)
    assert answer_of(outcome) == "NOT_DISPATCHABLE"
    assert outcome.metadata["wait_reason"] == waits_for


def test_a_task_of_an_unknown_type_waits_for_a_worker_and_takes_its_policy_at_hand_out():
    unknown = FixedFacts(types={})
    created = decide(None, unknown, _create()(None), NOW, 1).task
    assert (created.wait_reason, created.policy_frozen, created.queue) == (WaitReason.NO_WORKER, False, None)
    hand_out = HandOut(task_id=TASK_ID, actor="s")
    assert decide(created, unknown, hand_out, NOW, 2).metadata["wait_reason"] == WaitReason.NO_WORKER
    handed_out = decide(created, FixedFacts(), hand_out, NOW, 3).task
    assert (handed_out.policy_frozen, handed_out.queue, handed_out.timeout_s) == (True, "default", 60.0)
    assert (handed_out.max_attempts, handed_out.retry_on_loss) == (2, True)


def test_the_creators_own_words_win_over_the_types():
    asked = replace(_create()(None), queue="own", timeout_s=5.0, max_attempts=7, retry_on_loss=False)
    created = decide(None, FixedFacts(), asked, NOW, 1).task
    assert (created.queue, created.timeout_s, created.max_attempts) == ("own", 5.0, 7)
    assert created.retry_on_loss is False


def test_a_message_handed_out_again_keeps_its_number():
    task = SITUATIONS["pending_handed_out_long_ago"]()
    again = decide(task, FixedFacts(used=1), HandOut(task_id=TASK_ID, actor="s"), NOW, REVISION).task
    assert (again.dispatch, again.handed_out_time) == (task.dispatch, NOW)


@pytest.mark.parametrize(("attempt", "delay_s"), [(1, 1), (2, 2), (3, 4), (7, 60), (50, 60)])
def test_the_next_attempt_is_due_after_a_delay_that_doubles(attempt: int, delay_s: float):
    task = replace(SITUATIONS["running"](), attempt=attempt, max_attempts=100)
    failed = decide(task, FixedFacts(), _held(FinishAttempt, error=ERROR)(task), NOW, REVISION).task
    assert failed.due_time == NOW + timedelta(seconds=delay_s)


def test_a_phase_beyond_the_limit_is_refused():
    full = progress.declared((f"p{n}", "") for n in range(progress.PHASES_MAX))
    task = replace(SITUATIONS["running"](), phases=full)
    for state in (PhaseState.RUNNING, PhaseState.DONE):
        one_more = _held(ReportPhase, phase_id="more", state=state)(task)
        assert answer_of(decide(task, FixedFacts(), one_more, NOW, REVISION)) == "LIMIT_EXCEEDED"
        known = _held(ReportPhase, phase_id="p0", state=state)(task)
        assert answer_of(decide(task, FixedFacts(), known, NOW, REVISION)) == "RUNNING PHASE"


def test_a_phase_that_has_ended_stays_ended():
    task = SITUATIONS["running"]()
    ended = decide(
        task, FixedFacts(), _held(ReportPhase, phase_id="a", state=PhaseState.DONE)(task), NOW, REVISION
    ).task
    for state in (PhaseState.RUNNING, PhaseState.FAILED):
        again = _held(ReportPhase, sequence=31, phase_id="a", state=state)(ended)
        outcome = decide(ended, FixedFacts(), again, NOW, REVISION + 1)
        assert answer_of(outcome) == "hot"
        assert outcome.task.phases == ended.phases


def test_an_exit_tells_how_the_process_ended_and_why_the_task_is_lost():
    task = SITUATIONS["running_last_attempt"]()
    killed = command.ProcessExit(signal=9)
    lost = decide(task, FixedFacts(), _held(AttemptExited, exit=killed)(task), NOW, REVISION)
    assert (lost.task.reason, lost.task.exit) == (Reason.WORKER_LOST, replace(killed, exit_time=NOW))
    assert "signal 9" in lost.event.message
    assert lost.task.message == lost.event.message
