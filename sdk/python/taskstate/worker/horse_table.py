"""What a supervisor knows of its work-horses: who asked, who runs, who has gone, and what is to be said about each.

Every rule about an attempt on this side stands here. It waits for nothing and reads no clock of its own; the supervisor
calls it on its event loop with what RQ workers, work-horses and TaskState said.

A message that was taken is *claimed* until its work-horse has gone. A start is *decided* once TaskState granted or refused
it: then the message has done its duty and is removed; until then it goes back to its queue, which is always safe, as
TaskState refuses a start that it has granted before.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from taskstate.task import PHASES_MAX
from taskstate.v1 import task_pb2, work_horse_pb2, worker_service_pb2
from taskstate.worker.process import kill_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.duration_pb2 import Duration

    from taskstate.worker.local_server import Peer
    from taskstate.worker.outbox import Outbox
    from taskstate.worker.stopping import Stop

log = logging.getLogger(__name__)

REASON_DRAINING: Final = "DRAINING"


@dataclass
class Horse:
    """A work-horse that has asked to start."""

    peer: Peer
    claim: Claim
    start_sequence: int
    last_sign_s: float
    """When it last gave a sign of life, by the clock handed to the table."""
    fencing_token: int = 0
    """The attempt's token; zero until the start is granted."""
    fenced: bool = False
    """The attempt is over for us: nothing more is said about it, but that it was signalled and has gone."""
    asked_s: float = 0.0
    """When it asked to start."""
    started_s: float = 0.0
    """When its start was granted."""
    changed_s: float = 0.0
    """When it last told something new: progress, a phase, items, a log line."""
    timeout_s: float | None = None
    stall_timeout_s: float | None = None
    exclusive: bool = False
    stop: Stop | None = None
    """How it is being stopped, once it is."""
    _progress: dict[str, worker_service_pb2.ReportProgress] = field(default_factory=dict)
    """What is known of each phase's progress, to tell news from repetition."""

    def is_news(self, report: worker_service_pb2.ReportProgress) -> bool:
        """Whether the report says anything that was not said before about the same phase."""
        known = self._progress.get(report.phase_id)
        if known is None:
            if len(self._progress) <= PHASES_MAX:
                self._progress[report.phase_id] = worker_service_pb2.ReportProgress.FromString(
                    report.SerializeToString()
                )
            return True
        before = known.SerializeToString(deterministic=True)
        known.MergeFrom(report)
        return known.SerializeToString(deterministic=True) != before


@dataclass
class Claim:
    """A message that an RQ worker has taken."""

    task_id: str
    dispatch: int
    decided: bool = False
    """TaskState granted or refused the start."""
    horse: Horse | None = None


