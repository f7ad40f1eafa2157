"""A supervisor driven by hand: its Session stream, message by message."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from taskstate.channel import aio_channel
from taskstate.v1 import task_pb2
from taskstate.v1 import worker_service_pb2 as pb
from taskstate.v1.worker_service_pb2_grpc import WorkerServiceStub

from tests.integration.taskstate.steps import new_id
from tests.support.waiting import await_until

WORKER = task_pb2.Worker(worker_id="worker-1", host="host-1", pid=100, boot_id="boot-1", queues=["default"])
_sequences = itertools.count(1)


def message(**body: Any) -> pb.WorkerMessage:
    """A message with the next sequence."""
    return pb.WorkerMessage(sequence=next(_sequences), **body)


def hello(types: Sequence[pb.TaskType] = (), worker: task_pb2.Worker = WORKER) -> pb.WorkerMessage:
    """The first message."""
    return message(hello=pb.Hello(worker=worker, types=types, sdk_version="test"))


def start(task_id: str, dispatch: int = 1, start_id: str | None = None) -> pb.WorkerMessage:
    """A work-horse asks to start."""
    return message(
        start=pb.StartAttempt(task_id=task_id, dispatch=dispatch, start_id=start_id or new_id(), horse_pid=101)
    )


def progress(task_id: str, token: int, **fields: Any) -> pb.WorkerMessage:
    """How far the attempt is."""
    return message(progress=pb.ReportProgress(task_id=task_id, fencing_token=token, **fields))


def phase(task_id: str, token: int, phase_id: str, state: int = task_pb2.PHASE_STATE_RUNNING) -> pb.WorkerMessage:
    """A phase changes its state."""
    return message(phase=pb.ReportPhase(task_id=task_id, fencing_token=token, phase_id=phase_id, state=state))


def logs(task_id: str, token: int, numbers: Sequence[int], attempt: int = 1) -> pb.WorkerMessage:
    """Lines the attempt logged, with these numbers."""
    lines = [
        task_pb2.LogLine(
            sequence=attempt << 32 | number,
            attempt=attempt,
            level=task_pb2.LOG_LEVEL_INFO,
            time=Timestamp(seconds=1_800_000_000 + number),
            text=f"line {number}",
            logger="test",
        )
        for number in numbers
    ]
    return message(logs=pb.AppendLogs(task_id=task_id, fencing_token=token, lines=lines))


def finish(task_id: str, token: int, result: str = '{"ok":true}') -> pb.WorkerMessage:
    """The last word: a result."""
    return message(finish=pb.FinishAttempt(task_id=task_id, fencing_token=token, result=result))


def fail(task_id: str, token: int) -> pb.WorkerMessage:
    """The last word: an error."""
    error = task_pb2.TaskError(type="builtins.ValueError", message="it broke", traceback="Traceback: it broke")
    return message(finish=pb.FinishAttempt(task_id=task_id, fencing_token=token, error=error))


def exited(task_id: str, token: int, code: int = 0) -> pb.WorkerMessage:
    """The process has gone."""
    ended = task_pb2.ProcessExit(exit_code=code)
    return message(exited=pb.AttemptExited(task_id=task_id, fencing_token=token, exit=ended))


class Supervisor:
    """One open stream. `say` sends messages in one request; answers are kept as they come."""

    def __init__(self, stub: WorkerServiceStub) -> None:
        self._call = stub.Session()
        self.received: list[pb.ServerMessage] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for response in self._call:
            self.received.extend(response.messages)

    def answers(self, sequence: int) -> list[pb.ServerMessage]:
        """Everything that was answered to the message with this sequence."""
        return [answer for answer in self.received if sequence in _sequences_of(answer)]

    async def say(self, *messages: pb.WorkerMessage) -> None:
        """Send one request."""
        await self._call.write(pb.SessionRequest(messages=messages))

    async def answer(self, sent: pb.WorkerMessage, timeout: float = 10) -> pb.ServerMessage:
        """Wait for the answer to a message."""
        await await_until(
            lambda: self.answers(sent.sequence) or self._reading.done(), timeout, f"an answer to {sent.sequence}"
        )
        if not self.answers(sent.sequence):
            raise AssertionError(f"the stream ended before: {await self.ended()}")
        return self.answers(sent.sequence)[0]

    async def ask(self, *messages: pb.WorkerMessage) -> list[pb.ServerMessage]:
        """Send one request, and wait for the answer to each of its messages."""
        await self.say(*messages)
        return [await self.answer(sent) for sent in messages]

    async def acked(self, *messages: pb.WorkerMessage) -> None:
        """Send one request whose messages must all be acknowledged."""
        for answer in await self.ask(*messages):
            assert answer.WhichOneof("body") == "ack", answer

    async def refusal(self, sent: pb.WorkerMessage) -> str:
        """Send one message that must be refused or fenced; answers why."""
        (answer,) = await self.ask(sent)
        body = answer.WhichOneof("body")
        assert body in ("refused", "fenced"), answer
        return answer.refused.reason if body == "refused" else "FENCED"

    async def started(self, task_id: str, dispatch: int = 1) -> pb.AttemptStarted:
        """Start an attempt."""
        return await self.started_by(start(task_id, dispatch))

    async def started_by(self, ask: pb.WorkerMessage) -> pb.AttemptStarted:
        """Start an attempt, or ask again."""
        (answer,) = await self.ask(ask)
        assert answer.WhichOneof("body") == "started", answer
        return answer.started

    async def welcomed(self, *types: pb.TaskType) -> pb.Welcome:
        """Say hello and wait for the welcome."""
        await self.say(hello(types))
        await await_until(lambda: self.received or self._reading.done(), what="a welcome")
        if not self.received:
            raise AssertionError(f"the stream ended before: {await self.ended()}")
        return self.received[0].welcome

    async def ended(self) -> grpc.StatusCode:
        """Wait for the end of the stream, and answer its code."""
        async with asyncio.timeout(10):
            code = await self._call.code()
            with contextlib.suppress(grpc.RpcError, asyncio.CancelledError):
                await self._reading
        return code

    async def close(self) -> None:
        """Close our side, and wait for the end."""
        await self._call.done_writing()
        await self.ended()

    async def cut(self) -> None:
        """Break the stream, as a killed process does."""
        self._call.cancel()
        with contextlib.suppress(grpc.RpcError, asyncio.CancelledError):
            await self._reading

    @property
    def details(self) -> Any:
        """What the stream's end said in words."""
        return self._call.details()


def _sequences_of(answer: pb.ServerMessage) -> Sequence[int]:
    body = answer.WhichOneof("body")
    if body == "ack":
        return answer.ack.sequences
    return [getattr(answer, body).sequence] if body in ("started", "refused", "fenced") else []


@asynccontextmanager
async def supervising(target: str, *types: pb.TaskType, greeted: bool = True) -> AsyncIterator[Supervisor]:
    """A supervisor with an open stream that has been welcomed, for the length of the block."""
    async with aio_channel(target) as channel:
        supervisor = Supervisor(WorkerServiceStub(channel))
        try:
            if greeted:
                await supervisor.welcomed(*types)
            yield supervisor
        finally:
            await supervisor.cut()
