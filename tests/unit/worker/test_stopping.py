"""Stops, step by step, with a clock that is moved by hand and a kill that is only noted."""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from taskstate.v1 import work_horse_pb2
from taskstate.v1 import worker_service_pb2 as api
from taskstate.worker import stopping as module
from taskstate.worker.stopping import Stopping

from tests.unit.worker.test_horse_table import EXIT, RQ_WORKER, TASK, Scene

TERM, KILL = signal.SIGTERM, signal.SIGKILL


@dataclass
class Stage(Scene):
    """A scene with one running attempt, and the signals that were sent, each with its moment from the start."""

    signals: list[tuple[float, signal.Signals]] = field(default_factory=list)
    alive: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stopping = Stopping(self.table)

    def kill_group(self, pid: int, _pidfd: int, how: signal.Signals) -> bool:
        assert pid == self.horse.pid
        if self.alive:
            self.signals.append((self.now - 100, how))
        return self.alive

    def run(self, type_name: str = "t", **limits: float) -> None:
        """Start the attempt."""
        sequence = self.ask()
        self.sent()
        self.outbox.answered(sequence)
        started = api.AttemptStarted(sequence=sequence, task_id=TASK, fencing_token=7, type=type_name)
        for name, seconds in limits.items():
            getattr(started, name).FromTimedelta(timedelta(seconds=seconds))
        self.table.started(started)

    def cancel(self, message_grace: float = 5, term_grace: float = 5, token: int = 7) -> None:
        order = api.CancelOrder(task_id=TASK, fencing_token=token)
        order.message_grace.FromTimedelta(timedelta(seconds=message_grace))
        order.term_grace.FromTimedelta(timedelta(seconds=term_grace))
        self.stopping.cancel(order)

    def kill(self, term_grace: float = 1) -> None:
        order = api.KillOrder(task_id=TASK, fencing_token=7)
        order.term_grace.FromTimedelta(timedelta(seconds=term_grace))
        self.stopping.kill(order)

    def pass_time(self, seconds: float) -> None:
        """Let time pass as the supervisor does: from one due moment to the next."""
        end = self.now + seconds
        while (next_s := self.now + self.stopping.run_due()) <= end:
            assert next_s > self.now
            self.now = next_s
        self.now = end

    def end(self) -> Any:
        """The work-horse has gone; answers the exit's cause, and forgets what was said before."""
        self.table.gone(RQ_WORKER, EXIT)
        return self.sent()[-1][1].cause

    @property
    def told(self) -> list[str]:
        return [kind for kind, _ in self.horse.told if kind != "started"]

    def receipts(self) -> list[Any]:
        return [body.stage for kind, body in self.sent() if kind == "cancel_receipt"]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()
    monkeypatch.setattr(module, "kill_group", stage.kill_group)
    return stage


def test_a_cancel_is_told_then_term_then_kill(stage: Stage) -> None:
    stage.run()
    stage.cancel()
    assert stage.told == ["cancel"]
    stage.say(cancel_taken=work_horse_pb2.CancelTaken())
    stage.pass_time(4.9)
    assert stage.signals == []
    assert stage.receipts() == [api.CANCEL_STAGE_DELIVERED]
    stage.pass_time(10)
    assert stage.signals == [(5, TERM), (10, KILL)]
    assert stage.receipts() == [api.CANCEL_STAGE_SIGNALLED]
    assert stage.end() == api.EXIT_CAUSE_ORDERED


def test_a_repeated_cancel_changes_nothing(stage: Stage) -> None:
    stage.run()
    stage.cancel()
    stage.pass_time(4)
    stage.cancel()
    stage.pass_time(20)
    assert stage.told == ["cancel"]
    assert stage.signals == [(5, TERM), (10, KILL)]
    assert stage.receipts() == [api.CANCEL_STAGE_SIGNALLED]


def test_a_force_after_a_cancel_wins(stage: Stage) -> None:
    stage.run()
    stage.cancel()
    stage.pass_time(1)
    stage.kill()
    stage.kill()
    stage.pass_time(20)
    assert stage.signals == [(1, TERM), (2, KILL)]
    assert stage.receipts() == [api.CANCEL_STAGE_SIGNALLED]


def test_a_cancel_after_a_force_does_not_delay_it(stage: Stage) -> None:
    stage.run()
    stage.kill()
    stage.cancel()
    stage.pass_time(20)
    assert stage.signals == [(0, TERM), (1, KILL)]


def test_a_kill_without_grace_sends_no_term(stage: Stage) -> None:
    stage.run()
    stage.kill(term_grace=0)
    stage.pass_time(20)
    assert stage.signals == [(0, KILL)]
    assert stage.receipts() == [api.CANCEL_STAGE_SIGNALLED]


def test_a_task_that_ends_in_the_message_grace_is_not_signalled(stage: Stage) -> None:
    stage.run()
    stage.cancel()
    stage.pass_time(1)
    assert stage.end() == api.EXIT_CAUSE_UNSPECIFIED
    stage.pass_time(20)
    assert stage.signals == []


