"""One batch: commands see each other's effect, and each row is written once, whole."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.taskstate.command import (
    Accepted,
    AttemptExited,
    CancelTask,
    Command,
    ConfirmDispatch,
    CreateTask,
    FinishAttempt,
    HandOut,
    Outcome,
    Refused,
    ReportPhase,
    ReportProgress,
    ResumeAttempt,
    StartAttempt,
)
from services.taskstate.model import PhaseState, ProcessExit, Task, TaskState
from services.taskstate.overlay import Limits, Overlay
from tests.unit.taskstate.fixed_facts import KNOWN_TYPE
from tests.unit.taskstate.memory_store import MemoryStore
from tests.unit.taskstate.situations import ERROR, NOW, WORKER

OTHER_ID = "00000000-0000-4000-8000-000000000002"
TASK_ID = "00000000-0000-4000-8000-000000000001"


class Batches:
    """Batches on tables in memory; each `Overlay` is loaded from what those before it wrote."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.revision = 0
        self.now = NOW
        self.open()

    def open(self) -> None:
        tasks = {task_id: self.store.load(task_id) for task_id in self.store.spec}
        self.overlay = Overlay(
            Limits(dispatch_window=2),
            tasks=tasks,
            types={("default", KNOWN_TYPE.name): KNOWN_TYPE},
            replicas={"replica-1"},
        )
        for task in tasks.values():
            if task.slot is not None:
                self.overlay.slots[task.slot] = self.overlay.slots.get(task.slot, 0) + 1

    def apply(self, *commands: Command) -> list[Outcome]:
        outcomes = []
        for command in commands:
            self.revision += 1
            outcomes.append(self.overlay.apply(command, self.now, self.revision))
        return outcomes

    def done(self, *commands: Command) -> Task:
        """Apply commands that must be accepted; the task of the last one."""
        outcomes = self.apply(*commands)
        refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert not refused
        last = outcomes[-1]
        assert isinstance(last, Accepted)
        return last.task

    def commit(self) -> None:
        """End the batch; what was written is what the batch saw."""
        self.store.write(self.overlay.changes)
        for task_id, task in self.overlay.tasks.items():
            assert self.store.load(task_id) == task
        self.open()


def create(task_id: str = TASK_ID, **asked: object) -> CreateTask:
    return CreateTask(task_id=task_id, actor="http", type=KNOWN_TYPE.name, **asked)  # type: ignore[arg-type]


def hand_out(task_id: str = TASK_ID) -> HandOut:
    return HandOut(task_id=task_id, actor="scheduler")


def start(dispatch: int = 1, task_id: str = TASK_ID) -> StartAttempt:
    return StartAttempt(
        task_id=task_id,
        actor="worker",
        dispatch=dispatch,
        start_id=f"start-{dispatch}",
        worker=WORKER,
        replica_id="replica-1",
        stream_id="stream-1",
        sequence=1,
    )


def progress(token: int, sequence: int, done: float) -> ReportProgress:
    return ReportProgress(
        task_id=TASK_ID, actor="worker", fencing_token=token, sequence=sequence, done=done, total=10.0
    )


def finish(token: int, sequence: int = 50, failed: bool = False) -> FinishAttempt:
    return FinishAttempt(
        task_id=TASK_ID,
        actor="worker",
        fencing_token=token,
        sequence=sequence,
        result=None if failed else '{"n":1}',
        error=ERROR if failed else None,
    )


def exited(token: int) -> AttemptExited:
    return AttemptExited(task_id=TASK_ID, actor="worker", fencing_token=token, sequence=99, exit=ProcessExit(signal=9))


@pytest.fixture
def batches() -> Batches:
    return Batches()


def test_commands_on_one_task_see_each_other(batches: Batches):
    ran = batches.done(create(), hand_out(), start())
    assert (ran.state, ran.attempt, ran.fencing_token) == (TaskState.RUNNING, 1, 3)
    batches.done(progress(3, 2, 4.0), finish(3), exited(3))
    too_late, again = batches.apply(progress(3, 60, 5.0), start())
    assert isinstance(too_late, Refused)
    assert isinstance(again, Refused)
    assert (too_late.reason, again.reason) == ("TOKEN_LOST", "STALE_DISPATCH")
    batches.commit()
    assert [event.kind for event in batches.store.events] == ["CREATED", "HANDED_OUT", "STARTED", "FINISHED", "EXITED"]


def test_a_task_made_and_moved_in_one_batch_is_written_once_as_it_came_out(batches: Batches):
    batches.done(create(), hand_out(), start(), progress(3, 2, 4.0))
    changes = batches.overlay.changes
    assert list(changes.created) == [TASK_ID]
    assert not changes.moved
    assert not changes.progressed
    assert changes.created[TASK_ID].done == 4.0
    batches.commit()


@pytest.mark.parametrize("order", ["progress first", "move first", "both sides"])
def test_a_task_progressed_and_moved_is_written_once_and_whole(batches: Batches, order: str):
    token = batches.done(create(), hand_out(), start()).fencing_token
    batches.commit()
    move = ReportPhase(
        task_id=TASK_ID, actor="worker", fencing_token=token, sequence=10, phase_id="a.b", state=PhaseState.RUNNING
    )
    said = {
        "progress first": [progress(token, 5, 4.0), move],
        "move first": [move, progress(token, 15, 4.0)],
        "both sides": [progress(token, 5, 2.0), move, progress(token, 15, 4.0)],
    }[order]
    batches.done(*said)
    changes = batches.overlay.changes
    assert list(changes.moved) == [TASK_ID]
    assert not changes.progressed
    assert (changes.moved[TASK_ID].done, changes.moved[TASK_ID].phase) == (4.0, "a.b")
    batches.commit()


