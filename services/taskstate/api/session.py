"""One supervisor's conversation: its messages in order through the pipeline, its answers once they are committed.

A request is carried out whole before the next is read: the supervisor packs what gathers meanwhile, so that one commit
carries much, and a finish that could not be committed is never overtaken by the exit that follows it. What cannot be
committed now is tried again here, in its order, for as long as the stream lasts; it stays unanswered and does not end the
stream.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from taskstate.v1 import worker_service_pb2 as service_pb

from services.taskstate.api import render, worker_requests
from services.taskstate.api.errors import ApiError
from services.taskstate.api.worker_requests import Holder
from services.taskstate.command import Accepted, Command, Outcome, Refused, StartAttempt
from services.taskstate.database import Database, DatabaseUnavailable
from services.taskstate.feed import DISPATCHABLE, Feed
from services.taskstate.pipeline import Pipeline
from services.taskstate.store import log_lines, type_rows
from services.taskstate.store.feed_read import read_head

log = logging.getLogger(__name__)

MESSAGES_MAX = 1000
TRY_AGAIN_S = 0.5
_TRANSIENT = frozenset({"DATABASE_UNAVAILABLE", "LIMIT_EXCEEDED"})

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(slots=True)
class Carried:
    """One message under way: its commands, and what came of them."""

    message: service_pb.WorkerMessage
    commands: Sequence[Command]
    outcomes: list[Outcome | None] = field(default_factory=list)


@dataclass(slots=True)
class Session:
    """See the module."""

    pipeline: Pipeline
    database: Database
    feed: Feed
    replica_id: str
    heartbeat_interval_s: float
    context: Context
    stream_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    holder: Holder | None = None

    async def run(self, requests: AsyncIterator[service_pb.SessionRequest]) -> None:
        """Carry the conversation until either side ends it."""
        async for request in requests:
            if len(request.messages) > MESSAGES_MAX:
                raise _protocol(f"A request may carry at most {MESSAGES_MAX} messages.", "messages")
            messages = list(request.messages)
            if self.holder is None:
                if not messages or messages[0].WhichOneof("body") != "hello":
                    raise _protocol("The first message of a session must be a hello.", "hello")
                await self._welcome(messages.pop(0))
            if await self._carry_out(messages):
                return
        if self.holder is None:
            raise _protocol("The session ended before its hello.", "hello")

    async def drain(self) -> None:
        """Tell the supervisor to open another stream elsewhere."""
        drain = service_pb.Drain(message=f"Replica {self.replica_id} is shutting down.")
        await self._send([service_pb.ServerMessage(drain=drain)])

    async def _welcome(self, message: service_pb.WorkerMessage) -> None:
        hello = message.hello
        worker = worker_requests.worker_of(hello)
        types = worker_requests.types_of(hello)
        await self.database.write(type_rows.declare, types)
        head = await self.database.read(read_head)
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
            heartbeat_interval=render.duration(self.heartbeat_interval_s),
            server_time=render.timestamp(head.time),
        )
        await self._send([service_pb.ServerMessage(welcome=welcome)])

    async def _carry_out(self, messages: Sequence[service_pb.WorkerMessage]) -> bool:
        """Carry out one request's messages; answers whether one of them was a good-bye."""
        holder = self.holder
        if holder is None:
            return False
        answers: list[service_pb.ServerMessage] = []
        done: list[int] = []
        carried: list[Carried] = []
        logs = [message for message in messages if message.WhichOneof("body") == "logs"]
        if logs:
            # Lines go first: they are kept only while the token is held, and a finish in this request would end that.
            done, answers = await self._append(logs)
        leaving = False
        for message in messages:
            body = message.WhichOneof("body")
            if body == "hello":
                raise _protocol("A session has one hello, its first message.", "any other message")
            if body == "good_bye":
                leaving = True
                done.append(message.sequence)
            elif body != "logs":
                try:
                    carried.append(Carried(message, worker_requests.commands_of(message, holder)))
                except ApiError as error:
                    answers.append(_refused(message, error.reason, error.message))
        await self._commit(carried)
        for part in carried:
            answer = _answer(part)
            if answer is None:
                done.append(part.message.sequence)
            else:
                answers.extend(answer)
        if done:
            answers.append(service_pb.ServerMessage(ack=service_pb.Ack(sequences=done)))
        if answers:
            await self._send(answers)
        return leaving

    async def _commit(self, carried: Sequence[Carried]) -> None:
        """Put all commands through, in order; what only the moment forbids is tried again until the stream ends."""
        waiting = [(part, index) for part in carried for index in range(len(part.commands))]
        for part in carried:
            part.outcomes = [None] * len(part.commands)
        while waiting:
            commands = [part.commands[index] for part, index in waiting]
            outcomes = await asyncio.gather(*self.pipeline.submit_many(commands))
            again = []
            for (part, index), outcome in zip(waiting, outcomes, strict=True):
                if isinstance(outcome, Refused) and outcome.reason in _TRANSIENT:
                    again.append((part, index))
                elif isinstance(outcome, Refused) and outcome.reason in ("SHUTTING_DOWN", "HOLDER_DEAD"):
                    # Unanswered, the message comes again on the supervisor's next stream, to a replica that can.
                    raise ApiError("SHUTTING_DOWN", outcome.message, {"replica_id": self.replica_id})
                else:
                    part.outcomes[index] = outcome
            waiting = again
            if waiting:
                await asyncio.sleep(TRY_AGAIN_S)

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
                answers.append(_refused(message, error.reason, error.message))
        while accepted:
            try:
                held = await self.database.write(log_lines.append, [lines for _, lines in accepted])
                break
            except DatabaseUnavailable as error:
                log.warning("log lines wait for the database: %s", error, extra={"event": "logs_wait"})
                await asyncio.sleep(TRY_AGAIN_S)
        for (message, _), is_held in zip(accepted, held if accepted else (), strict=True):
            if is_held:
                done.append(message.sequence)
            else:
                answers.append(_refused(message, "TOKEN_LOST", "The attempt does not hold its task any more."))
        return done, answers

    async def _send(self, messages: Sequence[service_pb.ServerMessage]) -> None:
        await self.context.write(service_pb.SessionResponse(messages=messages))


