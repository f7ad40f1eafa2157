"""The rules about attempts on the supervisor's side, one by one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from taskstate.v1 import task_pb2, work_horse_pb2
from taskstate.v1 import worker_service_pb2 as api
from taskstate.worker.horse_table import HorseTable
from taskstate.worker.local_server import Peer
from taskstate.worker.outbox import Outbox
from taskstate.worker.process import has_ended, kill_group

TASK = "11111111-1111-4111-8111-111111111111"
RQ_WORKER = 10
EXIT = task_pb2.ProcessExit(signal=9)


@dataclass(eq=False)
class FakePeer:
    """A work-horse's connection that keeps what it is told."""

    pid: int = 11
    rq_worker_pid: int = RQ_WORKER
    pidfd: int = -1
    told: list[Any] = field(default_factory=list)

    def send(self, message: work_horse_pb2.LocalResponse) -> None:
        body = message.WhichOneof("body")
        self.told.append((body, getattr(message, body or "")))


@dataclass
class Scene:
    """A table, its outbox, a clock that is moved by hand, and one work-horse."""

    now: float = 100.0
    outbox: Outbox = field(default_factory=Outbox)
    horse: FakePeer = field(default_factory=FakePeer)

    def __post_init__(self) -> None:
        self.table = HorseTable(self.outbox, lambda: self.now)

    @property
    def peer(self) -> Peer:
        return cast("Peer", self.horse)

    def ask(self) -> int:
        """The RQ worker takes the message, and its work-horse asks to start; answers the start's number."""
        self.table.taken(RQ_WORKER, work_horse_pb2.MessageTaken(task_id=TASK, dispatch=1))
        self.table.ask_to_start(self.peer, api.StartAttempt(task_id=TASK, dispatch=1, start_id="s"))
        claim_horse = self.table.claims[RQ_WORKER].horse
        assert claim_horse is not None
        return claim_horse.start_sequence

    def start(self) -> None:
        """As `ask`, and the start is granted."""
        sequence = self.ask()
        self.sent()
        self.outbox.answered(sequence)
        self.table.started(api.AttemptStarted(sequence=sequence, task_id=TASK, fencing_token=7))

    def say(self, **body: Any) -> None:
        self.table.say(self.peer, work_horse_pb2.LocalRequest(**body))

    def sent(self) -> list[tuple[str | None, Any]]:
        """What goes to TaskState now."""
        messages = self.outbox.take()
        for message in messages:
            if message.WhichOneof("body") != "start":
                self.outbox.answered(message.sequence)
        return [(kind, getattr(message, kind or "")) for message in messages if (kind := message.WhichOneof("body"))]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_start_is_asked_for_with_the_pid_the_kernel_told(scene: Scene) -> None:
    scene.ask()
    [(kind, start)] = scene.sent()
    assert (kind, start.task_id, start.horse_pid) == ("start", TASK, 11)


@pytest.mark.parametrize("dispatch", [2, 0])
def test_a_start_of_another_message_is_refused(scene: Scene, dispatch: int) -> None:
    scene.table.taken(RQ_WORKER, work_horse_pb2.MessageTaken(task_id=TASK, dispatch=1))
    scene.table.ask_to_start(scene.peer, api.StartAttempt(task_id=TASK, dispatch=dispatch))
    assert scene.horse.told[0][0] == "refused"
    assert scene.sent() == []


def test_a_process_that_has_gone_cannot_start(scene: Scene) -> None:
    scene.table.taken(RQ_WORKER, work_horse_pb2.MessageTaken(task_id=TASK, dispatch=1))
    scene.table.gone(RQ_WORKER, EXIT)
    scene.table.ask_to_start(scene.peer, api.StartAttempt(task_id=TASK, dispatch=1))
    assert scene.horse.told[0][0] == "refused"
    assert scene.sent() == []


def test_what_a_horse_says_goes_under_the_attempts_own_name(scene: Scene) -> None:
    scene.start()
    scene.say(progress=api.ReportProgress(task_id="another", fencing_token=99, done=1))
    scene.say(phase=api.ReportPhase(phase_id="a", state=task_pb2.PHASE_STATE_RUNNING))
    scene.say(logs=api.AppendLogs(lines=[task_pb2.LogLine(sequence=1, text="x")]))
    scene.say(logs=api.AppendLogs())
    scene.say(finish=api.FinishAttempt(result="1"))
    said = scene.sent()
    assert [kind for kind, _ in said] == ["progress", "phase", "logs", "finish"]
    assert {(body.task_id, body.fencing_token) for _, body in said} == {(TASK, 7)}
    assert [kind for kind, _ in scene.horse.told] == ["started", "finish_taken"]


