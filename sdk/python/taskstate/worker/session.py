"""The gRPC side: one stream to one TaskState replica at a time, for the supervisor's whole life.

A stream begins with a hello and counts once it is welcomed. The attempts that run are moved to it first; then what was not
answered on the last stream is said again, in order, with the old numbers; TaskState drops what it knows. When the stream
ends or breaks, the session opens another after a short wait that grows, from 0.1 s to 1 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from importlib import metadata
from typing import TYPE_CHECKING, Final, Protocol

import grpc
import grpc.aio

from taskstate.channel import aio_channel
from taskstate.v1 import worker_service_pb2, worker_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.duration_pb2 import Duration

    from taskstate.v1 import task_pb2
    from taskstate.worker.outbox import Outbox

    Stream = grpc.aio.StreamStreamCall[worker_service_pb2.SessionRequest, worker_service_pb2.SessionResponse]

log = logging.getLogger(__name__)

WELCOME_TIMEOUT_S: Final = 10.0
RECONNECT_FIRST_S: Final = 0.1
RECONNECT_MAX_S: Final = 1.0
REFUSED_RECONNECT_S: Final = 5.0
"""The wait after a hello was refused: only a change of one side's version or settings helps."""
CLOSE_TIMEOUT_S: Final = 2.0
HEARTBEAT_INTERVAL_MIN_S: Final = 0.1
HEARTBEAT_INTERVAL_DEFAULT_S: Final = 5.0


class NoWelcome(Exception):
    """The service answered, and not as the protocol says."""


class SessionListener(Protocol):
    """Who learns what TaskState says. Called on the event loop; must not wait."""

    def session_up(self, lease_ttl_s: float) -> None:
        """The supervisor was welcomed: starts will be answered. How long an answered heartbeat vouches for attempts."""

    def session_down(self) -> None:
        """The stream is gone."""

    def started(self, answer: worker_service_pb2.AttemptStarted) -> None:
        """A start was granted."""

    def refused(self, answer: worker_service_pb2.Refused) -> None:
        """A message was refused."""

    def fenced(self, answer: worker_service_pb2.Fenced) -> None:
        """An attempt is over for this supervisor."""

    def cancel(self, order: worker_service_pb2.CancelOrder) -> None:
        """A task is to be asked to stop."""

    def kill(self, order: worker_service_pb2.KillOrder) -> None:
        """An attempt's process is to be ended."""

    def heartbeat_answered(self, sent_s: float) -> None:
        """TaskState answered the heartbeat that was sent then, by the clock that only grows."""

    def heartbeat(self) -> worker_service_pb2.Heartbeat:
        """What the supervisor knows of its attempts now."""

    def held(self) -> list[worker_service_pb2.ResumeAttempt]:
        """The attempts that a new stream carries from here on."""


