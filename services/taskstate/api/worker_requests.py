"""From the messages of a supervisor to commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from taskstate.v1 import task_pb2 as pb
from taskstate.v1 import worker_service_pb2 as service_pb

from services.taskstate.api.validation import (
    COUNT_MAX,
    ERROR_BYTES_MAX,
    LOG_LINE_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    NAME_CHARACTERS_MAX,
    RESULT_BYTES_MAX,
    SEQUENCE_MAX,
    TOKEN_MAX,
    Checker,
)
from services.taskstate.command import (
    AdvanceCancel,
    AttemptCommand,
    AttemptExited,
    Command,
    FinishAttempt,
    HearAttempt,
    ReleaseDispatch,
    ReportPhase,
    ReportProgress,
    ResumeAttempt,
    StartAttempt,
)
from services.taskstate.evidence import AppendedLines
from services.taskstate.model import ExitCause, LogLine, PhaseState, ProcessExit, TaskError, TaskType, Worker
from services.taskstate.progress import PHASES_MAX

LINES_MAX = 1000
TYPES_MAX = 1000
ATTEMPTS_MAX = 1000

_REPORTED_PHASES = {
    pb.PHASE_STATE_RUNNING: PhaseState.RUNNING,
    pb.PHASE_STATE_DONE: PhaseState.DONE,
    pb.PHASE_STATE_FAILED: PhaseState.FAILED,
    pb.PHASE_STATE_SKIPPED: PhaseState.SKIPPED,
}
_LEVELS = tuple(range(1, 6))
_STAGES = (service_pb.CANCEL_STAGE_DELIVERED, service_pb.CANCEL_STAGE_SIGNALLED)
_CAUSES = {
    service_pb.EXIT_CAUSE_UNSPECIFIED: ExitCause.NONE,
    service_pb.EXIT_CAUSE_DRAINED: ExitCause.DRAINED,
    service_pb.EXIT_CAUSE_TIMEOUT: ExitCause.TIMEOUT,
    service_pb.EXIT_CAUSE_STALLED: ExitCause.STALLED,
    service_pb.EXIT_CAUSE_LEASE_UNSURE: ExitCause.LEASE_UNSURE,
    service_pb.EXIT_CAUSE_ORDERED: ExitCause.ORDERED,
}


@dataclass(frozen=True, slots=True)
class Holder:
    """Who sends: the supervisor, the replica that carries its stream, and the stream."""

    worker: Worker
    replica_id: str
    stream_id: str

    @property
    def actor(self) -> str:
        """The supervisor's name in the audit trail."""
        return f"worker:{self.worker.worker_id}"


def worker_of(hello: service_pb.Hello) -> Worker:
    """Who says hello. Raises ApiError."""
    check = Checker("hello.worker.")
    said = hello.worker
    worker = Worker(
        worker_id=check.label("worker_id", said.worker_id, 128, required=True),
        host=check.label("host", said.host, 255, required=True),
        pid=check.integer("pid", said.pid, 1, 2**31 - 1),
        boot_id=check.label("boot_id", said.boot_id, 128, required=True),
        queues=tuple(check.queue(f"queues[{i}]", queue, required=True) for i, queue in enumerate(said.queues[:1000])),
    )
    if len(said.queues) > 1000:
        check.wrong("queues", "must name at most 1000")
    check.done()
    return worker


def types_of(hello: service_pb.Hello) -> list[TaskType]:
    """What it declares. Raises ApiError."""
    check = Checker("hello.")
    if len(hello.types) > TYPES_MAX:
        check.wrong("types", f"must name at most {TYPES_MAX}")
    names = [declared.name for declared in hello.types]
    if len(set(names)) != len(names):
        check.wrong("types", "must not name a type twice")
    types = [_type(check, f"types[{i}].", declared) for i, declared in enumerate(hello.types[:TYPES_MAX])]
    check.done()
    return types


def _type(check: Checker, at: str, declared: service_pb.TaskType) -> TaskType:
    if len(declared.phases) > PHASES_MAX:
        check.wrong(f"{at}phases", f"must name at most {PHASES_MAX}")
    phases = tuple(
        (
            check.phase_id(f"{at}phases[{i}].id", phase.id),
            check.label(f"{at}phases[{i}].name", phase.name, NAME_CHARACTERS_MAX),
        )
        for i, phase in enumerate(declared.phases[:PHASES_MAX])
    )
    if len({phase_id for phase_id, _ in phases}) != len(phases):
        check.wrong(f"{at}phases", "must not name a phase twice")
    return TaskType(
        name=check.type_name(f"{at}name", declared.name),
        queue=check.queue(f"{at}queue", declared.queue, required=True),
        timeout_s=check.duration(f"{at}timeout", declared.timeout) if declared.HasField("timeout") else None,
        stall_timeout_s=(
            check.duration(f"{at}stall_timeout", declared.stall_timeout) if declared.HasField("stall_timeout") else None
        ),
        max_attempts=check.integer(f"{at}max_attempts", declared.max_attempts, 0, 100) or 1,
        retry_on_loss=declared.retry_on_loss,
        phases=phases,
        description=check.bytes_at_most(f"{at}description", declared.description, MESSAGE_BYTES_MAX),
        exclusive=declared.exclusive,
    )