def test_nothing_is_said_before_the_start_is_granted_nor_by_strangers(scene: Scene) -> None:
    scene.ask()
    scene.sent()
    scene.say(progress=api.ReportProgress(done=1))
    scene.table.say(cast("Peer", FakePeer(pid=12)), work_horse_pb2.LocalRequest(finish=api.FinishAttempt(result="1")))
    assert scene.sent() == []


def test_an_exit_is_told_and_the_message_removed(scene: Scene) -> None:
    scene.start()
    disposal = scene.table.gone(RQ_WORKER, EXIT)
    assert disposal == work_horse_pb2.DisposeMessage(task_id=TASK, dispatch=1, put_back=False)
    [(kind, told)] = scene.sent()
    assert (kind, told.fencing_token, told.exit.signal) == ("exited", 7, 9)
    assert scene.table.gone(RQ_WORKER, EXIT) is None


def test_a_message_whose_start_was_never_decided_goes_back(scene: Scene) -> None:
    scene.ask()
    disposal = scene.table.gone(RQ_WORKER, EXIT)
    assert disposal is not None
    assert disposal.put_back
    assert scene.outbox.is_empty


def test_a_start_that_is_granted_too_late_is_told_as_exited(scene: Scene) -> None:
    sequence = scene.ask()
    scene.sent()
    disposal = scene.table.gone(RQ_WORKER, EXIT)
    assert disposal is not None
    assert disposal.put_back
    scene.outbox.answered(sequence)
    scene.table.started(api.AttemptStarted(sequence=sequence, task_id=TASK, fencing_token=7))
    [(kind, told)] = scene.sent()
    assert (kind, told.fencing_token, told.exit.signal) == ("exited", 7, 9)


def test_a_refused_start_ends_the_horse_and_removes_the_message(scene: Scene) -> None:
    sequence = scene.ask()
    scene.sent()
    scene.table.refused(api.Refused(sequence=sequence, task_id=TASK, reason="STALE_DISPATCH"))
    assert scene.horse.told[0][0] == "refused"
    disposal = scene.table.gone(RQ_WORKER, EXIT)
    assert disposal is not None
    assert not disposal.put_back


def test_an_answer_that_comes_twice_starts_once(scene: Scene) -> None:
    scene.start()
    horse = scene.table.horses()[0]
    scene.table.started(api.AttemptStarted(sequence=horse.start_sequence, task_id=TASK, fencing_token=7))
    assert len(scene.horse.told) == 1


def test_a_heartbeat_tells_ages_and_claims(scene: Scene) -> None:
    scene.ask()
    assert scene.table.heartbeat().claims == [api.DispatchClaim(task_id=TASK, dispatch=1)]
    scene.sent()
    scene.table.started(api.AttemptStarted(sequence=1, task_id=TASK, fencing_token=7))
    scene.now += 3.5
    [health] = scene.table.heartbeat().attempts
    assert (health.fencing_token, health.sign_of_life_age.ToMilliseconds()) == (7, 3500)
    scene.say(sign_of_life=work_horse_pb2.SignOfLife())
    assert scene.table.heartbeat().attempts[0].sign_of_life_age.ToMilliseconds() == 0


def test_when_draining_only_unsent_starts_go_home(scene: Scene) -> None:
    scene.ask()
    scene.table.send_home_unsent()
    assert scene.horse.told[0][1].reason == "DRAINING"
    disposal = scene.table.gone(RQ_WORKER, EXIT)
    assert disposal is not None
    assert disposal.put_back

    scene.ask()
    scene.sent()
    scene.table.send_home_unsent()
    assert len(scene.horse.told) == 1


@pytest.fixture
def sleeper() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process that leads its group and sleeps, and its pidfd."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
    pidfd = os.pidfd_open(process.pid)
    yield process, pidfd
    process.kill()
    process.wait()
    os.close(pidfd)


