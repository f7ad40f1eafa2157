"""The one thread of a work-horse that sends what the task says, and gives signs of life.

It sends at most every ``SEND_INTERVAL_S``, and what piled up meanwhile goes together; the first word after a silence goes
at once. A sign of life goes every 2 s, so it says that the interpreter runs: a task that holds the interpreter lock in C
gives none, and a task that computes in Python does.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from typing import TYPE_CHECKING, Final

from taskstate.v1 import work_horse_pb2
from taskstate.worker.frames import FrameError

if TYPE_CHECKING:
    from taskstate.worker.frames import BlockingConnection
    from taskstate.worker.interruption import Interruption
    from taskstate.worker.outgoing import Outgoing

log = logging.getLogger(__name__)

SEND_INTERVAL_S: Final = 0.1
SIGN_OF_LIFE_INTERVAL_S: Final = 2.0


class Sender:
    """Sends an attempt's words until it is stopped. The connection is the thread's own between start and stop."""

    def __init__(self, connection: BlockingConnection) -> None:
        self._connection = connection
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Tell the thread that there is something to send. Does not wait."""
        os.eventfd_write(self._wake_fd, 1)

    def start(self, outgoing: Outgoing, interruption: Interruption) -> None:
        """Begin to send what ``outgoing`` holds. ``interruption`` is requested when the task was asked to stop."""
        self._thread = threading.Thread(
            target=self._run, args=(outgoing, interruption), name="taskstate-sender", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is unsent stays in ``outgoing``, and the connection is the caller's again."""
        self._stop.set()
        self.wake()
        if self._thread is not None:
            self._thread.join()

    def _run(self, outgoing: Outgoing, interruption: Interruption) -> None:
        try:
            self._send_until_stopped(outgoing, interruption)
        except (OSError, EOFError, FrameError):
            # The supervisor is gone, or about to kill us. The task goes on until then; there is nobody to tell.
            log.warning("the supervisor does not listen any more", exc_info=True)

    def _send_until_stopped(self, outgoing: Outgoing, interruption: Interruption) -> None:
        socket_fd = self._connection.fileno()
        next_sign_s = time.monotonic() + SIGN_OF_LIFE_INTERVAL_S
        while not self._stop.is_set():
            timeout_s = max(0.0, next_sign_s - time.monotonic())
            readable, _, _ = select.select([self._wake_fd, socket_fd], [], [], timeout_s)
            if self._wake_fd in readable:
                os.eventfd_read(self._wake_fd)
            if socket_fd in readable:
                response = self._connection.receive(work_horse_pb2.LocalResponse)
                if response.WhichOneof("body") == "cancel":
                    # First the word that it was heard: the interrupted task may be gone in a moment.
                    self._connection.send(work_horse_pb2.LocalRequest(cancel_taken=work_horse_pb2.CancelTaken()))
                    interruption.request()
            interruption.ask_again()
            requests = outgoing.take()
            if time.monotonic() >= next_sign_s:
                requests.append(work_horse_pb2.LocalRequest(sign_of_life=work_horse_pb2.SignOfLife()))
                next_sign_s = time.monotonic() + SIGN_OF_LIFE_INTERVAL_S
            for request in requests:
                self._connection.send(request)
            if requests:
                self._stop.wait(SEND_INTERVAL_S)
