"""What a supervisor is answered, and ordered: from outcomes and tasks to the messages of a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from taskstate.v1 import worker_service_pb2 as service_pb

from services.taskstate.api import render, worker_requests
from services.taskstate.api.worker_requests import Holder
from services.taskstate.command import (
    Accepted,
    AttemptCommand,
    Command,
    FinishAttempt,
    Outcome,
    Refused,
    ResumeAttempt,
    StartAttempt,
)
from services.taskstate.evidence import LateReport
from services.taskstate.model import Task, TaskState
from services.taskstate.rules.ending import stop_is_asked
from services.taskstate.rules.stop import FORCE_TERM_GRACE, MESSAGE_GRACE, TERM_GRACE


@dataclass(slots=True)
class Carried:
    """One message under way: its commands, and what came of them."""

    message: service_pb.WorkerMessage
    commands: Sequence[Command]
    outcomes: list[Outcome | None] = field(default_factory=list)


def answer(part: Carried) -> list[service_pb.ServerMessage]:
    """What a carried message is answered; nothing means a plain ack."""
    answers: list[service_pb.ServerMessage] = []
    for command, outcome in zip(part.commands, part.outcomes, strict=True):
        if isinstance(outcome, Accepted) and isinstance(command, StartAttempt):
            # One that is asked again may have been ordered to stop meanwhile.
            order = order_of(outcome.task)
            answers.append(service_pb.ServerMessage(started=_started(command, outcome.task)))
            answers.extend([order] if order else [])
        elif isinstance(outcome, Accepted) and isinstance(command, ResumeAttempt):
            # What was ordered while the supervisor was away is ordered again.
            order = order_of(outcome.task)
            answers.append(service_pb.ServerMessage(ack=service_pb.Ack(sequences=[part.message.sequence])))
            answers.extend([order] if order else [])
        elif isinstance(outcome, Refused) and outcome.reason == "TOKEN_LOST":
            fenced = service_pb.Fenced(
                sequence=part.message.sequence,
                task_id=command.task_id,
                fencing_token=worker_requests.token_of(command),
                message=outcome.message,
            )
            answers.append(service_pb.ServerMessage(fenced=fenced))
        elif isinstance(outcome, Refused):
            answers.append(refused(part.message, outcome.reason, outcome.message, command.task_id))
    return answers


def order_of(task: Task) -> service_pb.ServerMessage | None:
    """What the supervisor that holds the newest attempt has to do about a stop, a force or an end it was not told of."""
    if task.gone_time is not None or task.attempt == 0:
        return None
    if task.state is TaskState.RUNNING:
        if not stop_is_asked(task):
            return None
        cancel = service_pb.CancelOrder(
            task_id=task.task_id,
            fencing_token=task.fencing_token,
            message_grace=render.duration(MESSAGE_GRACE.total_seconds()),
            term_grace=render.duration(TERM_GRACE.total_seconds()),
        )
        return service_pb.ServerMessage(cancel=cancel)
    kill = service_pb.KillOrder(
        task_id=task.task_id,
        fencing_token=task.fencing_token,
        term_grace=render.duration(FORCE_TERM_GRACE.total_seconds()),
        message=task.message or f"The task is {task.state}.",
    )
    return service_pb.ServerMessage(kill=kill)


def late_reports_of(carried: Sequence[Carried], holder: Holder | None) -> list[LateReport]:
    """The reports among these that came from attempts that do not hold their task any more."""
    late = []
    for part in carried:
        for command, outcome in zip(part.commands, part.outcomes, strict=True):
            lost = isinstance(outcome, Refused) and outcome.reason == "TOKEN_LOST"
            if lost and isinstance(command, AttemptCommand) and holder is not None:
                kind = str(part.message.WhichOneof("body"))
                body = _words(command) if isinstance(command, FinishAttempt) else None
                late.append(LateReport(command.task_id, command.fencing_token, kind, holder.worker.worker_id, body))
    return late


def refused(message: service_pb.WorkerMessage, reason: str, text: str, task_id: str = "") -> service_pb.ServerMessage:
    """The refusal of one message."""
    if not task_id:
        body = message.WhichOneof("body")
        task_id = getattr(getattr(message, body), "task_id", "") if body else ""
    said = service_pb.Refused(sequence=message.sequence, task_id=task_id[:64], reason=reason, message=text)
    return service_pb.ServerMessage(refused=said)


def _words(command: FinishAttempt) -> dict[str, object]:
    error = command.error
    return {
        "result": command.result,
        "error": error and {"type": error.type, "message": error.message, "traceback": error.traceback},
        "final": command.final,
    }


def _started(command: StartAttempt, task: Task) -> service_pb.AttemptStarted:
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
        stall_timeout=render.duration(task.stall_timeout_s),
        max_attempts=task.max_attempts or 1,
        name=task.spec.name,
    )
