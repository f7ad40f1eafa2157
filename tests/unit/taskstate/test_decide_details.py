"""What the table of decisions does not show: facts that matter, and what a transition writes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.taskstate import command, progress
from services.taskstate.command import (
    AttemptExited,
    FinishAttempt,
    HandOut,
    HearAttempt,
    ReportPhase,
    ReportProgress,
)
from services.taskstate.decide import decide
from services.taskstate.model import PhaseState, Reason, Task, TaskState, WaitReason
from tests.unit.taskstate.answers import answer_of
from tests.unit.taskstate.decision_table import (
    asks_to_create,
    of_attempt,
)
from tests.unit.taskstate.fixed_facts import FixedFacts
from tests.unit.taskstate.situations import (
    ERROR,
    NOW,
    REVISION,
    SITUATIONS,
    TASK_ID,
)


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
    created = decide(None, unknown, asks_to_create()(None), NOW, 1).task
    assert (created.wait_reason, created.policy_frozen, created.queue) == (WaitReason.NO_WORKER, False, None)
    hand_out = HandOut(task_id=TASK_ID, actor="s")
    assert decide(created, unknown, hand_out, NOW, 2).metadata["wait_reason"] == WaitReason.NO_WORKER
    handed_out = decide(created, FixedFacts(), hand_out, NOW, 3).task
    assert (handed_out.policy_frozen, handed_out.queue, handed_out.timeout_s) == (True, "default", 60.0)
    assert (handed_out.max_attempts, handed_out.retry_on_loss) == (2, True)


def test_the_creators_own_words_win_over_the_types():
    asked = replace(asks_to_create()(None), queue="own", timeout_s=5.0, max_attempts=7, retry_on_loss=False)
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
    failed = decide(task, FixedFacts(), of_attempt(FinishAttempt, error=ERROR)(task), NOW, REVISION).task
    assert failed.due_time == NOW + timedelta(seconds=delay_s)


def test_a_phase_beyond_the_limit_is_refused():
    full = progress.declared((f"p{n}", "") for n in range(progress.PHASES_MAX))
    task = replace(SITUATIONS["running"](), phases=full)
    for state in (PhaseState.RUNNING, PhaseState.DONE):
        one_more = of_attempt(ReportPhase, phase_id="more", state=state)(task)
        assert answer_of(decide(task, FixedFacts(), one_more, NOW, REVISION)) == "LIMIT_EXCEEDED"
        known = of_attempt(ReportPhase, phase_id="p0", state=state)(task)
        assert answer_of(decide(task, FixedFacts(), known, NOW, REVISION)) == "RUNNING PHASE"


def test_a_phase_that_has_ended_stays_ended():
    task = SITUATIONS["running"]()
    ended = decide(
        task, FixedFacts(), of_attempt(ReportPhase, phase_id="a", state=PhaseState.DONE)(task), NOW, REVISION
    ).task
    for state in (PhaseState.RUNNING, PhaseState.FAILED):
        again = of_attempt(ReportPhase, sequence=31, phase_id="a", state=state)(ended)
        outcome = decide(ended, FixedFacts(), again, NOW, REVISION + 1)
        assert answer_of(outcome) == "hot"
        assert outcome.task.phases == ended.phases


def test_an_exit_tells_how_the_process_ended_and_why_the_task_is_lost():
    task = SITUATIONS["running_last_attempt"]()
    killed = command.ProcessExit(signal=9)
    lost = decide(task, FixedFacts(), of_attempt(AttemptExited, exit=killed)(task), NOW, REVISION)
    assert (lost.task.reason, lost.task.exit) == (Reason.WORKER_LOST, replace(killed, exit_time=NOW))
    assert "signal 9" in lost.event.message
    assert lost.task.message == lost.event.message


def test_what_a_task_counted_first_stays_its_measure():
    def after(task: Task, *said: dict[str, Any]) -> float:
        for number, what in enumerate(said):
            kind = ReportPhase if "state" in what else ReportProgress
            asked = of_attempt(kind, sequence=30 + number, **what)(task)
            task = decide(task, FixedFacts(), asked, NOW, REVISION + number).task
        return progress.progress_of(task).done

    running = SITUATIONS["running"]()
    count, a_phase = {"done": 50.0, "total": 100.0}, {"phase_id": "a", "state": PhaseState.RUNNING}
    ended = {"phase_id": "b", "state": PhaseState.DONE}
    assert after(running, count, a_phase) == 50.0
    assert after(running, count, a_phase, ended, {"done": 60.0}) == 60.0
    assert after(running, a_phase, ended) == 1.0
    assert after(running, a_phase, ended, count) == 1.0


@pytest.mark.parametrize("situation", ["retrying", "retrying_process_remains", "queued_again"])
def test_a_cancelled_task_has_no_reason_left_of_an_earlier_attempt(situation: str):
    task = SITUATIONS[situation]()
    assert task.reason is Reason.ERROR
    cancelled = decide(task, FixedFacts(), command.CancelTask(task_id=TASK_ID, actor="h"), NOW, REVISION).task
    assert (cancelled.state, cancelled.reason) == (TaskState.CANCELLED, Reason.NONE)


@pytest.mark.parametrize("error_type", ["taskstate.TaskCancelled", "builtins.ValueError"])
def test_a_task_that_gave_way_to_its_stop_has_no_error(error_type: str):
    running = SITUATIONS["running_stop_asked"]()
    error = replace(ERROR, type=error_type)
    finish = FinishAttempt(
        task_id=TASK_ID,
        actor="w",
        fencing_token=running.fencing_token,
        sequence=running.sequence + 1,
        error=error,
        final=True,
    )
    ended = decide(running, FixedFacts(), finish, NOW, REVISION).task
    assert ended.state is TaskState.CANCELLED
    assert ended.error == (None if error_type == "taskstate.TaskCancelled" else error)
    # A heartbeat that crossed the last word does not fence the process that is leaving.
    heartbeat = HearAttempt(
        task_id=TASK_ID, actor="w", fencing_token=running.fencing_token, sequence=running.sequence + 2, age_s=0.1
    )
    assert decide(ended, FixedFacts(), heartbeat, NOW, REVISION).no_op
