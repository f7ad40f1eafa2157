"""The process of one RQ worker, started by a supervisor: ``python -m taskstate.worker.rq_worker_main --queue Q --slot N``.

It ties its life to the supervisor's, imports the tasks, tells their types, and works until it is told to stop. It never
imports grpc, starts no thread, and ignores signals that ask it to end: its supervisor tells it by message, or kills it.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import logging
import os
import signal
import socket
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from taskstate.worker import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from taskstate.v1 import worker_service_pb2
    from taskstate.worker.control import Control
    from taskstate.worker.rq_worker import RqWorker

log = logging.getLogger(__name__)

ENV_SUPERVISOR_PID: Final = "TASKSTATE_SUPERVISOR_PID"
ENV_SOCKET: Final = "TASKSTATE_SUPERVISOR_SOCKET"
ENV_BOOT_ID: Final = "TASKSTATE_BOOT_ID"
ENV_MARK: Final = "TASKSTATE_SUPERVISOR_MARK"
"""Inherited by all that a task starts, so that what outlives a dead supervisor can be told; see ``leftovers``."""
ENV_TASKS: Final = "TASKSTATE_TASKS"
ENV_REDIS_URL: Final = "TASKSTATE_REDIS_URL"
ENV_LOG_LEVEL: Final = "TASKSTATE_LOG_LEVEL"
ENV_LOG_FORMAT: Final = "TASKSTATE_LOG_FORMAT"

EXIT_BAD_TASKS: Final = os.EX_CONFIG
"""The exit code when the tasks cannot be imported: starting again would not help."""
REDIS_RETRY_S: Final = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one RQ worker to its end; answers the exit code."""
    supervisor_pid = int(os.environ[ENV_SUPERVISOR_PID])
    process.die_with_parent(supervisor_pid)
    process.name_process("worker-rq")
    process.become_subreaper()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    parser = argparse.ArgumentParser(prog="taskstate-rq-worker")
    parser.add_argument("--queue", required=True)
    parser.add_argument("--slot", required=True, type=int)
    options = parser.parse_args(arguments)

    from taskstate.worker.logs import configure_worker_logging

    configure_worker_logging("worker", os.environ[ENV_LOG_LEVEL], os.environ[ENV_LOG_FORMAT])
    if not import_tasks(os.environ[ENV_TASKS].split(",")):
        return EXIT_BAD_TASKS
    return _work(options.queue, options.slot)


def import_tasks(modules: Sequence[str]) -> bool:
    """Import the modules that register tasks. Logs what fails and answers False."""
    from taskstate.task import all_tasks

    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            missing = isinstance(error, ModuleNotFoundError) and error.name and module.startswith(error.name)
            log.error(  # noqa: TRY400 - a missing module needs a line, not a traceback.
                "cannot import the task module %s: %s: %s",
                module,
                type(error).__name__,
                error,
                extra={"event": "bad_tasks"},
                exc_info=None if missing else error,
            )
            return False
    if not any(True for _ in all_tasks()):
        log.error("no task is registered by %s", ", ".join(modules), extra={"event": "bad_tasks"})
        return False
    return True


def task_types() -> Iterator[worker_service_pb2.TaskType]:
    """What the imported tasks declare, as the API says it."""
    from taskstate.task import all_tasks
    from taskstate.v1 import worker_service_pb2

    for definition in all_tasks():
        declared = worker_service_pb2.TaskType(
            name=definition.type,
            queue=definition.queue,
            max_attempts=definition.max_attempts,
            retry_on_loss=definition.retry_on_loss,
            exclusive=definition.exclusive,
            phases=[worker_service_pb2.PhaseDeclaration(id=phase.id, name=phase.name) for phase in definition.phases],
            description=definition.description,
        )
        if definition.timeout_s is not None:
            declared.timeout.FromTimedelta(timedelta(seconds=definition.timeout_s))
        if definition.stall_timeout_s is not None:
            declared.stall_timeout.FromTimedelta(timedelta(seconds=definition.stall_timeout_s))
        yield declared


def _work(queue: str, slot: int) -> int:
    from taskstate.worker.control import Control, SupervisorLost
    from taskstate.worker.frames import BlockingConnection
    from taskstate.worker.message import QueueMessage

    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(os.environ[ENV_SOCKET])
    control = Control(BlockingConnection(sock))
    try:
        disposals = control.ready(task_types())
        worker = _rq_worker(queue, slot, control)
        if worker is None:
            return os.EX_OK
        for disposal in disposals:
            worker.dispose(QueueMessage(disposal.task_id, disposal.dispatch), put_back=disposal.put_back)
        # What is here now stays: a fork then copies no page merely because the collector looked at it.
        gc.collect()
        gc.freeze()
        worker.work(logging_level=None)
    except SupervisorLost as error:
        log.error("lost the supervisor: %s", error, extra={"event": "supervisor_lost"})  # noqa: TRY400
        return os.EX_UNAVAILABLE
    return os.EX_OK if control.stopping else os.EX_SOFTWARE


def _rq_worker(queue: str, slot: int, control: Control) -> RqWorker | None:
    """The RQ worker, once Redis answers; None when told to stop before."""
    import redis

    from taskstate.worker.pop import Popper, quick_client
    from taskstate.worker.rq_worker import MessageQueue, RqWorker

    url = os.environ[ENV_REDIS_URL]
    client, quick = redis.Redis.from_url(url), quick_client(url)
    while not control.stopping:
        with contextlib.suppress(redis.RedisError):
            quick.ping()
            return RqWorker(
                queue,
                name=f"taskstate-{os.environ[ENV_BOOT_ID]}-{slot}-{os.getpid()}",
                connection=client,
                quick_connection=quick,
                control=control,
                popper=Popper(client, quick, MessageQueue(queue, connection=client).key, control),
                socket_path=os.environ[ENV_SOCKET],
            )
        log.warning("Redis does not answer at %s", _without_password(url), extra={"event": "redis_away"})
        control.wait_without_stop(REDIS_RETRY_S)
    return None


def _without_password(url: str) -> str:
    return url.rpartition("@")[2]


if __name__ == "__main__":
    sys.exit(main())