def test_a_fenced_attempt_is_killed_and_says_only_that_it_was_killed_and_has_gone(
    scene: Scene, sleeper: tuple[subprocess.Popen[bytes], int]
) -> None:
    process, scene.horse.pidfd = sleeper
    scene.horse.pid = process.pid
    scene.start()
    scene.say(progress=api.ReportProgress(done=1))
    scene.table.fenced(api.Fenced(task_id=TASK, fencing_token=6))
    assert process.poll() is None
    scene.table.fenced(api.Fenced(task_id=TASK, fencing_token=7))
    assert process.wait(5) == -signal.SIGKILL
    scene.say(progress=api.ReportProgress(done=2))
    scene.say(finish=api.FinishAttempt(result="1"))
    scene.table.gone(RQ_WORKER, EXIT)
    # What was to be said already, the exit, is not forgotten by a second fence.
    scene.table.fenced(api.Fenced(task_id=TASK, fencing_token=7))
    assert [kind for kind, _ in scene.sent()] == ["cancel_receipt", "exited"]


def test_a_process_that_ended_is_not_killed_again(sleeper: tuple[subprocess.Popen[bytes], int]) -> None:
    process, pidfd = sleeper
    assert not has_ended(pidfd)
    assert kill_group(process.pid, pidfd)
    process.wait()
    assert has_ended(pidfd)
    assert not kill_group(process.pid, pidfd)


def test_a_group_that_is_not_the_processs_own_is_spared() -> None:
    # It stays in our group: to kill the group would end this test run.
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pidfd = os.pidfd_open(process.pid)
    assert kill_group(process.pid, pidfd)
    assert process.wait(5) == -signal.SIGKILL
    os.close(pidfd)


# --- Messages that are handed back, and what counts as news.


def test_a_message_that_a_dead_rq_worker_had_taken_is_handed_back(scene: Scene) -> None:
    scene.table.taken(RQ_WORKER, work_horse_pb2.MessageTaken(task_id=TASK, dispatch=3))
    disposal = scene.table.gone(RQ_WORKER, None, with_rq_worker=True)
    assert disposal == work_horse_pb2.DisposeMessage(task_id=TASK, dispatch=3, put_back=False)
    assert scene.sent() == [("release", api.ReleaseDispatch(task_id=TASK, dispatch=3))]


def test_a_start_that_was_not_sent_is_handed_back_with_its_rq_worker(scene: Scene) -> None:
    scene.ask()
    disposal = scene.table.gone(RQ_WORKER, EXIT, with_rq_worker=True)
    assert disposal is not None
    assert not disposal.put_back
    assert [kind for kind, _ in scene.sent()] == ["release"]


def test_a_start_that_may_have_been_granted_is_not_handed_back(scene: Scene) -> None:
    sequence = scene.ask()
    scene.sent()
    disposal = scene.table.gone(RQ_WORKER, EXIT, with_rq_worker=True)
    assert disposal is not None
    assert disposal.put_back
    assert scene.sent() == []
    scene.table.refused(api.Refused(sequence=sequence, task_id=TASK, reason="STALE_DISPATCH"))
    assert scene.sent() == []


def test_a_running_attempt_is_not_handed_back(scene: Scene) -> None:
    scene.start()
    scene.table.gone(RQ_WORKER, EXIT, with_rq_worker=True)
    assert [kind for kind, _ in scene.sent()] == ["exited"]


def test_only_news_counts_as_progress(scene: Scene) -> None:
    scene.start()
    horse = scene.table.horses()[0]

    def changes(**body: Any) -> bool:
        scene.now += 1
        scene.say(**body)
        assert horse.last_sign_s == scene.now
        return horse.changed_s == scene.now

    assert changes(progress=api.ReportProgress(done=1, total=9))
    assert not changes(progress=api.ReportProgress(done=1))
    assert not changes(progress=api.ReportProgress(total=9))
    assert changes(progress=api.ReportProgress(items_processed=1))
    assert not changes(progress=api.ReportProgress(done=1, items_processed=1))
    assert changes(progress=api.ReportProgress(done=1, message="other words"))
    assert changes(progress=api.ReportProgress(phase_id="a", done=1))
    assert not changes(sign_of_life=work_horse_pb2.SignOfLife())
    assert changes(phase=api.ReportPhase(phase_id="a", state=task_pb2.PHASE_STATE_DONE))
    assert changes(logs=api.AppendLogs(lines=[task_pb2.LogLine(sequence=1, text="x")]))


def test_that_a_work_horse_heard_of_a_stop_is_told(scene: Scene) -> None:
    scene.start()
    scene.say(cancel_taken=work_horse_pb2.CancelTaken())
    [(kind, receipt)] = scene.sent()
    assert (kind, receipt.task_id, receipt.fencing_token) == ("cancel_receipt", TASK, 7)
    assert receipt.stage == api.CANCEL_STAGE_DELIVERED