@dataclass
class HorseTable:
    """The work-horses of one supervisor. ``clock`` answers seconds that only grow."""

    outbox: Outbox
    clock: Callable[[], float]
    exclusive_types: frozenset[str] = frozenset()
    """The types that were declared as exclusive."""
    claims: dict[int, Claim] = field(default_factory=dict)
    """By the RQ worker's pid; each runs one message at a time."""
    _departed: dict[int, worker_service_pb2.AttemptExited] = field(default_factory=dict)
    """The exits of work-horses that went after their start was asked for and before it was answered, by its number."""

    # --- What RQ workers and work-horses say.

    def taken(self, rq_worker_pid: int, taken: work_horse_pb2.MessageTaken) -> None:
        """An RQ worker has taken a message."""
        self.claims[rq_worker_pid] = Claim(taken.task_id, taken.dispatch)

    def ask_to_start(self, peer: Peer, start: worker_service_pb2.StartAttempt) -> None:
        """A work-horse asks to start; it must be for the message that its RQ worker has taken."""
        claim = self.claims.get(peer.rq_worker_pid)
        if (
            claim is None
            or claim.horse is not None
            or (claim.task_id, claim.dispatch) != (start.task_id, start.dispatch)
        ):
            log.warning("process %d asked for a start that is not its own", peer.pid, extra={"event": "bad_start"})
            peer.send(_refusal("STALE_DISPATCH", "the message is not this process's"))
            return
        start.horse_pid = peer.pid
        now = self.clock()
        claim.horse = Horse(peer, claim, self.outbox.start(start), now, asked_s=now)

    def say(self, peer: Peer, request: work_horse_pb2.LocalRequest) -> None:
        """A running work-horse said something about its attempt; it goes on under the attempt's own id and token."""
        horse = self._running_horse(peer)
        if horse is None:
            return
        horse.last_sign_s = self.clock()
        body = request.WhichOneof("body")
        if body == "cancel_taken":
            self.receipt(horse, worker_service_pb2.CANCEL_STAGE_DELIVERED)
            return
        if body == "sign_of_life" or (horse.fenced and body != "finish"):
            return
        report = getattr(request, body or "")
        report.task_id, report.fencing_token = horse.claim.task_id, horse.fencing_token
        match body:
            case "progress":
                if horse.is_news(report):
                    horse.changed_s = horse.last_sign_s
                self.outbox.progress(report)
            case "phase":
                horse.changed_s = horse.last_sign_s
                self.outbox.phase(report)
            case "logs":
                if report.lines:
                    horse.changed_s = horse.last_sign_s
                    self.outbox.logs(report)
            case "finish":
                self._finish(horse, report)

    def gone(
        self, rq_worker_pid: int, exited: task_pb2.ProcessExit | None, *, with_rq_worker: bool = False
    ) -> work_horse_pb2.DisposeMessage | None:
        """The work-horse of an RQ worker has gone, with all it left; everything it sent has been taken in.

        ``with_rq_worker``: its RQ worker is gone too, so a message whose start was not asked for is handed back to
        TaskState, and not to a queue that perhaps nobody serves. Answers what to do with the message; None when the RQ
        worker had none.
        """
        claim = self.claims.pop(rq_worker_pid, None)
        if claim is None:
            return None
        horse = claim.horse
        if horse is not None and horse.fencing_token:
            self.outbox.exited(_exit_of(horse, exited))
        elif horse is not None and not claim.decided and not self.outbox.withdraw(horse.start_sequence):
            # The start is on its way; should it be granted, nobody is there to run it.
            self._departed[horse.start_sequence] = _exit_of(horse, exited)
        elif with_rq_worker and not claim.decided:
            self.outbox.release(claim.task_id, claim.dispatch)
            claim.decided = True
        return work_horse_pb2.DisposeMessage(task_id=claim.task_id, dispatch=claim.dispatch, put_back=not claim.decided)

    # --- What TaskState says.

    def started(self, answer: worker_service_pb2.AttemptStarted) -> None:
        """A start was granted: the work-horse runs from here on, or has gone already."""
        departed = self._departed.pop(answer.sequence, None)
        if departed is not None:
            departed.fencing_token = answer.fencing_token
            self.outbox.exited(departed)
            return
        horse = self._horse_of_start(answer.sequence)
        if horse is None or horse.fencing_token:
            return
        horse.claim.decided = True
        horse.fencing_token = answer.fencing_token
        horse.last_sign_s = horse.started_s = horse.changed_s = self.clock()
        horse.timeout_s = _seconds(answer.timeout) if answer.HasField("timeout") else None
        horse.stall_timeout_s = _seconds(answer.stall_timeout) if answer.HasField("stall_timeout") else None
        horse.exclusive = answer.type in self.exclusive_types
        horse.peer.send(work_horse_pb2.LocalResponse(started=answer))

    def refused(self, answer: worker_service_pb2.Refused) -> None:
        """A message was refused; only the refusal of a start has somebody who waits for it."""
        if self._departed.pop(answer.sequence, None) is not None:
            return
        horse = self._horse_of_start(answer.sequence)
        if horse is not None and not horse.fencing_token:
            horse.claim.decided = True
            horse.peer.send(work_horse_pb2.LocalResponse(refused=answer))
            return
        log.warning(
            "TaskState refused a message about task %s: %s",
            answer.task_id,
            answer.message or answer.reason,
            extra={"event": "message_refused", "task_id": answer.task_id, "reason": answer.reason},
        )

    def fenced(self, answer: worker_service_pb2.Fenced) -> None:
        """An attempt is over for us: forget what was to be said, and kill its process at once."""
        self.outbox.drop_attempt(answer.task_id, answer.fencing_token)
        horse = self.find(answer.task_id, answer.fencing_token)
        if horse is None or horse.fenced:
            return
        log.warning(
            "killed the work-horse of task %s, which is fenced: %s",
            answer.task_id,
            answer.message,
            extra={"event": "fenced", "task_id": answer.task_id, "fencing_token": answer.fencing_token},
        )
        horse.fenced = True
        if kill_group(horse.peer.pid, horse.peer.pidfd):
            # A forced stop may be fenced before its order comes; its receipt is to be complete all the same.
            self.receipt(horse, worker_service_pb2.CANCEL_STAGE_SIGNALLED)

    def heartbeat(self) -> worker_service_pb2.Heartbeat:
        """What is known of every attempt, and the messages that are taken and not started."""
        heartbeat = worker_service_pb2.Heartbeat()
        for claim in self.claims.values():
            horse = claim.horse
            if horse is not None and horse.fencing_token:
                health = heartbeat.attempts.add(task_id=claim.task_id, fencing_token=horse.fencing_token)
                health.sign_of_life_age.FromMicroseconds(round((self.clock() - horse.last_sign_s) * 1e6))
            else:
                heartbeat.claims.add(task_id=claim.task_id, dispatch=claim.dispatch)
        return heartbeat

    def held(self) -> list[worker_service_pb2.ResumeAttempt]:
        """Every attempt whose process has not gone, to be moved to a new stream."""
        return [
            worker_service_pb2.ResumeAttempt(task_id=horse.claim.task_id, fencing_token=horse.fencing_token)
            for horse in self.horses()
            if horse.fencing_token and not horse.fenced
        ]

    # --- What the supervisor does with them.

    def find(self, task_id: str, fencing_token: int) -> Horse | None:
        """The work-horse of an attempt, until it has gone."""
        of_it = (horse for horse in self.horses() if horse.fencing_token == fencing_token)
        return next((horse for horse in of_it if fencing_token and horse.claim.task_id == task_id), None)

    def horses(self) -> list[Horse]:
        """Every work-horse that has asked to start and has not gone."""
        return [claim.horse for claim in self.claims.values() if claim.horse is not None]

    def send_home_unsent(self) -> None:
        """Refuse the starts that TaskState has not been asked for yet: this supervisor will not see their answers."""
        for horse in self.horses():
            if not horse.fencing_token and self.outbox.withdraw(horse.start_sequence):
                horse.peer.send(_refusal(REASON_DRAINING, "the worker is stopping; the message goes back to its queue"))

    def receipt(self, horse: Horse, stage: worker_service_pb2.CancelStage) -> None:
        """Say how far an order to stop a work-horse got."""
        self.outbox.receipt(
            worker_service_pb2.CancelReceipt(
                task_id=horse.claim.task_id, fencing_token=horse.fencing_token, stage=stage
            )
        )

    def _finish(self, horse: Horse, finish: worker_service_pb2.FinishAttempt) -> None:
        if not horse.fenced and not self.outbox.finish(finish):
            log.error(
                "dropped the last word of task %s: too many wait for TaskState",
                finish.task_id,
                extra={"event": "finish_dropped", "task_id": finish.task_id},
            )
        horse.peer.send(work_horse_pb2.LocalResponse(finish_taken=work_horse_pb2.FinishTaken()))

    def _running_horse(self, peer: Peer) -> Horse | None:
        claim = self.claims.get(peer.rq_worker_pid)
        horse = claim.horse if claim else None
        return horse if horse is not None and horse.peer is peer and horse.fencing_token else None

    def _horse_of_start(self, sequence: int) -> Horse | None:
        return next((horse for horse in self.horses() if horse.start_sequence == sequence), None)


def _exit_of(horse: Horse, exited: task_pb2.ProcessExit | None) -> worker_service_pb2.AttemptExited:
    told = worker_service_pb2.AttemptExited(task_id=horse.claim.task_id, fencing_token=horse.fencing_token, exit=exited)
    if horse.stop is not None and horse.stop.signalled:
        told.cause = horse.stop.cause
    return told


def _seconds(duration: Duration) -> float:
    return duration.ToTimedelta().total_seconds()


def _refusal(reason: str, message: str) -> work_horse_pb2.LocalResponse:
    return work_horse_pb2.LocalResponse(refused=worker_service_pb2.Refused(reason=reason, message=message))
