"""The RQ classes, with every road closed on which something in Redis could run, import, call or stop anything.

What is overridden, and why, is told hook by hook in ``docs/workers.md``; the rules behind it are three. The message is
its id: a job's hash is never read. The work-horse never touches Redis, so that an outage cannot hold it or lose its end.
An exception in a hook of RQ ends the worker with exit code 0; so the hooks here catch what may come, and log it.

This module never imports grpc: it forks.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

import redis
from rq import Queue, Worker, worker_registration
from rq.exceptions import StopRequested
from rq.job import Job

from taskstate.worker import entry
from taskstate.worker.message import QueueMessage, parse_message
from taskstate.worker.process import process_exit, sweep_children
from taskstate.worker.work_horse import run_work_horse

if TYPE_CHECKING:
    import resource
    from collections.abc import Callable

    from taskstate.v1 import task_pb2
    from taskstate.worker.control import Control
    from taskstate.worker.pop import Popper

log = logging.getLogger(__name__)

WORKER_TTL_S: Final = 30
"""How long RQ's registry believes in a silent worker; RQ waits for a message 15 s less."""
HEARTBEAT_INTERVAL_S: Final = 5.0
REDIS_RETRY_FIRST_S: Final = 0.2
REDIS_RETRY_MAX_S: Final = 2.0
DISPOSE_TRIES_MAX: Final = 20
PUT_BACK_PAUSE_S: Final = 1.0
"""How long to pop nothing after a message had to be put back, so that a fault that repeats does not spin."""
FOREIGN_ID_SHOWN_MAX: Final = 100


class MessageJob(Job):
    """A job that knows its id and nothing else."""

    message: QueueMessage

    @classmethod
    def of(cls, message: QueueMessage, connection: redis.Redis) -> MessageJob:
        """The job of a message."""
        job = cls(message.job_id, connection=connection)
        job.message = message
        # RQ logs a description unescaped, so it must not come from Redis.
        job.description = message.job_id
        job.timeout = -1
        return job

    @staticmethod
    def message_of(job: Job) -> QueueMessage:
        """The message of a job. Raises TypeError for a job of RQ's own making."""
        if not isinstance(job, MessageJob):
            raise TypeError(f"{job!r} is no job of a task's message")
        return job.message

    @classmethod
    def fetch(cls, id: str, connection: redis.Redis | None = None, serializer: Any = None) -> MessageJob:  # noqa: A002
        """The job of an id, without a look at Redis. Raises ValueError for an id that is not ours."""
        message = parse_message(id)
        if message is None or connection is None:
            raise ValueError(f"not an id of a task's message: {ascii(id)[:FOREIGN_ID_SHOWN_MAX]}")
        return cls.of(message, connection)

    def restore(self, raw_data: Any) -> NoReturn:
        """Raises: a job's hash may hold anything, and nothing may read it."""
        raise RuntimeError("a message's hash is never read")

    @property
    def func(self) -> Callable[[], NoReturn]:
        """The entry function, whatever the hash may name."""
        return entry.run


class MessageQueue(Queue):
    """A queue whose messages are taken by ``Popper`` only."""

    job_class = MessageJob

    @classmethod
    def lmove(cls, connection: redis.Redis, queue_key: str, timeout: int | None) -> NoReturn:
        """Raises: RQ's own pop would hand out ids that are not ours."""
        raise RuntimeError("messages are taken by taskstate.worker.pop.Popper")

    @classmethod
    def lpop(cls, queue_keys: Any, timeout: int | None, connection: redis.Redis | None = None) -> NoReturn:
        """Raises, as ``lmove`` does."""
        raise RuntimeError("messages are taken by taskstate.worker.pop.Popper")


