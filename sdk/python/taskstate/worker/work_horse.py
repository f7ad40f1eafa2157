"""The work-horse: one process, one attempt. It asks to start, runs the task, says the last word, and ends.

It is a fork of the RQ worker, which has imported the tasks. It ends by ``_exit`` in every case, so nothing of the RQ
worker's state is unwound twice. What it cannot say, its exit says: the RQ worker reports every exit, and an exit without
a finish ends the attempt.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import socket
import sys
import time
import uuid
from typing import TYPE_CHECKING, Final, NoReturn

from taskstate.context import TaskContext
from taskstate.task import find_task
from taskstate.v1 import work_horse_pb2, worker_service_pb2
from taskstate.worker import process
from taskstate.worker.frames import BlockingConnection, FrameError
from taskstate.worker.interruption import Interruption
from taskstate.worker.log_capture import LogCapture, TaskFields
from taskstate.worker.outcome import finish_with_error, finish_with_result, parse_payload
from taskstate.worker.outgoing import Outgoing
from taskstate.worker.sender import Sender

if TYPE_CHECKING:
    from taskstate.task import TaskDefinition
    from taskstate.worker.message import QueueMessage

log = logging.getLogger(__name__)

ENV_TASK_ID: Final = "TASKSTATE_TASK_ID"
ENV_ATTEMPT: Final = "TASKSTATE_ATTEMPT"
"""Both are inherited by what the task starts: a mark by which an operator finds its owner."""


class UnknownTaskType(Exception):
    """No imported module registers the task's type."""


def run_work_horse(message: QueueMessage, *, socket_path: str, rq_worker_pid: int) -> NoReturn:
    """Run one attempt in this process, which must be a fresh fork; ends the process.

    Exit codes: 0 the last word was said, or the start was refused; 69 (EX_UNAVAILABLE) the supervisor could not be
    spoken to; 70 (EX_SOFTWARE) a fault of ours. No code is relied on: the supervisor knows what was said.
    """
    code = os.EX_SOFTWARE
    try:
        process.die_with_parent(rq_worker_pid)
        process.name_process("worker-horse")
        _reset_inherited()
        connection = _connect(socket_path)
        started = _ask_to_start(connection, message)
        if started is not None:
            _run_attempt(connection, started)
        code = os.EX_OK
    except (OSError, EOFError, FrameError):
        log.exception("the supervisor could not be spoken to", extra={"event": "supervisor_lost"})
        code = os.EX_UNAVAILABLE
    except BaseException:
        log.exception("a fault in the work-horse", extra={"event": "work_horse_fault"})
    finally:
        with contextlib.suppress(Exception):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _reset_inherited() -> None:
    """Undo what the RQ worker set for itself, and what two forks must not share."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A Ctrl-C at a terminal is the supervisor's to handle; it does not reach this process group anyway.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    random.seed()


def _connect(socket_path: str) -> BlockingConnection:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(socket_path)
    connection = BlockingConnection(sock)
    # A child that the task forks without exec must not keep the connection: it would speak in our name.
    os.register_at_fork(after_in_child=connection.close)
    return connection


def _ask_to_start(connection: BlockingConnection, message: QueueMessage) -> worker_service_pb2.AttemptStarted | None:
    """The attempt to run; None when the start was refused. Waits, as long as TaskState is away."""
    start = worker_service_pb2.StartAttempt(
        task_id=message.task_id, dispatch=message.dispatch, start_id=str(uuid.uuid4()), horse_pid=os.getpid()
    )
    connection.send(work_horse_pb2.LocalRequest(start=start))
    response = connection.receive(work_horse_pb2.LocalResponse)
    if response.WhichOneof("body") == "started":
        return response.started
    log.info(
        "did not start %s: %s",
        message.job_id,
        response.refused.message or response.refused.reason,
        extra={"event": "start_refused", "task_id": message.task_id, "reason": response.refused.reason},
    )
    return None


def _run_attempt(connection: BlockingConnection, started: worker_service_pb2.AttemptStarted) -> None:
    """Run the task with its words on their way, then say the last one and wait until the supervisor has it."""
    os.environ[ENV_TASK_ID] = started.task_id
    os.environ[ENV_ATTEMPT] = str(started.attempt)
    sender = Sender(connection)
    outgoing = Outgoing(attempt=started.attempt, wake=sender.wake)
    os.register_at_fork(after_in_child=outgoing.forget_after_fork)
    definition = find_task(started.type)
    context = TaskContext(
        task_id=started.task_id,
        attempt=started.attempt,
        fencing_token=started.fencing_token,
        log=logging.getLogger(definition.function.__module__) if definition else None,
        declared_phases=definition.phases if definition else (),
        outgoing=outgoing,
    )
    _capture_logging(outgoing, started)
    interruption = Interruption(context)
    sender.start(outgoing, interruption)
    finish = _perform(context, definition, started, interruption)
    sender.stop()
    finish.task_id, finish.fencing_token = started.task_id, started.fencing_token
    for request in outgoing.take_last(time.time()):
        connection.send(request)
    connection.send(work_horse_pb2.LocalRequest(finish=finish))
    while connection.receive(work_horse_pb2.LocalResponse).WhichOneof("body") != "finish_taken":
        continue


def _perform(
    context: TaskContext,
    definition: TaskDefinition | None,
    started: worker_service_pb2.AttemptStarted,
    interruption: Interruption,
) -> worker_service_pb2.FinishAttempt:
    """Run the task's function; whatever comes of it is the last word."""
    try:
        context.payload = parse_payload(started.payload)
        if definition is None:
            return finish_with_error(
                UnknownTaskType(f"no module of this worker's TASKSTATE_TASKS registers the task type {started.type}")
            )
        result = interruption.call(definition.function)
    except BaseException as error:  # noqa: BLE001 - SystemExit and TaskCancelled too: all are the attempt's last word.
        return finish_with_error(error)
    return finish_with_result(result)


def _capture_logging(outgoing: Outgoing, started: worker_service_pb2.AttemptStarted) -> None:
    root = logging.getLogger()
    for handler in root.handlers:
        handler.addFilter(TaskFields(started.task_id, started.attempt))
    root.addHandler(LogCapture(outgoing))
    root.setLevel(min(root.level, logging.INFO))