class Session:
    """Carries the outbox to TaskState and the answers back. Make it, and ``run`` it as a task."""

    def __init__(
        self,
        target: str,
        worker: task_pb2.Worker,
        types: Sequence[worker_service_pb2.TaskType],
        outbox: Outbox,
        listener: SessionListener,
    ) -> None:
        self._target = target
        self._worker = worker
        self._types = types
        self._outbox = outbox
        self._listener = listener
        self._there_is_more = asyncio.Event()
        self._answered = asyncio.Event()
        self._closing = asyncio.Event()
        self._good_bye = ""
        self._heartbeats_sent_s: dict[int, float] = {}
        """When the unanswered heartbeats of this stream were sent, by their numbers."""
        self.is_up = False
        """Whether a stream is welcomed now."""

    def wake(self) -> None:
        """Tell that the outbox has something new."""
        self._there_is_more.set()

    async def delivered(self) -> None:
        """Wait until everything in the outbox was said and answered."""
        while not self._outbox.is_empty:
            self._answered.clear()
            await self._answered.wait()

    def close(self, good_bye: str) -> None:
        """Ask ``run`` to say good-bye and return."""
        self._good_bye = good_bye
        self._closing.set()
        self._there_is_more.set()

    async def run(self) -> None:
        """Hold a stream until ``close`` is called."""
        async with aio_channel(self._target) as channel:
            stub = worker_service_pb2_grpc.WorkerServiceStub(channel)
            wait_s, told = RECONNECT_FIRST_S, False
            while not self._closing.is_set():
                try:
                    await self._hold_stream(stub.Session())
                    wait_s, told = RECONNECT_FIRST_S, False
                except (grpc.aio.AioRpcError, NoWelcome, TimeoutError, asyncio.InvalidStateError) as error:
                    if self.is_up:
                        wait_s, told = RECONNECT_FIRST_S, False
                    if not told:
                        log.warning("no session with TaskState: %s", _words(error), extra={"event": "session_lost"})
                        told = True
                    if isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                        wait_s = REFUSED_RECONNECT_S
                finally:
                    self._set_down()
                with contextlib.suppress(TimeoutError):
                    # A little randomness keeps a fleet from coming back in one instant.
                    await asyncio.wait_for(self._closing.wait(), wait_s * random.uniform(0.5, 1.0))  # noqa: S311
                wait_s = min(max(wait_s * 2, RECONNECT_FIRST_S), RECONNECT_MAX_S)

    async def _hold_stream(self, stream: Stream) -> None:
        """One stream, from hello to its end. Returns when the replica drains it or we close; raises when it breaks."""
        try:
            welcome = await self._hello(stream)
            self._heartbeats_sent_s.clear()
            self._outbox.resend(self._listener.held())
            self._outbox.heartbeat(self._listener.heartbeat())
            self.is_up = True
            self._listener.session_up(_seconds(welcome.lease_ttl) or math.inf)
            reading = asyncio.create_task(self._read(stream))
            writing = asyncio.create_task(self._write(stream))
            beating = asyncio.create_task(self._beat(_seconds(welcome.heartbeat_interval)))
            tasks = (reading, writing, beating)
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if writing.done() and writing.exception() is None:
                    await self._end_politely(stream, reading)
                # A broken stream breaks the reading and the writing; the reading knows why.
                for task in (reading, writing, beating):
                    if task.done():
                        task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            stream.cancel()

    async def _hello(self, stream: Stream) -> worker_service_pb2.Welcome:
        """Say who we are; answers once welcomed."""
        hello = worker_service_pb2.Hello(worker=self._worker, types=self._types, sdk_version=_sdk_version())
        message = worker_service_pb2.WorkerMessage(sequence=self._outbox.next_sequence(), hello=hello)
        async with asyncio.timeout(WELCOME_TIMEOUT_S):
            await stream.write(worker_service_pb2.SessionRequest(messages=[message]))
            response = await stream.read()
        if not isinstance(response, worker_service_pb2.SessionResponse):
            raise NoWelcome("the stream ended before the welcome")
        first, *others = response.messages
        if first.WhichOneof("body") != "welcome":
            raise NoWelcome("the first answer was no welcome")
        welcome = first.welcome
        log.info(
            "in session with TaskState replica %s",
            welcome.replica_id,
            extra={"event": "session_up", "replica_id": welcome.replica_id},
        )
        for other in others:
            self._handle(other)
        return welcome

    async def _write(self, stream: Stream) -> None:
        """Send what the outbox has, until we close; then say good-bye, if everything was answered.

        A good-bye says that we hold nothing. With an exit that was not taken it would leave an attempt shown as running,
        and nobody would ever doubt it; a stream that ends without one makes its attempts suspect.
        """
        while True:
            self._there_is_more.clear()
            while messages := self._outbox.take():
                if messages[-1].HasField("heartbeat"):
                    self._heartbeats_sent_s[messages[-1].sequence] = time.monotonic()
                await stream.write(worker_service_pb2.SessionRequest(messages=messages))
            if self._closing.is_set():
                break
            await self._there_is_more.wait()
        if not self._outbox.is_empty:
            return
        good_bye = worker_service_pb2.GoodBye(message=self._good_bye)
        message = worker_service_pb2.WorkerMessage(sequence=self._outbox.next_sequence(), good_bye=good_bye)
        await stream.write(worker_service_pb2.SessionRequest(messages=[message]))

    async def _read(self, stream: Stream) -> None:
        """Hand on what TaskState says. Returns when the replica ends or drains the stream; raises when it breaks."""
        while True:
            response = await stream.read()
            if not isinstance(response, worker_service_pb2.SessionResponse):
                log.info("TaskState ended the stream", extra={"event": "session_ended"})
                return
            drained = [message for message in response.messages if not self._handle(message)]
            self._answered.set()
            # An answer makes room in the window.
            self._there_is_more.set()
            if drained:
                log.info("the replica drains: %s", drained[0].drain.message, extra={"event": "session_drained"})
                return

    def _handle(self, message: worker_service_pb2.ServerMessage) -> bool:
        """Act on one message. Answers False for the one that ends the stream."""
        match message.WhichOneof("body"):
            case "ack":
                for sequence in message.ack.sequences:
                    self._outbox.answered(sequence)
                    self._note_heartbeat(sequence)
            case "started":
                self._outbox.answered(message.started.sequence)
                self._listener.started(message.started)
            case "refused":
                self._outbox.answered(message.refused.sequence)
                self._listener.refused(message.refused)
            case "fenced":
                self._outbox.answered(message.fenced.sequence)
                self._note_heartbeat(message.fenced.sequence)
                self._listener.fenced(message.fenced)
            case "cancel":
                self._listener.cancel(message.cancel)
            case "kill":
                self._listener.kill(message.kill)
            case "drain":
                return False
            case _:
                # A newer service may say more than we know; what we do not know asks nothing of us.
                log.debug("an unknown message was ignored")
        return True

    def _note_heartbeat(self, sequence: int) -> None:
        """A message was answered; if it was a heartbeat, TaskState vouched for us when it was sent."""
        sent_s = self._heartbeats_sent_s.pop(sequence, None)
        if sent_s is not None:
            self._listener.heartbeat_answered(sent_s)

    async def _beat(self, interval_s: float) -> None:
        interval_s = max(interval_s, HEARTBEAT_INTERVAL_MIN_S) if interval_s > 0 else HEARTBEAT_INTERVAL_DEFAULT_S
        while True:
            await asyncio.sleep(interval_s)
            self._outbox.heartbeat(self._listener.heartbeat())
            self._there_is_more.set()

    async def _end_politely(self, stream: Stream, reading: asyncio.Task[None]) -> None:
        """After the good-bye: no more from us, and a moment for the service to end the stream by itself."""
        await stream.done_writing()
        await asyncio.wait([reading], timeout=CLOSE_TIMEOUT_S)

    def _set_down(self) -> None:
        if self.is_up:
            self.is_up = False
            self._listener.session_down()


def _words(error: BaseException) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return f"{type(error).__name__}: {error}"


def _seconds(duration: Duration) -> float:
    return duration.ToTimedelta().total_seconds()


def _sdk_version() -> str:
    return metadata.version("taskstate")