def lines_of(logs: service_pb.AppendLogs) -> AppendedLines:
    """The lines of a log message. Raises ApiError."""
    check = Checker("logs.")
    if len(logs.lines) > LINES_MAX:
        check.wrong("lines", f"must have at most {LINES_MAX}")
    lines = [_line(check, f"lines[{i}].", line) for i, line in enumerate(logs.lines[:LINES_MAX])]
    appended = AppendedLines(
        task_id=check.task_id("task_id", logs.task_id),
        fencing_token=check.integer("fencing_token", logs.fencing_token, 1, TOKEN_MAX),
        lines=lines,
    )
    check.done()
    return appended


def _line(check: Checker, at: str, line: pb.LogLine) -> LogLine:
    if not line.sequence or line.sequence >> 32 != line.attempt or line.attempt < 1:
        check.wrong(f"{at}sequence", "must be attempt << 32 | n with n from 1, and attempt must be the attempt's")
    return LogLine(
        sequence=line.sequence,
        attempt=line.attempt,
        level=check.one_of(f"{at}level", line.level, _LEVELS, pb.LogLevel),
        time=check.timestamp(f"{at}time", line.time),
        text=check.bytes_at_most(f"{at}text", line.text, LOG_LINE_BYTES_MAX),
        logger=check.label(f"{at}logger", line.logger, NAME_CHARACTERS_MAX),
    )


def commands_of(message: service_pb.WorkerMessage, holder: Holder) -> Sequence[Command]:
    """The commands of any other message; none for a bare heartbeat. Raises ApiError."""
    check = Checker()
    check.integer("sequence", message.sequence, 1, SEQUENCE_MAX)
    body = message.WhichOneof("body")
    if body not in _READERS:
        check.wrong("body", "must be one of the messages of a session; hello comes first, and only once")
        check.done()
    inner = Checker(f"{body}.")
    commands = _READERS[str(body)](inner, getattr(message, str(body)), message.sequence, holder)
    check.violations.extend(inner.violations)
    check.done()
    return commands


def _start(check: Checker, said: service_pb.StartAttempt, sequence: int, holder: Holder) -> list[Command]:
    worker = Worker(
        worker_id=holder.worker.worker_id,
        host=holder.worker.host,
        pid=holder.worker.pid,
        boot_id=holder.worker.boot_id,
        queues=holder.worker.queues,
        horse_pid=check.integer("horse_pid", said.horse_pid, 1, 2**31 - 1),
    )
    return [
        StartAttempt(
            task_id=check.task_id("task_id", said.task_id),
            actor=holder.actor,
            dispatch=check.integer("dispatch", said.dispatch, 1, 2**31 - 1),
            start_id=check.task_id("start_id", said.start_id),
            worker=worker,
            replica_id=holder.replica_id,
            stream_id=holder.stream_id,
            sequence=sequence,
        )
    ]


def _held(check: Checker, said: Any, sequence: int, holder: Holder) -> dict[str, Any]:
    """What every message about a held attempt carries."""
    return {
        "task_id": check.task_id("task_id", said.task_id),
        "fencing_token": check.integer("fencing_token", said.fencing_token, 1, TOKEN_MAX),
        "sequence": sequence,
        "actor": holder.actor,
    }


def _progress(check: Checker, said: service_pb.ReportProgress, sequence: int, holder: Holder) -> list[Command]:
    def given(field: str) -> bool:
        return said.HasField(field)

    return [
        ReportProgress(
            **_held(check, said, sequence, holder),
            phase_id=check.phase_id("phase_id", said.phase_id, required=False),
            done=check.number("done", said.done, 0, COUNT_MAX) if given("done") else None,
            total=check.number("total", said.total, 0, COUNT_MAX) if given("total") else None,
            message=check.bytes_at_most("message", said.message, MESSAGE_BYTES_MAX) if given("message") else None,
            items_processed=(
                check.integer("items_processed", said.items_processed, 0, COUNT_MAX)
                if given("items_processed")
                else None
            ),
            items_failed=(
                check.integer("items_failed", said.items_failed, 0, COUNT_MAX) if given("items_failed") else None
            ),
        )
    ]