class RqWorker(Worker):
    """An RQ worker that takes orders from its supervisor, and runs what the messages' ids name."""

    job_class = MessageJob
    queue_class = MessageQueue
    max_connection_wait_time = REDIS_RETRY_MAX_S

    def __init__(
        self,
        queue: str,
        *,
        name: str,
        connection: redis.Redis,
        quick_connection: redis.Redis,
        control: Control,
        popper: Popper,
        socket_path: str,
    ) -> None:
        super().__init__([queue], name=name, connection=connection, worker_ttl=WORKER_TTL_S, log_job_description=False)
        self._control = control
        self._popper = popper
        self._quick_connection = quick_connection
        self._socket_path = socket_path
        self._rq_worker_pid = os.getpid()
        self._next_heartbeat_s = 0.0

    # --- What RQ does by itself, and is not to do here.

    def subscribe(self) -> None:
        """Nothing: RQ's pub/sub takes kill commands from anybody on Redis, in a thread of a process that forks."""

    def unsubscribe(self) -> None:
        """Nothing, as ``subscribe`` did nothing."""

    def run_maintenance_tasks(self) -> None:
        """Nothing: RQ's maintenance reads hashes, relabels jobs and fails on broken ones. The scheduler audits."""

    def check_for_suspension(self, burst: bool) -> None:
        """Nothing: whether to pop is the supervisor's to say."""

    def procline(self, message: str) -> None:
        """Nothing: the command line already says what this process is."""

    def kill_horse(self, sig: Any = None) -> NoReturn:
        """Raises: only the supervisor kills."""
        raise RuntimeError("only the supervisor kills a work-horse")

    def _install_signal_handlers(self) -> None:
        """Nothing: RQ's handlers write to Redis in the handler. ``rq_worker_main`` has set what is right."""

    def set_state(self, state: str, pipeline: Any = None) -> None:
        """Remember the state; the next heartbeat tells RQ's registry."""
        self._state = state

    # --- What is done in another way.

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Refresh this worker in RQ's registry, at most every 5 s; an outage is no reason to end."""
        now = time.monotonic()
        if now < self._next_heartbeat_s:
            return
        self._next_heartbeat_s = now + HEARTBEAT_INTERVAL_S
        try:
            with self.connection.pipeline(transaction=False) as pipe:
                pipe.hset(self.key, mapping={"last_heartbeat": int(time.time()), "state": self._state})
                pipe.expire(self.key, timeout or self.worker_ttl + 60)
                pipe.execute()
        except redis.RedisError as error:
            log.info("Redis took no heartbeat: %s", error, extra={"event": "redis_away"})

    def teardown(self) -> None:
        """Leave RQ's registry, with a client that gives up at once when Redis is away."""
        try:
            with self._quick_connection.pipeline(transaction=False) as pipe:
                worker_registration.unregister(self, pipe)
                pipe.delete(self.key, self.executions_key)
                pipe.execute()
        except redis.RedisError as error:
            log.info("could not leave RQ's registry: %s", error, extra={"event": "redis_away"})

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[MessageJob, Queue] | None:
        """The next message of ours, taken and told to the supervisor. Raises StopRequested when told to stop."""
        retry_s = REDIS_RETRY_FIRST_S
        while True:
            if self._control.stopping:
                raise StopRequested
            if not self._control.may_pop:
                self._control.wait(HEARTBEAT_INTERVAL_S)
                self.heartbeat()
                continue
            try:
                self.heartbeat()
                message = self._pop_ours()
                retry_s = REDIS_RETRY_FIRST_S
            except redis.RedisError as error:
                # Also a key of another type where the queue should be: an operator's to repair, not a reason to end.
                log.warning(
                    "cannot take messages from Redis: %s; next try in %.1f s",
                    error,
                    retry_s,
                    extra={"event": "redis_away"},
                )
                self._control.wait_without_stop(retry_s)
                retry_s = min(retry_s * 2, REDIS_RETRY_MAX_S)
                continue
            if message is not None:
                self._control.taken(message)
                return MessageJob.of(message, self.connection), self.queues[0]

    def _pop_ours(self) -> QueueMessage | None:
        """A message of ours that may be run; None when there was none in time, or none that may."""
        job_id = self._popper.pop(self.dequeue_timeout)
        if job_id is None:
            return None
        message = parse_message(job_id)
        if message is None:
            log.warning(
                "removed a message that is no task's: %s",
                ascii(job_id)[:FOREIGN_ID_SHOWN_MAX],
                extra={"event": "foreign_message", "queue": self.queues[0].name},
            )
            self._popper.remove_foreign(job_id)
            return None
        self._control.look()
        if not self._control.may_pop:
            self._popper.put_back(message)
            return None
        return message

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Fork a work-horse, wait for its end and that of all it started, report it, and dispose of the message."""
        message = MessageJob.message_of(job)
        horse_pid, exited, killed = 0, None, 0
        try:
            self.fork_work_horse(job, queue)
            horse_pid = self.horse_pid
            exited = self._await_exit()
            killed = len(sweep_children().killed)
        except OSError:
            # No process could be had, or one could not be reaped. The supervisor is told what is known.
            log.exception("no work-horse for %s", job.id, extra={"event": "fork_failed", "task_id": message.task_id})
        self._horse_pid = 0
        disposal = self._control.gone(message, horse_pid, exited, killed)
        self.dispose(message, put_back=disposal.put_back)
        if disposal.put_back:
            self._control.wait_without_stop(PUT_BACK_PAUSE_S)

    def main_work_horse(self, job: Job, queue: Queue) -> NoReturn:
        """In the fork: run the message's attempt; never returns."""
        try:
            self._control.close()
            run_work_horse(MessageJob.message_of(job), socket_path=self._socket_path, rq_worker_pid=self._rq_worker_pid)
        finally:
            # Nothing may return from here into the RQ worker's loop, of which this process is a copy.
            os._exit(os.EX_SOFTWARE)

    def wait_for_horse(self) -> tuple[int | None, int | None, resource.struct_rusage | None]:
        """Wait for the work-horse; every end of one passes here, with what the operating system tells about it."""
        try:
            return os.wait4(self.horse_pid, 0)
        except ChildProcessError:
            return None, None, None

    def _await_exit(self) -> task_pb2.ProcessExit | None:
        _, status, usage = self.wait_for_horse()
        return None if status is None or usage is None else process_exit(status, usage)

    def dispose(self, message: QueueMessage, *, put_back: bool) -> None:
        """Remove a taken message, or put it back; tries again while Redis is away, for a bounded time."""
        retry_s = REDIS_RETRY_FIRST_S
        for _ in range(DISPOSE_TRIES_MAX):
            try:
                if put_back:
                    self._popper.put_back(message)
                else:
                    self._popper.remove(message)
            except redis.RedisError as error:
                log.warning("cannot dispose of message %s: %s", message.job_id, error, extra={"event": "redis_away"})
                if not self._control.wait_without_stop(retry_s):
                    return
                retry_s = min(retry_s * 2, REDIS_RETRY_MAX_S)
            else:
                return
        log.error("left message %s in the intermediate list", message.job_id, extra={"event": "message_left"})
