"""A TaskState for tests of the worker: it speaks the committed protocol, in memory, and can be told to misbehave."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import redis
from rq import Queue
from rq.serializers import JSONSerializer
from taskstate.v1 import worker_service_pb2 as api
from taskstate.v1 import worker_service_pb2_grpc

from tests.support.waiting import await_until

ENDS = ("finish", "exited")


@dataclass
class FakeTask:
    """One task: what was asked for, and every message that came about it, doubles left out."""

    type: str
    payload: dict[str, Any]
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    dispatch: int = 1
    start_id: str = ""
    fencing_token: int = 0
    horse_pid: int = 0
    fenced: bool = False
    timeout_s: float | None = None
    stall_timeout_s: float | None = None
    said: list[api.WorkerMessage] = field(default_factory=list)

    @property
    def job_id(self) -> str:
        return f"{self.task_id}_{self.dispatch}"

    def bodies(self, kind: str) -> list[Any]:
        """Every message of one kind, in order."""
        return [getattr(message, kind) for message in self.said if message.WhichOneof("body") == kind]

    @property
    def order(self) -> list[str | None]:
        return [message.WhichOneof("body") for message in self.said]

    @property
    def log_texts(self) -> list[str]:
        return [line.text for logs in self.bodies("logs") for line in logs.lines]

    @property
    def stages(self) -> list[str]:
        """How far the order to stop got, as the receipts tell."""
        return [api.CancelStage.Name(receipt.stage)[13:] for receipt in self.bodies("cancel_receipt")]

    @property
    def cause(self) -> str:
        """The cause of the exit."""
        return api.ExitCause.Name(self.bodies("exited")[0].cause)[11:]

    @property
    def is_gone(self) -> bool:
        return bool(self.bodies("exited"))


@dataclass(eq=False)
class FakeStream:
    """One session as the service sees it."""

    hello: api.Hello
    answers: asyncio.Queue[api.SessionResponse | None] = field(default_factory=asyncio.Queue)
    broken: asyncio.Event = field(default_factory=asyncio.Event)
    good_bye: str | None = None
    heartbeats: list[api.Heartbeat] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)
    has_said: bool = False

    def say(self, message: api.ServerMessage) -> None:
        self.answers.put_nowait(api.SessionResponse(messages=[message]))


class FakeTaskState(worker_service_pb2_grpc.WorkerServiceServicer):
    """Grants each start once, remembers what it is told, and answers everything unless `mute`."""

    def __init__(self) -> None:
        self.tasks: dict[str, FakeTask] = {}
        self.streams: list[FakeStream] = []
        self.mute: set[str] = set()
        """Kinds of message that are taken in and not answered."""
        self.unanswered: list[str | None] = []
        self.lease_ttl_s = 20.0
        self.released: list[tuple[str, int]] = []
        self.doubles = 0
        self._tokens = itertools.count(101)
        self._seen: set[tuple[str, int]] = set()
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def serve(self) -> None:
        """Serve, on the same port as before if there was one."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        worker_service_pb2_grpc.add_WorkerServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """End every stream and stop listening."""
        self.break_streams()
        if self._server is not None:
            await self._server.stop(None)

    def enqueue(self, redis_url: str, task: FakeTask, queue: str = "default") -> FakeTask:
        """Create a task and put its message into the queue as the scheduler does."""
        self.tasks[task.task_id] = task
        with redis.Redis.from_url(redis_url) as client:
            rq_queue = Queue(queue, connection=client, serializer=JSONSerializer)
            rq_queue.enqueue_call(
                "taskstate.worker.entry.run", job_id=task.job_id, timeout=-1, result_ttl=0, failure_ttl=60, unique=True
            )
        return task

    @property
    def live(self) -> list[FakeStream]:
        return [stream for stream in self.streams if not stream.broken.is_set()]

    def break_streams(self) -> None:
        """Cut every stream, as a network does."""
        for stream in self.live:
            stream.broken.set()
            stream.answers.put_nowait(None)

    def drain(self) -> None:
        """Ask every supervisor to open another stream."""
        for stream in self.live:
            stream.say(api.ServerMessage(drain=api.Drain(message="asked by a test")))

    def fence(self, task: FakeTask) -> None:
        task.fenced = True
        fenced = api.Fenced(task_id=task.task_id, fencing_token=task.fencing_token, message="a test took it away")
        self.live[-1].say(api.ServerMessage(fenced=fenced))

    def cancel(self, task: FakeTask, message_grace: float = 5, term_grace: float = 5) -> None:
        order = api.CancelOrder(task_id=task.task_id, fencing_token=task.fencing_token)
        order.message_grace.FromMilliseconds(round(message_grace * 1000))
        order.term_grace.FromMilliseconds(round(term_grace * 1000))
        self.live[-1].say(api.ServerMessage(cancel=order))

    def kill(self, task: FakeTask, term_grace: float = 1) -> None:
        order = api.KillOrder(task_id=task.task_id, fencing_token=task.fencing_token)
        order.term_grace.FromMilliseconds(round(term_grace * 1000))
        self.live[-1].say(api.ServerMessage(kill=order))

    async def ended(self, task: FakeTask, timeout: float = 15) -> FakeTask:
        """Wait until the task's process was reported gone."""
        await await_until(lambda: task.is_gone, timeout, what=f"exit of {task.payload} after {task.order}")
        return task

    async def running(self, task: FakeTask) -> FakeTask:
        """Wait until the task reports progress."""
        await await_until(lambda: task.bodies("progress"), what=f"progress of {task.payload}")
        return task

    async def children_of(self, task: FakeTask) -> list[int]:
        """The processes that a canary has started, once it told them."""
        lines = await await_until(lambda: [text for text in task.log_texts if text.startswith("started processes")])
        return [int(pid) for pid in re.findall(r"\d+", lines[0])]

    def age_of(self, task: FakeTask) -> float:
        """How old the newest heartbeat says the task's last sign of life is, in seconds; zero if it says nothing."""
        for heartbeat in reversed(self.live[-1].heartbeats):
            for health in heartbeat.attempts:
                if health.fencing_token == task.fencing_token:
                    return health.sign_of_life_age.ToTimedelta().total_seconds()
        return 0.0

    async def Session(  # noqa: N802
        self, request_iterator: AsyncIterator[api.SessionRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[api.SessionResponse]:
        first = await anext(aiter(request_iterator))
        assert first.messages[0].WhichOneof("body") == "hello"
        stream = FakeStream(first.messages[0].hello)
        self.streams.append(stream)
        welcome = api.Welcome(replica_id="fake")
        welcome.heartbeat_interval.FromMilliseconds(200)
        welcome.lease_ttl.FromMilliseconds(round(self.lease_ttl_s * 1000))
        yield api.SessionResponse(messages=[api.ServerMessage(welcome=welcome)])
        reading = asyncio.create_task(self._read(stream, request_iterator))
        try:
            while (answer := await stream.answers.get()) is not None:
                yield answer
            if stream.broken.is_set():
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")
        finally:
            stream.broken.set()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, stream: FakeStream, requests: AsyncIterator[api.SessionRequest]) -> None:
        async for request in requests:
            answers = [answer for message in request.messages if (answer := self._take(stream, message)) is not None]
            if answers and not stream.broken.is_set():
                stream.answers.put_nowait(api.SessionResponse(messages=answers))
        stream.answers.put_nowait(None)

    def _take(self, stream: FakeStream, message: api.WorkerMessage) -> api.ServerMessage | None:
        kind = message.WhichOneof("body")
        key = (stream.hello.worker.boot_id, message.sequence)
        is_double = key in self._seen
        self.doubles += is_double
        stream.has_said = stream.has_said or kind != "resume"
        if kind == "heartbeat" and kind in self.mute:
            return None
        if kind == "heartbeat":
            stream.heartbeats.append(message.heartbeat)
        elif kind == "resume":
            stream.resumed.append(message.resume.task_id)
            # The attempt must be this stream's before anything more is said about it.
            assert not stream.has_said
        elif kind == "good_bye":
            stream.good_bye = message.good_bye.message
        elif kind == "release":
            self.released.append((message.release.task_id, message.release.dispatch))
        elif kind in self.mute:
            self.unanswered.append(kind)
            return None
        elif kind == "start":
            return self._start(message)
        else:
            body = getattr(message, kind or "")
            task = self.tasks[body.task_id]
            if task.fenced and kind != "exited":
                return api.ServerMessage(
                    fenced=api.Fenced(sequence=message.sequence, task_id=task.task_id, fencing_token=body.fencing_token)
                )
            assert body.fencing_token == task.fencing_token
            if not is_double:
                task.said.append(message)
        self._seen.add(key)
        return api.ServerMessage(ack=api.Ack(sequences=[message.sequence]))

    def _start(self, message: api.WorkerMessage) -> api.ServerMessage:
        start = message.start
        task = self.tasks.get(start.task_id)
        if task is None or task.dispatch != start.dispatch or task.start_id not in ("", start.start_id):
            return api.ServerMessage(
                refused=api.Refused(
                    sequence=message.sequence, task_id=start.task_id, reason="STALE_DISPATCH", message="not its turn"
                )
            )
        if not task.start_id:
            task.start_id, task.horse_pid, task.fencing_token = start.start_id, start.horse_pid, next(self._tokens)
        started = api.AttemptStarted(
            sequence=message.sequence,
            task_id=task.task_id,
            dispatch=task.dispatch,
            attempt=1,
            fencing_token=task.fencing_token,
            type=task.type,
            payload=json.dumps(task.payload),
            max_attempts=1,
        )
        if task.timeout_s is not None:
            started.timeout.FromMilliseconds(round(task.timeout_s * 1000))
        if task.stall_timeout_s is not None:
            started.stall_timeout.FromMilliseconds(round(task.stall_timeout_s * 1000))
        return api.ServerMessage(started=started)