def _phase(check: Checker, said: service_pb.ReportPhase, sequence: int, holder: Holder) -> list[Command]:
    check.one_of("state", said.state, tuple(_REPORTED_PHASES), pb.PhaseState)
    return [
        ReportPhase(
            **_held(check, said, sequence, holder),
            phase_id=check.phase_id("phase_id", said.phase_id),
            state=_REPORTED_PHASES.get(said.state, PhaseState.RUNNING),
            name=check.label("name", said.name, NAME_CHARACTERS_MAX),
            message=check.bytes_at_most("message", said.message, MESSAGE_BYTES_MAX),
        )
    ]


def _heartbeat(check: Checker, said: service_pb.Heartbeat, sequence: int, holder: Holder) -> list[Command]:
    if len(said.attempts) > ATTEMPTS_MAX or len(said.claims) > ATTEMPTS_MAX:
        check.wrong("attempts", f"must name at most {ATTEMPTS_MAX} attempts and as many claims")
    commands: list[Command] = []
    for index, health in enumerate(said.attempts[:ATTEMPTS_MAX]):
        inner = Checker(f"heartbeat.attempts[{index}].")
        age_s = inner.duration("sign_of_life_age", health.sign_of_life_age, 0.0)
        commands.append(HearAttempt(**_held(inner, health, sequence, holder), age_s=age_s))
        check.violations.extend(inner.violations)
    return commands


def _finish(check: Checker, said: service_pb.FinishAttempt, sequence: int, holder: Holder) -> list[Command]:
    result: str | None = None
    error: TaskError | None = None
    match said.WhichOneof("outcome"):
        case "result":
            check.bytes_at_most("result", said.result, RESULT_BYTES_MAX)
            if said.result and not check.violations:
                check.json("result", said.result)
            result = said.result or None
        case "error":
            whole = said.error.type + said.error.message + said.error.traceback
            check.bytes_at_most("error", whole, ERROR_BYTES_MAX)
            check.label("error.type", said.error.type, NAME_CHARACTERS_MAX, required=True)
            error = TaskError(said.error.type, said.error.message, said.error.traceback)
        case _:
            check.wrong("outcome", "must be a result or an error")
    return [FinishAttempt(**_held(check, said, sequence, holder), result=result, error=error, final=said.final)]


def _exited(check: Checker, said: service_pb.AttemptExited, sequence: int, holder: Holder) -> list[Command]:
    ended: ProcessExit | None = None
    if said.HasField("exit"):
        cpu = said.exit.cpu_time if said.exit.HasField("cpu_time") else None
        ended = ProcessExit(
            exit_code=check.integer("exit.exit_code", said.exit.exit_code, 0, 255),
            signal=check.integer("exit.signal", said.exit.signal, 0, 64),
            peak_memory_bytes=check.integer("exit.peak_memory_bytes", said.exit.peak_memory_bytes, 0, 2**53),
            cpu_s=check.duration("exit.cpu_time", cpu, 0.0, 1e9) if cpu is not None else 0.0,
        )
    check.one_of("cause", said.cause, tuple(_CAUSES), service_pb.ExitCause)
    cause = _CAUSES.get(said.cause, ExitCause.NONE)
    return [AttemptExited(**_held(check, said, sequence, holder), exit=ended, cause=cause)]


def _resume(check: Checker, said: service_pb.ResumeAttempt, sequence: int, holder: Holder) -> list[Command]:
    held = _held(check, said, sequence, holder)
    return [ResumeAttempt(**held, replica_id=holder.replica_id, stream_id=holder.stream_id)]


def _cancel_receipt(check: Checker, said: service_pb.CancelReceipt, sequence: int, holder: Holder) -> list[Command]:
    check.one_of("stage", said.stage, _STAGES, service_pb.CancelStage)
    signalled = said.stage == service_pb.CANCEL_STAGE_SIGNALLED
    return [AdvanceCancel(**_held(check, said, sequence, holder), signalled=signalled)]


def _release(check: Checker, said: service_pb.ReleaseDispatch, _sequence: int, holder: Holder) -> list[Command]:
    return [
        ReleaseDispatch(
            task_id=check.task_id("task_id", said.task_id),
            dispatch=check.integer("dispatch", said.dispatch, 1, 2**31 - 1),
            actor=holder.actor,
        )
    ]


_Reader = Callable[[Checker, Any, int, Holder], list[Command]]
_READERS: dict[str, _Reader] = {
    "start": _start,
    "progress": _progress,
    "phase": _phase,
    "heartbeat": _heartbeat,
    "finish": _finish,
    "exited": _exited,
    "resume": _resume,
    "cancel_receipt": _cancel_receipt,
    "release": _release,
}


def token_of(command: Command) -> int:
    """The token a command speaks with; zero for a start."""
    return command.fencing_token if isinstance(command, AttemptCommand) else 0