def test_progress_alone_writes_the_hot_row_and_no_event(batches: Batches):
    token = batches.done(create(), hand_out(), start()).fencing_token
    batches.commit()
    batches.done(progress(token, 5, 2.0), progress(token, 6, 4.0))
    changes = batches.overlay.changes
    assert (list(changes.progressed), changes.moved, changes.events) == ([TASK_ID], {}, [])
    assert not changes.counted
    batches.commit()
    assert batches.store.load(TASK_ID).done == 4.0


def test_two_attempts_in_one_batch_have_a_row_each(batches: Batches):
    token = batches.done(create(), hand_out(), start()).fencing_token
    batches.commit()
    batches.done(finish(token, failed=True), exited(token))
    batches.now += timedelta(minutes=1)
    second = batches.done(hand_out(), start(dispatch=2)).fencing_token
    batches.done(finish(second), exited(second))
    changes = batches.overlay.changes
    assert list(changes.attempts_changed) == [(TASK_ID, 1)]
    assert list(changes.attempts_started) == [(TASK_ID, 2)]
    batches.commit()
    first_row, second_row = (batches.store.attempt[TASK_ID, number] for number in (1, 2))
    assert (first_row["error"]["message"], second_row["error"]) == (ERROR.message, None)
    assert first_row["gone_time"] < second_row["gone_time"]
    assert batches.store.load(TASK_ID).result == '{"n":1}'


def test_both_attempts_may_begin_and_end_in_the_batch_that_made_the_task(batches: Batches):
    first = batches.done(create(), hand_out(), start()).fencing_token
    batches.done(finish(first, failed=True), exited(first))
    batches.now += timedelta(minutes=1)
    second = batches.done(hand_out(), start(dispatch=2)).fencing_token
    batches.done(finish(second, failed=True), exited(second))
    batches.commit()
    assert batches.store.load(TASK_ID).state is TaskState.FAILED
    assert batches.store.attempt.keys() == {(TASK_ID, 1), (TASK_ID, 2)}
    assert batches.store.running_attempts(TASK_ID) == 0


def test_an_attempt_that_moves_to_another_stream_is_written(batches: Batches):
    token = batches.done(create(), hand_out(), start()).fencing_token
    batches.commit()
    batches.done(
        ResumeAttempt(
            task_id=TASK_ID, actor="w", fencing_token=token, sequence=5, replica_id="replica-1", stream_id="stream-2"
        )
    )
    batches.commit()
    assert batches.store.attempt[TASK_ID, 1]["stream_id"] == "stream-2"


def test_a_slot_taken_in_the_batch_is_taken_for_the_next_command(batches: Batches):
    batches.done(create(group="one"), create(OTHER_ID, group="one"))
    first, second = batches.apply(hand_out(), hand_out(OTHER_ID))
    assert isinstance(first, Accepted)
    assert isinstance(second, Refused)
    assert second.metadata["wait_reason"] == "SLOT"
    token = batches.done(start()).fencing_token
    batches.done(finish(token))
    assert isinstance(batches.apply(hand_out(OTHER_ID))[0], Refused)
    batches.done(exited(token), hand_out(OTHER_ID))
    batches.commit()


def test_the_window_of_a_queue_counts_what_the_batch_handed_out(batches: Batches):
    ids = [f"00000000-0000-4000-8000-{number:012d}" for number in range(3)]
    batches.done(*(create(task_id) for task_id in ids))
    outcomes = batches.apply(*(hand_out(task_id) for task_id in ids))
    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [True, True, False]
    batches.done(start(task_id=ids[0]), hand_out(ids[2]))
    batches.commit()


def test_a_request_made_in_the_batch_is_known_to_the_next(batches: Batches):
    asked = create(request_id="r", request_hash="h")
    again = create(OTHER_ID, request_id="r", request_hash="h")
    other = create(OTHER_ID, request_id="r", request_hash="x")
    batches.done(asked, hand_out())
    doubled, refused = batches.apply(again, other)
    assert isinstance(doubled, Accepted)
    assert (doubled.no_op, doubled.task.task_id, doubled.task.dispatch) == (True, TASK_ID, 1)
    assert isinstance(refused, Refused)
    assert list(batches.overlay.tasks) == [TASK_ID]
    batches.commit()


def test_refusals_and_doubles_write_nothing(batches: Batches):
    batches.done(create())
    batches.commit()
    batches.apply(
        start(),
        ConfirmDispatch(task_id=TASK_ID, actor="s", dispatch=7),
        hand_out(OTHER_ID),
        progress(1, 1, 1.0),
        create(),
    )
    changes = batches.overlay.changes
    written = (changes.events, changes.moved, changes.progressed, changes.created, changes.counted)
    assert not any(written)


def test_counters_of_a_batch_sum_up(batches: Batches):
    batches.done(create(), create(OTHER_ID), hand_out(), start())
    batches.done(CancelTask(task_id=OTHER_ID, actor="http"))
    counted = {state: n for (_, _, state), n in batches.overlay.changes.counted.items() if n}
    assert counted == {"RUNNING": 1, "CANCELLED": 1}
    batches.commit()