def test_a_process_that_has_died_is_not_said_to_be_signalled(stage: Stage) -> None:
    stage.run()
    stage.kill()
    stage.alive = False
    stage.pass_time(20)
    assert stage.receipts() == []
    assert stage.end() == api.EXIT_CAUSE_UNSPECIFIED


def test_an_order_for_another_attempt_is_none_for_this(stage: Stage) -> None:
    stage.run()
    stage.cancel(token=6)
    stage.pass_time(20)
    assert (stage.told, stage.signals) == ([], [])


def test_a_time_out_and_its_cause(stage: Stage) -> None:
    stage.run(timeout=30)
    stage.say(progress=api.ReportProgress(done=1))
    assert stage.stopping.run_due() == 30
    stage.pass_time(29)
    stage.say(progress=api.ReportProgress(done=2))
    stage.pass_time(10)
    assert stage.signals == [(30, TERM), (32, KILL)]
    assert stage.receipts() == []
    assert stage.end() == api.EXIT_CAUSE_TIMEOUT


def test_a_stall_counts_from_the_last_news(stage: Stage) -> None:
    stage.run(stall_timeout=10)
    stage.pass_time(9)
    stage.say(progress=api.ReportProgress(done=1))
    stage.pass_time(9)
    stage.say(progress=api.ReportProgress(done=1))
    stage.say(sign_of_life=work_horse_pb2.SignOfLife())
    stage.pass_time(9)
    assert stage.signals == [(19, TERM), (21, KILL)]
    assert stage.end() == api.EXIT_CAUSE_STALLED


def test_a_cancel_while_it_is_timed_out_is_receipted(stage: Stage) -> None:
    stage.run(timeout=30)
    stage.pass_time(31)
    stage.cancel()
    stage.pass_time(5)
    assert stage.signals == [(30, TERM), (32, KILL)]
    assert stage.receipts() == [api.CANCEL_STAGE_SIGNALLED]
    assert stage.end() == api.EXIT_CAUSE_TIMEOUT


def test_the_cause_is_that_of_the_first_signal(stage: Stage) -> None:
    stage.run(timeout=30)
    stage.pass_time(28)
    stage.cancel()
    stage.pass_time(10)
    assert stage.signals == [(30, TERM), (32, KILL)]
    assert stage.end() == api.EXIT_CAUSE_TIMEOUT


def test_a_drain_kills_at_once(stage: Stage) -> None:
    stage.run()
    stage.cancel()
    stage.stopping.drain(RQ_WORKER)
    assert stage.signals == [(0, KILL)]
    assert stage.end() == api.EXIT_CAUSE_DRAINED
    stage.stopping.drain(RQ_WORKER)
    assert len(stage.signals) == 1


def test_a_drained_work_horse_whose_start_is_granted_too_late_was_drained(stage: Stage) -> None:
    sequence = stage.ask()
    stage.sent()
    stage.stopping.drain(RQ_WORKER)
    stage.table.gone(RQ_WORKER, EXIT)
    stage.outbox.answered(sequence)
    stage.table.started(api.AttemptStarted(sequence=sequence, task_id=TASK, fencing_token=7))
    [(kind, told)] = stage.sent()
    assert (kind, told.cause, told.fencing_token) == ("exited", api.EXIT_CAUSE_DRAINED, 7)


def test_an_exclusive_attempt_is_killed_before_its_lease_can_have_ended(stage: Stage) -> None:
    stage.table.exclusive_types = frozenset({"only"})
    stage.stopping.lease_ttl_s = 20
    stage.stopping.heartbeat_answered_s = 95
    stage.run("only")
    # The start itself was granted later than that heartbeat was answered.
    assert stage.stopping.run_due() == 17
    stage.pass_time(10)
    stage.stopping.heartbeat_answered_s = 106
    stage.pass_time(30)
    assert stage.signals == [(23, KILL)]
    assert stage.end() == api.EXIT_CAUSE_LEASE_UNSURE


def test_a_short_lease_has_a_shorter_margin(stage: Stage) -> None:
    stage.table.exclusive_types = frozenset({"only"})
    stage.stopping.lease_ttl_s = 3
    stage.run("only")
    stage.pass_time(30)
    assert stage.signals == [(2, KILL)]


def test_other_types_go_on_without_a_lease(stage: Stage) -> None:
    stage.stopping.lease_ttl_s = 3
    stage.run("t")
    assert stage.stopping.run_due() == math.inf


def test_a_fenced_attempt_is_left_to_its_kill(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from taskstate.worker import horse_table

    monkeypatch.setattr(horse_table, "kill_group", lambda pid, pidfd: stage.kill_group(pid, pidfd, KILL))
    stage.run(timeout=30)
    stage.table.fenced(api.Fenced(task_id=TASK, fencing_token=7))
    stage.pass_time(60)
    assert stage.signals == [(0, KILL)]
