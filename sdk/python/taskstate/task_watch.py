"""A watch that survives: it resumes from its cursor, and starts again from a snapshot when the cursor is of no use.

The service's WatchTasks stream ends whenever a connection does. What a reader wants is one sequence that goes on.
Between the two stands ``TaskWatch``: it keeps the cursor (the revision of the last transition or checkpoint it gave
out), opens the stream again from there after a failure that may pass, and says so, because what a reader shows in the
meantime is old.

Four kinds of items come out, in the order in which they are to be applied:

TaskChange (message)
    One change, or one row of the snapshot. Apply it if its task's revision is greater than the one you have.
Checkpoint (message)
    Everything up to its revision was given out; carries the database's clock. The first one closes the snapshot.
WatchInterrupted
    The stream broke. What you know is from before; the next item comes when the service answers again.
WatchReset
    What you know so far is void, as history in between is gone: forget it, a snapshot follows.

Never used in an RQ worker or a work-horse: it needs gRPC.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeAlias

import grpc

from taskstate.errors import TaskStateError, from_rpc_error
from taskstate.v1 import task_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INCOMPLETE_SNAPSHOT: Final = "INCOMPLETE_SNAPSHOT"
SILENCE_LIMIT_S: Final = 10.0
"""A checkpoint comes every 2 s at the latest, so a stream that is silent for this long is broken, whatever TCP says."""

_RESET_REASONS: Final = frozenset({"COMPACTED", "FUTURE_REVISION"})
_PAUSE_FIRST_S: Final = 0.2
_PAUSE_MAX_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class WatchInterrupted:
    """The stream broke with `error`; it is opened again after `retry_s` seconds."""

    error: TaskStateError
    retry_s: float


@dataclass(frozen=True, slots=True)
class WatchReset:
    """What is known so far is void; a snapshot follows.

    ``reason``: COMPACTED (the history after the cursor is no longer kept), FUTURE_REVISION (the cursor is from another
    database) or INCOMPLETE_SNAPSHOT (the stream broke inside a snapshot, so there was no cursor yet).
    """

    reason: str


WatchItem: TypeAlias = pb.TaskChange | pb.Checkpoint | WatchInterrupted | WatchReset


class OpenStream(Protocol):
    """Opens one WatchTasks stream; `timeout` is in seconds, None for none."""

    def __call__(self, request: pb.WatchTasksRequest, *, timeout: float | None) -> Any:
        """The running call: an iterator of WatchTasksResponse with a ``cancel`` method."""
        ...


class TaskWatch:
    """Iterate over it once; ``cursor`` is the revision to resume from, None before there is one.

    ``timeout_s``: seconds in all, after which the iteration raises TimeoutError. ``patience_s``: seconds without a word
    from the service after which it gives up and raises the TaskStateError of the last failure; None to try for ever.
    Errors that will not pass, such as INVALID_ARGUMENT, are raised at once.
    """

    def __init__(
        self,
        open_stream: OpenStream,
        request: pb.WatchTasksRequest,
        *,
        timeout_s: float | None = None,
        patience_s: float | None = None,
        silence_limit_s: float = SILENCE_LIMIT_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.cursor: int | None = request.from_revision if request.HasField("from_revision") else None
        self._open_stream = open_stream
        self._request = request
        self._deadline = None if timeout_s is None else clock() + timeout_s
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._silence_limit_s = silence_limit_s
        self._clock = clock
        self._sleep = sleep
        self._heard = clock()
        self._failures = 0
        self._in_snapshot = False

    def __iter__(self) -> Iterator[WatchItem]:
        while True:
            try:
                yield from self._stream_once()
                # The service never ends a watch by itself; a proxy in between, or a replica that stops, may.
                error = TaskStateError("UNAVAILABLE", "", "the server ended the watch")
            except grpc.RpcError as rpc_error:
                error = from_rpc_error(rpc_error)
            if error.reason in _RESET_REASONS and self.cursor is not None:
                self.cursor = None
                yield WatchReset(error.reason)
                continue
            interruption = self._interruption(error)
            yield interruption
            self._sleep(interruption.retry_s)
            if self._in_snapshot:
                # Rows of the torn snapshot may have ended by now, and the next one would not mention them.
                yield WatchReset(INCOMPLETE_SNAPSHOT)

    def _stream_once(self) -> Iterator[WatchItem]:
        """The items of one stream, until it breaks. Cancels the call however it is left, also when the reader stops."""
        request = pb.WatchTasksRequest()
        request.CopyFrom(self._request)
        request.ClearField("from_revision")
        if self.cursor is not None:
            request.from_revision = self.cursor
        self._in_snapshot = False
        call = self._open_stream(request, timeout=self._remaining_s())
        with _SilenceAlarm(call.cancel, self._silence_limit_s) as alarm:
            try:
                while (response := alarm.next_of(call)) is not None:
                    self._heard = self._clock()
                    self._failures = 0
                    yield from self._items(response)
            finally:
                call.cancel()

    def _items(self, response: pb.WatchTasksResponse) -> Iterator[WatchItem]:
        for change in response.changes:
            if change.HasField("event"):
                self.cursor = change.revision
            elif self.cursor is None:
                self._in_snapshot = True
            yield change
        if response.HasField("checkpoint"):
            self.cursor = response.checkpoint.revision
            self._in_snapshot = False
            yield response.checkpoint

    def _interruption(self, error: TaskStateError) -> WatchInterrupted:
        """How long to wait before the next try; raises if there is to be none."""
        now = self._clock()
        if self._deadline is not None and (now >= self._deadline or error.code == "DEADLINE_EXCEEDED"):
            raise TimeoutError(f"it did not happen within {self._timeout_s:g} s") from error
        if not _may_pass(error):
            raise error
        if self._patience_s is not None and now - self._heard >= self._patience_s:
            raise error
        pause = min(_PAUSE_MAX_S, _PAUSE_FIRST_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        # Jittered, because many watchers lose the same server at the same moment.
        pause *= random.uniform(0.5, 1.0)  # noqa: S311
        return WatchInterrupted(error, pause if self._deadline is None else min(pause, self._deadline - now))

    def _remaining_s(self) -> float | None:
        return None if self._deadline is None else max(0.001, self._deadline - self._clock())


class _SilenceAlarm:
    """Calls `cancel` when a wait for the next message lasts longer than the limit.

    Pings notice a dead connection; they do not notice a server whose connection is answered by the gRPC library while
    its own code is stuck. Only the time inside the wait counts: a slow reader is not the server's fault.
    """

    def __init__(self, cancel: Callable[[], object], limit_s: float) -> None:
        self._cancel = cancel
        self._limit_s = limit_s
        self._waiting_since: float | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="taskstate-watch-silence", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._stopped.set()
        self._thread.join()

    def next_of(self, call: Any) -> pb.WatchTasksResponse | None:
        """The next message, or None at the stream's end."""
        self._waiting_since = time.monotonic()
        try:
            response: pb.WatchTasksResponse | None = next(call, None)
            return response
        finally:
            self._waiting_since = None

    def _run(self) -> None:
        while not self._stopped.wait(self._limit_s / 4):
            since = self._waiting_since
            if since is not None and time.monotonic() - since >= self._limit_s:
                self._cancel()
                return


def _may_pass(error: TaskStateError) -> bool:
    """Whether to open the stream again. Codes without a reason come from the transport, not from the service."""
    if error.code == "UNAVAILABLE" or error.reason == "SLOW_WATCHER":
        return True
    return not error.reason and error.code in {"CANCELLED", "UNKNOWN", "INTERNAL"}
