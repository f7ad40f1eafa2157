"""Taking messages off one queue in Redis, so that a wait can be called off in the middle without losing a message.

RQ's own pop blocks in the Redis client, deaf to the supervisor. Ours waits on both sockets. When popping is forbidden
while it waits, it asks Redis, on a second connection, to end the wait (CLIENT UNBLOCK); the answer then says truly
whether a message was taken. Dropping the connection instead could leave a taken message in the intermediate list, unknown
to everybody.
"""

from __future__ import annotations

import logging
import select
import time
from typing import TYPE_CHECKING, Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from taskstate.worker.control import Control
    from taskstate.worker.message import QueueMessage

log = logging.getLogger(__name__)

JOB_KEY_PREFIX: Final = "rq:job:"
QUICK_TIMEOUT_S: Final = 1.0
ANSWER_MARGIN_S: Final = 10.0
"""How much later than asked for Redis may answer before it counts as away."""


def quick_client(url: str) -> redis.Redis:
    """A client that gives up at once, for what must not hold up an end."""
    return redis.Redis.from_url(
        url,
        socket_timeout=QUICK_TIMEOUT_S,
        socket_connect_timeout=QUICK_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


class Popper:
    """One queue's messages. One thread; every method may raise redis.RedisError."""

    def __init__(self, client: redis.Redis, quick: redis.Redis, queue_key: str, control: Control) -> None:
        self._client = client
        self._quick = quick
        self._queue_key = queue_key
        self._intermediate_key = f"{queue_key}:intermediate"
        self._control = control
        self._known_socket: object = None
        self._client_id = 0

    def pop(self, wait_s: float) -> bytes | None:
        """The next message's id, which lies in the intermediate list from here on; None when there was none in time.

        Also None, early, when popping was forbidden meanwhile. What is answered may be no id of ours.
        """
        connection: Any = self._client.connection_pool.get_connection()
        try:
            self._learn_client_id(connection)
            connection.send_command("BLMOVE", self._queue_key, self._intermediate_key, "LEFT", "RIGHT", wait_s)
            self._wait_for_answer(connection, wait_s)
            answer: bytes | None = connection.read_response()
        except BaseException:
            # Whatever was under way on this connection is not known any more.
            connection.disconnect()
            raise
        finally:
            self._client.connection_pool.release(connection)
        return answer

    def put_back(self, message: QueueMessage) -> None:
        """Put a taken message back to the head of its queue."""
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.lrem(self._intermediate_key, 1, message.job_id)
            pipeline.lpush(self._queue_key, message.job_id)
            pipeline.execute()

    def remove(self, message: QueueMessage) -> None:
        """Remove a taken message, and what the enqueue had written for RQ's eyes."""
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.lrem(self._intermediate_key, 1, message.job_id)
            pipeline.unlink(JOB_KEY_PREFIX + message.job_id)
            pipeline.execute()

    def remove_foreign(self, job_id: bytes) -> None:
        """Remove an id that is not ours from the intermediate list."""
        self._client.lrem(self._intermediate_key, 1, job_id)  # type: ignore[arg-type]  # Redis takes bytes as they are.

    def _learn_client_id(self, connection: Any) -> None:
        connection.connect()
        if connection._sock is not self._known_socket:  # noqa: SLF001 - redis-py shows its socket in no other way.
            connection.send_command("CLIENT", "ID")
            self._client_id = int(connection.read_response())
            self._known_socket = connection._sock  # noqa: SLF001

    def _wait_for_answer(self, connection: Any, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s + ANSWER_MARGIN_S
        answer = connection._sock  # noqa: SLF001
        called_off = False
        while (left := deadline - time.monotonic()) > 0:
            readable, _, _ = select.select([answer, self._control], [], [], left)
            if answer in readable:
                return
            if readable:
                self._control.look()
                if not self._control.may_pop and not called_off:
                    called_off = True
                    self._call_off()
        raise redis.TimeoutError(f"Redis did not answer within {wait_s + ANSWER_MARGIN_S:.0f} s")

    def _call_off(self) -> None:
        try:
            self._quick.client_unblock(self._client_id)
        except redis.RedisError as error:
            # Then the wait ends by itself, with a message or without; a message is put back.
            log.warning("could not end the wait for a message: %s", error, extra={"event": "unblock_failed"})
