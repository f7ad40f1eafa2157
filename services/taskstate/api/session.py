"""One supervisor's conversation: its messages in order through the pipeline, its answers once they are committed.

A request is carried out whole before the next is read: the supervisor packs what gathers meanwhile, so that one commit
carries much, and a finish that could not be committed is never overtaken by the exit that follows it. What cannot be
committed now is tried again here, in its order, for as long as the stream lasts; it stays unanswered and does not end the
stream.

What the end of a stream means for its attempts, `WorkerServicer` concludes from the database: an attempt may have been
committed whose answer never left. `held` serves only to send no order before the answer that tells of its attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
from taskstate.v1 import worker_service_pb2 as service_pb

from services.taskstate.api import render, session_answers, worker_requests
from services.taskstate.api.errors import ApiError
from services.taskstate.api.session_answers import Carried, refused
from services.taskstate.api.worker_requests import Holder
from services.taskstate.command import Accepted, AttemptExited, Command, Outcome, Refused, ResumeAttempt, StartAttempt
from services.taskstate.database import DatabaseUnavailable
from services.taskstate.feed import DISPATCHABLE, Feed
from services.taskstate.model import Task
from services.taskstate.pipeline import Pipeline
from services.taskstate.reads import Reads
from services.taskstate.records import Records

log = logging.getLogger(__name__)

MESSAGES_MAX = 1000
HELLO_TIMEOUT_S = 10.0
COMMANDS_MAX = 10_000
"""Commands of one request; a heartbeat has one for each attempt. The pipeline takes 20,000 at once and would refuse more
for ever."""
TRY_AGAIN_S = 0.5
_TRANSIENT = frozenset({"DATABASE_UNAVAILABLE", "LIMIT_EXCEEDED"})
_ELSEWHERE = frozenset({"SHUTTING_DOWN", "HOLDER_DEAD"})

R = TypeVar("R")
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """What a welcome tells a supervisor, in seconds."""

    heartbeat_interval_s: float
    lease_ttl_s: float


@dataclass(eq=False, slots=True)
class SupervisorSession:
    """See the module. `held`: the tokens, by task, of the attempts that were answered on this stream and are not gone."""

    pipeline: Pipeline
    reads: Reads
    records: Records
    feed: Feed
    replica_id: str
    times: SessionTimes
    context: Context
    stream_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    holder: Holder | None = None
    held: dict[str, int] = field(default_factory=dict)
    said_good_bye: bool = False
    ended_by_server: asyncio.Event = field(default_factory=asyncio.Event)
    _early_orders: dict[str, service_pb.ServerMessage] = field(default_factory=dict)
    _under_way: set[asyncio.Future[Outcome]] = field(default_factory=set)
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, requests: AsyncIterator[service_pb.SessionRequest]) -> None:
        """Carry the conversation until either side ends it."""
        while (request := await self._in_time(self._next(requests))) is not None:
            if len(request.messages) > MESSAGES_MAX:
                raise _protocol(f"A request may carry at most {MESSAGES_MAX} messages.", "messages")
            messages = list(request.messages)
            if self.holder is None:
                if not messages or messages[0].WhichOneof("body") != "hello":
                    raise _protocol("The first message of a session must be a hello.", "hello")
                await self._welcome(messages.pop(0))
            await self._carry_out(messages)
            if self.said_good_bye:
                return
        if self.holder is None:
            raise _protocol("The session ended before its hello.", "hello")

    async def _in_time(self, reading: Awaitable[service_pb.SessionRequest | None]) -> service_pb.SessionRequest | None:
        """What is read; a caller without a hello must not hold a place among the sessions for ever."""
        try:
            async with asyncio.timeout(None if self.holder else HELLO_TIMEOUT_S):
                return await reading
        except TimeoutError:
            raise _protocol(f"No hello came within {HELLO_TIMEOUT_S:g} s.", "hello") from None

    async def order(self, task_id: str, order: service_pb.ServerMessage) -> None:
        """Send an order about an attempt; one whose start is not answered yet waits for that answer."""
        if task_id in self.held:
            await self.send([order])
        else:
            self._early_orders[task_id] = order

    async def send(self, messages: Sequence[service_pb.ServerMessage]) -> None:
        """Send answers or orders; one message at a time, as gRPC wants it."""
        async with self._sending:
            await self.context.write(service_pb.SessionResponse(messages=messages))

    def holds(self, task: Task) -> bool:
        """Whether this stream was told to carry the task's newest attempt."""
        return self.held.get(task.task_id) == task.fencing_token and not self.ended_by_server.is_set()

    async def take_back(self, task: Task) -> bool:
        """Carry an attempt again that this stream holds; false when the pipeline could not decide it now."""
        command = ResumeAttempt(
            task_id=task.task_id,
            actor=f"replica:{self.replica_id}",
            fencing_token=task.fencing_token,
            sequence=0,
            replica_id=self.replica_id,
            stream_id=self.stream_id,
        )
        (outcome,) = await self._submit([command])
        if isinstance(outcome, Accepted) and (order := session_answers.order_of(outcome.task)):
            await self.send([order])
        return not (isinstance(outcome, Refused) and outcome.reason in _TRANSIENT)

    async def settled(self) -> None:
        """Wait until the pipeline has answered all that this session put in; its futures outlive a cancelled `run`."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    def end(self) -> None:
        """End the stream from this side: the supervisor opens another, and none of its attempts is suspect."""
        self.ended_by_server.set()

    async def _next(self, requests: AsyncIterator[service_pb.SessionRequest]) -> service_pb.SessionRequest | None:
        """The next request; None when the supervisor has closed its side. Raises ApiError when the server ends it."""
        reading = asyncio.ensure_future(anext(requests, None))
        ending = asyncio.ensure_future(self.ended_by_server.wait())
        try:
            await asyncio.wait((reading, ending), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                return reading.result()
            raise self._ended()
        finally:
            ending.cancel()
            if not reading.done():
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading

    async def _welcome(self, message: service_pb.WorkerMessage) -> None:
        hello = message.hello
        worker = worker_requests.worker_of(hello)
        types = worker_requests.types_of(hello)
        await self._until_done(lambda: self.records.declare_types(types), "a hello")
        server_time = await self.reads.time()
        self.holder = Holder(worker, self.replica_id, self.stream_id)
        # Tasks of a type that was unknown until now may go.
        self.feed.wake(DISPATCHABLE)
        log.info(
            "supervisor %s opened a session",
            worker.worker_id,
            extra={"event": "session_opened", "worker_id": worker.worker_id, "stream_id": self.stream_id},
        )
        welcome = service_pb.Welcome(
            replica_id=self.replica_id,
            heartbeat_interval=render.duration(self.times.heartbeat_interval_s),
            server_time=render.timestamp(server_time),
            lease_ttl=render.duration(self.times.lease_ttl_s),
        )
        await self.send([service_pb.ServerMessage(welcome=welcome)])

    async def _carry_out(self, messages: Sequence[service_pb.WorkerMessage]) -> None:
        """Carry out one request's messages, and answer them."""
        answers: list[service_pb.ServerMessage] = []
        done: list[int] = []
        logs = [message for message in messages if message.WhichOneof("body") == "logs"]
        if logs:
            # Lines go first: they are kept only while the token is held, and a finish in this request would end that.
            done, answers = await self._append(logs)
        carried: list[Carried] = []
        for message in messages:
            match message.WhichOneof("body"):
                case "logs":
                    continue
                case "hello":
                    raise _protocol("A session has one hello, its first message.", "any other message")
                case "good_bye":
                    self.said_good_bye = True
                    done.append(message.sequence)
                case _:
                    self._read(message, carried, answers)
        if sum(len(part.commands) for part in carried) > COMMANDS_MAX:
            raise _protocol(f"A request may speak of at most {COMMANDS_MAX} attempts.", "fewer messages")
        await self._commit(carried)
        await self._keep_late(carried)
        for part in carried:
            answer = session_answers.answer(part)
            if answer:
                answers.extend(answer)
            else:
                done.append(part.message.sequence)
        if done:
            answers.append(service_pb.ServerMessage(ack=service_pb.Ack(sequences=done)))
        self._note_held(carried)
        # What is not held now never will be by an earlier order: its attempt has gone meanwhile.
        early = [order for task_id, order in self._early_orders.items() if task_id in self.held]
        self._early_orders.clear()
        if answers or early:
            await self.send([*answers, *early])

    def _read(
        self,
        message: service_pb.WorkerMessage,
        carried: list[Carried],
        answers: list[service_pb.ServerMessage],
    ) -> None:
        if self.holder is None:
            return
        try:
            carried.append(Carried(message, worker_requests.commands_of(message, self.holder)))
        except ApiError as error:
            answers.append(refused(message, error.reason, error.message))

    async def _commit(self, carried: Sequence[Carried]) -> None:
        """Put all commands through, in order; what only the moment forbids is tried again until the stream ends."""
        waiting = [(part, index) for part in carried for index in range(len(part.commands))]
        for part in carried:
            part.outcomes = [None] * len(part.commands)
        while waiting:
            commands = [part.commands[index] for part, index in waiting]
            outcomes = await self._submit(commands)
            again = []
            for (part, index), outcome in zip(waiting, outcomes, strict=True):
                if isinstance(outcome, Refused) and outcome.reason in _TRANSIENT:
                    again.append((part, index))
                elif isinstance(outcome, Refused) and outcome.reason in _ELSEWHERE:
                    # Unanswered, the message comes again on the supervisor's next stream, to a replica that can.
                    raise ApiError("SHUTTING_DOWN", outcome.message, {"replica_id": self.replica_id})
                else:
                    part.outcomes[index] = outcome
            waiting = again
            if waiting:
                await self._pause()

    async def _submit(self, commands: Sequence[Command]) -> list[Outcome]:
        futures = self.pipeline.submit_many(commands)
        self._under_way.update(futures)
        for future in futures:
            future.add_done_callback(self._under_way.discard)
        # Not gathered: that would cancel the futures together with their handler, and they tell when all is settled.
        await asyncio.wait(futures)
        return [future.result() for future in futures]

    def _note_held(self, carried: Sequence[Carried]) -> None:
        for part in carried:
            for command, outcome in zip(part.commands, part.outcomes, strict=True):
                if not isinstance(outcome, Accepted):
                    continue
                task = outcome.task
                if isinstance(command, StartAttempt | ResumeAttempt):
                    self.held[task.task_id] = task.fencing_token
                elif isinstance(command, AttemptExited) and self.held.get(task.task_id) == command.fencing_token:
                    del self.held[task.task_id]

    async def _keep_late(self, carried: Sequence[Carried]) -> None:
        """Keep what came from attempts that do not hold their task any more, before it is refused."""
        late = session_answers.late_reports_of(carried, self.holder)
        if late:
            await self._until_done(lambda: self.records.keep_late(late), "late reports")

    async def _append(
        self, logs: Sequence[service_pb.WorkerMessage]
    ) -> tuple[list[int], list[service_pb.ServerMessage]]:
        done: list[int] = []
        answers: list[service_pb.ServerMessage] = []
        accepted = []
        for message in logs:
            try:
                accepted.append((message, worker_requests.lines_of(message.logs)))
            except ApiError as error:
                answers.append(refused(message, error.reason, error.message))
        lines = [appended for _, appended in accepted]
        held = await self._until_done(lambda: self.records.append_lines(lines), "log lines")
        for (message, _), is_held in zip(accepted, held, strict=True):
            if is_held:
                done.append(message.sequence)
            else:
                answers.append(refused(message, "TOKEN_LOST", "The attempt does not hold its task any more."))
        return done, answers

    async def _until_done(self, write: Callable[[], Awaitable[R]], what: str) -> R:
        """Write something outside the order, again and again while the database is away and the stream lasts."""
        while True:
            try:
                return await write()
            except DatabaseUnavailable as error:
                log.warning("%s wait for the database: %s", what, error, extra={"event": "session_waits"})
                await self._pause()

    async def _pause(self) -> None:
        """Wait a moment before trying again. Raises ApiError when the server ends the stream meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TRY_AGAIN_S):
                await self.ended_by_server.wait()
        if self.ended_by_server.is_set():
            raise self._ended()

    def _ended(self) -> ApiError:
        return ApiError("SHUTTING_DOWN", "This replica ends the stream; open another.", {"replica_id": self.replica_id})


def _protocol(message: str, expected: str) -> ApiError:
    return ApiError("SESSION_PROTOCOL", message, {"expected": expected})
