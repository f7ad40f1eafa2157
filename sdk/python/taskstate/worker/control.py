"""The RQ worker's side of its conversation with the supervisor: orders come in, exits go out."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from taskstate.v1 import work_horse_pb2
from taskstate.worker.frames import FrameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from google.protobuf.message import Message

    from taskstate.v1 import task_pb2, worker_service_pb2
    from taskstate.worker.frames import BlockingConnection
    from taskstate.worker.message import QueueMessage


class SupervisorLost(Exception):
    """The supervisor is gone or speaks nonsense; the RQ worker must end."""


class Control:
    """What the supervisor has ordered, as of the last look. One thread."""

    def __init__(self, connection: BlockingConnection) -> None:
        self._connection = connection
        self.pop_allowed = False
        """Whether messages may be taken. Not before the supervisor says so."""
        self.stopping = False
        self._has_orders = False
        self._disposals: dict[tuple[str, int], work_horse_pb2.DisposeMessage] = {}

    def fileno(self) -> int:
        """For select, beside another socket."""
        return self._connection.fileno()

    @property
    def may_pop(self) -> bool:
        """Whether to take messages from the queue, as of the last look."""
        return self.pop_allowed and not self.stopping

    def ready(self, types: Iterable[worker_service_pb2.TaskType]) -> list[work_horse_pb2.DisposeMessage]:
        """Say that the tasks are imported; waits for the first order.

        Answers what to do with messages that an RQ worker before this one had taken when it died.
        """
        self._send(work_horse_pb2.LocalRequest(ready=work_horse_pb2.RqWorkerReady(types=types)))
        while not self._has_orders:
            self._receive()
        disposals = list(self._disposals.values())
        self._disposals.clear()
        return disposals

    def taken(self, message: QueueMessage) -> None:
        """Say that a message was taken, before its work-horse can ask to start."""
        taken = work_horse_pb2.MessageTaken(task_id=message.task_id, dispatch=message.dispatch)
        self._send(work_horse_pb2.LocalRequest(taken=taken))

    def gone(
        self, message: QueueMessage, horse_pid: int, exited: task_pb2.ProcessExit | None, orphans_killed: int
    ) -> work_horse_pb2.DisposeMessage:
        """Say that the work-horse and all it left have gone; waits for the answer, which is what to do with the message."""
        gone = work_horse_pb2.HorseGone(
            task_id=message.task_id,
            dispatch=message.dispatch,
            horse_pid=horse_pid,
            exit=exited,
            orphans_killed=orphans_killed,
        )
        self._send(work_horse_pb2.LocalRequest(gone=gone))
        key = (message.task_id, message.dispatch)
        while key not in self._disposals:
            self._receive()
        return self._disposals.pop(key)

    def look(self) -> None:
        """Take in the orders that have arrived. Does not wait."""
        self._wait_readable(0)

    def wait(self, timeout_s: float) -> None:
        """Wait until an order has arrived, or the time is over; a stop order ends the wait, and so does any other."""
        if not self.stopping:
            self._wait_readable(timeout_s)

    def wait_without_stop(self, timeout_s: float) -> bool:
        """Wait for the whole time. Answers False, at once, when a stop order has arrived."""
        deadline = time.monotonic() + timeout_s
        while not self.stopping and (left := deadline - time.monotonic()) > 0:
            self._wait_readable(left)
        return not self.stopping

    def close(self) -> None:
        """Close this process's end."""
        self._connection.close()

    def _wait_readable(self, timeout_s: float) -> None:
        readable: Sequence[object] = [True]
        if not self._connection.has_frame:
            readable, _, _ = select.select([self._connection], [], [], timeout_s)
        if readable:
            self._receive()
        while self._connection.has_frame:
            self._receive()

    def _receive(self) -> None:
        try:
            response = self._connection.receive(work_horse_pb2.LocalResponse)
        except (EOFError, FrameError, OSError) as error:
            raise SupervisorLost(str(error)) from error
        match response.WhichOneof("body"):
            case "pop":
                self.pop_allowed = response.pop.allowed
                self._has_orders = True
            case "stop":
                self.stopping = True
                self._has_orders = True
            case "dispose":
                self._disposals[response.dispose.task_id, response.dispose.dispatch] = response.dispose
            case other:
                raise SupervisorLost(f"an order this RQ worker does not know: {other}")

    def _send(self, message: Message) -> None:
        try:
            self._connection.send(message)
        except OSError as error:
            raise SupervisorLost(str(error)) from error