def _answer(part: Carried) -> list[service_pb.ServerMessage] | None:
    """What a carried message is answered; None for a plain ack."""
    answers: list[service_pb.ServerMessage] = []
    for command, outcome in zip(part.commands, part.outcomes, strict=True):
        if isinstance(outcome, Accepted) and isinstance(command, StartAttempt):
            answers.append(service_pb.ServerMessage(started=_started(command, outcome)))
        elif isinstance(outcome, Refused) and outcome.reason == "TOKEN_LOST":
            fenced = service_pb.Fenced(
                sequence=part.message.sequence,
                task_id=command.task_id,
                fencing_token=worker_requests.token_of(command),
                message=outcome.message,
            )
            answers.append(service_pb.ServerMessage(fenced=fenced))
        elif isinstance(outcome, Refused):
            answers.append(_refused(part.message, outcome.reason, outcome.message, command.task_id))
    return answers or None


def _started(command: StartAttempt, outcome: Accepted) -> service_pb.AttemptStarted:
    task = outcome.task
    return service_pb.AttemptStarted(
        sequence=command.sequence,
        task_id=task.task_id,
        dispatch=task.dispatch,
        attempt=task.attempt,
        fencing_token=task.fencing_token,
        type=task.spec.type,
        payload=task.spec.payload,
        start_time=render.timestamp(task.start_time),
        timeout=render.duration(task.timeout_s),
        max_attempts=task.max_attempts or 1,
        name=task.spec.name,
    )


def _refused(message: service_pb.WorkerMessage, reason: str, text: str, task_id: str = "") -> service_pb.ServerMessage:
    if not task_id:
        body = message.WhichOneof("body")
        task_id = getattr(getattr(message, body), "task_id", "") if body else ""
    refused = service_pb.Refused(sequence=message.sequence, task_id=task_id[:64], reason=reason, message=text)
    return service_pb.ServerMessage(refused=refused)


def _protocol(message: str, expected: str) -> ApiError:
    return ApiError("SESSION_PROTOCOL", message, {"expected": expected})
