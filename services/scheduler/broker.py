"""Puts messages into RQ's queues, as RQ itself would.

The message is its id, ``{task_id}_{dispatch}``, and says nothing else: which function runs, with what, how long and how
often is TaskState's to decide when the work-horse asks to start. So every message names the same entry function, has no
arguments, and leaves RQ no time-out, retry, callback or result to act on.

An id is taken in once: while its hash exists, the same id again is dropped. That makes handing out again harmless,
whether the confirmation was lost or two schedulers held the same dispatch.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.job import Job
from rq.scripts import UNIQUE_ENQUEUE_SCRIPT
from rq.serializers import JSONSerializer
from rq.utils import now

from services.scheduler.loop import DependencyAwayError

ENTRY_FUNCTION: Final = "taskstate.worker.entry.run"
"""What the message asks for. Our RQ workers never read it; a plain one would find that this function refuses to run."""

FAILURE_TTL_S: Final = 60
NO_TIMEOUT: Final = -1
"""RQ's own default would end every job after 180 s, whatever the task's own time-out."""

_ACCEPTED: Final = 1

T = TypeVar("T")


@dataclass(frozen=True)
class Message:
    """What goes into a queue: which task, the number of the dispatch (from 1), and the queue's name."""

    task_id: str
    dispatch: int
    queue: str

    @property
    def job_id(self) -> str:
        """The message's id in RQ."""
        return f"{self.task_id}_{self.dispatch}"


class Broker:
    """RQ's Redis, written to from an event loop.

    The client blocks, so it has one thread of its own; calls come one after the other. Each is bounded by the time-out,
    twice at most: redis-py repeats a command once, so that a connection the server had closed while idle is no outage.
    """

    def __init__(self, redis_url: str, timeout_s: float) -> None:
        self._connection = Redis.from_url(
            redis_url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1),
            client_name="taskstate-scheduler",
        )
        self._enqueue_unique = self._connection.register_script(UNIQUE_ENQUEUE_SCRIPT)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="redis")

    async def check(self) -> None:
        """Asks Redis whether it answers. Raises DependencyAwayError if not."""
        await self._call(self._connection.ping)

    async def enqueue(self, messages: Sequence[Message]) -> int:
        """Puts the messages into their queues in order and answers how many were new.

        Safe to repeat: those that are there already are dropped. Raises DependencyAwayError if Redis did not take all of
        them; some may be in their queues then.
        """
        return await self._call(lambda: self._enqueue(messages))

    async def close(self) -> None:
        """Waits for a running call and closes the connections."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    async def _call(self, function: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function)
        except RedisError as error:
            raise DependencyAwayError("Redis", str(error) or type(error).__name__) from error

    def _enqueue(self, messages: Sequence[Message]) -> int:
        # RQ's Queue.enqueue_call(unique=True) ignores a pipeline and makes two round trips a job. So we let RQ make the
        # job and use its own script for "save and push unless it exists", but send all of a batch at once: 14 ms
        # instead of 58 ms for 100. Each script is atomic by itself, so no transaction around them is needed.
        queues = {name: self._queue(name) for name in dict.fromkeys(message.queue for message in messages)}
        with self._connection.pipeline(transaction=False) as pipeline:
            pipeline.sadd(Queue.redis_queues_keys, *(queue.key for queue in queues.values()))
            for message in messages:
                queue = queues[message.queue]
                job = self._job(queue, message)
                fields = [part for item in job.to_dict().items() for part in item]
                self._enqueue_unique(keys=[job.key, queue.key], args=[job.id, "R", -1, *fields], client=pipeline)
            _, *answers = pipeline.execute()
        return answers.count(_ACCEPTED)

    def _queue(self, name: str) -> Queue:
        return Queue(name, connection=self._connection, serializer=JSONSerializer)

    @staticmethod
    def _job(queue: Queue, message: Message) -> Job:
        job = queue.create_job(
            ENTRY_FUNCTION,
            job_id=message.job_id,
            description=message.job_id,
            timeout=NO_TIMEOUT,
            result_ttl=0,
            failure_ttl=FAILURE_TTL_S,
        )
        job.enqueued_at = now()
        return job
