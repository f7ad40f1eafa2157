"""A supervisor as small as can be, so that a test decides when a task starts, what it reports and how it ends."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Self

import grpc
from google.protobuf import duration_pb2
from taskstate.v1 import maintenance_service_pb2 as maintenance
from taskstate.v1 import maintenance_service_pb2_grpc, task_pb2, worker_service_pb2_grpc
from taskstate.v1 import worker_service_pb2 as pb

from tests.support.waiting import wait_until

PHASES = (("fetch", "Fetch"), ("content", "Content"), ("content.media", "Media"))


class OneSupervisor:
    """Knows one type and runs one attempt at a time, without any process. Used as a context manager."""

    def __init__(self, channel: grpc.Channel, type_: str) -> None:
        self._type = pb.TaskType(name=type_, queue="default")
        self._session = worker_service_pb2_grpc.WorkerServiceStub(channel).Session
        self._maintenance = maintenance_service_pb2_grpc.MaintenanceServiceStub(channel)
        self._outgoing: queue.Queue[pb.WorkerMessage | None] = queue.Queue()
        self._answers: list[pb.ServerMessage] = []
        self._sequence = 0
        self._task_id = ""
        self._token = 0

    def __enter__(self) -> Self:
        self._call = self._session(iter(self._requests()))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        worker = task_pb2.Worker(worker_id="w-1", host="a", pid=411, boot_id="boot-1", queues=["default"])
        for phase_id, name in PHASES:
            self._type.phases.add(id=phase_id, name=name)
        self._send(hello=pb.Hello(worker=worker, types=[self._type], sdk_version="test"))
        wait_until(lambda: any(answer.HasField("welcome") for answer in self._answers), what="a welcome")
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._send(good_bye=pb.GoodBye(message="the test is over"))
        self._outgoing.put(None)
        self._reader.join(timeout=10)
        self._call.cancel()

    def start(self, task_id: str) -> None:
        """Takes the task from the queue that is not there, and starts it."""
        dispatch = wait_until(lambda: self._acquired(task_id), what="a dispatch")
        self._maintenance.ConfirmDispatches(maintenance.ConfirmDispatchesRequest(dispatches=[dispatch]), timeout=10)
        sequence = self._send(
            start=pb.StartAttempt(task_id=task_id, dispatch=dispatch.dispatch, start_id=task_id, horse_pid=412)
        )
        started = wait_until(
            lambda: next((a.started for a in self._answers if a.started.sequence == sequence), None), what="a start"
        )
        self._task_id, self._token = task_id, started.fencing_token

    def report(self, **fields) -> None:
        """Reports progress of the attempt; returns once it is committed."""
        self._acknowledged(progress=pb.ReportProgress(task_id=self._task_id, fencing_token=self._token, **fields))

    def phase(self, phase_id: str, state: task_pb2.PhaseState) -> None:
        """Reports a phase's state; returns once it is committed."""
        self._acknowledged(
            phase=pb.ReportPhase(task_id=self._task_id, fencing_token=self._token, phase_id=phase_id, state=state)
        )

    def log(self, *texts: str) -> None:
        """Logs lines; returns once they are stored."""
        lines = [
            task_pb2.LogLine(sequence=(1 << 32) + n, attempt=1, level=task_pb2.LOG_LEVEL_INFO, text=text)
            for n, text in enumerate(texts, start=1)
        ]
        for line in lines:
            line.time.GetCurrentTime()
        self._acknowledged(logs=pb.AppendLogs(task_id=self._task_id, fencing_token=self._token, lines=lines))

    def finish(self, result: str) -> None:
        """Ends the attempt well, and its process that never was."""
        held = {"task_id": self._task_id, "fencing_token": self._token}
        self._acknowledged(finish=pb.FinishAttempt(result=result, **held))
        self._acknowledged(exited=pb.AttemptExited(exit=task_pb2.ProcessExit(exit_code=0), **held))

    def heartbeat(self, sign_of_life_age_s: float) -> None:
        """Tells how old the process's last sign of life is; returns once it is taken in."""
        health = pb.AttemptHealth(task_id=self._task_id, fencing_token=self._token)
        health.sign_of_life_age.FromMilliseconds(round(sign_of_life_age_s * 1000))
        self._acknowledged(heartbeat=pb.Heartbeat(attempts=[health]))

    def wait_for_order(self, kind: str) -> pb.ServerMessage:
        """Waits for a "cancel" or a "kill" of the attempt."""
        return wait_until(
            lambda: next(
                (a for a in self._answers if a.HasField(kind) and getattr(a, kind).fencing_token == self._token), None
            ),
            what=f"an order to {kind}",
        )

    def advance_stop(self, stage: pb.CancelStage) -> None:
        """Reports how far the order to stop got; returns once it is committed."""
        held = {"task_id": self._task_id, "fencing_token": self._token}
        self._acknowledged(cancel_receipt=pb.CancelReceipt(stage=stage, **held))

    def exit_as_ordered(self, signal: int) -> None:
        """Reports that the process went by a signal of ours; returns once it is committed."""
        held = {"task_id": self._task_id, "fencing_token": self._token}
        exit_ = task_pb2.ProcessExit(signal=signal)
        self._acknowledged(exited=pb.AttemptExited(exit=exit_, cause=pb.EXIT_CAUSE_ORDERED, **held))

    def break_off(self) -> None:
        """Ends the stream without a good-bye, as a killed supervisor does."""
        self._call.cancel()

    def _acquired(self, task_id: str) -> maintenance.Dispatch | None:
        request = maintenance.AcquireDispatchesRequest(wait_timeout=duration_pb2.Duration(seconds=1))
        found = self._maintenance.AcquireDispatches(request, timeout=10).dispatches
        return next((dispatch for dispatch in found if dispatch.task_id == task_id), None)

    def _acknowledged(self, **body) -> None:
        sequence = self._send(**body)
        wait_until(
            lambda: any(sequence in answer.ack.sequences for answer in self._answers), what=f"an ack of {list(body)}"
        )

    def _send(self, **body) -> int:
        self._sequence += 1
        self._outgoing.put(pb.WorkerMessage(sequence=self._sequence, **body))
        return self._sequence

    def _requests(self) -> Iterator[pb.SessionRequest]:
        while (message := self._outgoing.get()) is not None:
            yield pb.SessionRequest(messages=[message])

    def _read(self) -> None:
        try:
            for response in self._call:
                self._answers.extend(response.messages)
        except grpc.RpcError:
            # The test is over, or killed the service; who waits for an answer fails by itself.
            return
