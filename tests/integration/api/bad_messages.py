"""The tables of bad session messages: about a held attempt, and in a hello."""

import math
from collections.abc import Iterator

from google.protobuf.duration_pb2 import Duration
from taskstate.v1 import task_pb2
from taskstate.v1 import worker_service_pb2 as pb

from tests.integration.api.bad_requests import BAD_DURATIONS, BAD_QUEUES, BAD_TYPES, KIB

WORKER = task_pb2.Worker(worker_id="w-1", host="h", pid=1, boot_id="b", queues=["default"])
BODIES = {
    pb.ReportProgress: "progress",
    pb.ReportPhase: "phase",
    pb.FinishAttempt: "finish",
    pb.AttemptExited: "exited",
    pb.AppendLogs: "logs",
    pb.ResumeAttempt: "resume",
    pb.CancelReceipt: "cancel_receipt",
}
OTHERWISE_GOOD = {
    pb.ReportProgress: {},
    pb.ReportPhase: {"phase_id": "a", "state": task_pb2.PHASE_STATE_RUNNING},
    pb.FinishAttempt: {"result": "1"},
    pb.AttemptExited: {},
    pb.ResumeAttempt: {},
    pb.CancelReceipt: {"stage": pb.CANCEL_STAGE_DELIVERED},
    pb.AppendLogs: {"lines": [task_pb2.LogLine(sequence=1 << 32 | 1, attempt=1, level=task_pb2.LOG_LEVEL_INFO)]},
}


def bad_messages() -> Iterator[tuple[str, type, dict, str]]:
    """Label, message type, the fields besides task_id and token, and the field that the refusal names."""
    yield from _reports()
    yield from _last_words()
    yield from _log_lines()


def _reports() -> Iterator[tuple[str, type, dict, str]]:
    for name, number in {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "negative": -0.1}.items():
        for which in ("done", "total"):
            yield f"progress-{which}-{name}", pb.ReportProgress, {which: number}, f"progress.{which}"
    for name in ("items_processed", "items_failed"):
        for value in (-1, 2**63 - 1):
            yield f"progress-{name}-{value}", pb.ReportProgress, {name: value}, f"progress.{name}"
    phase_ids = {"upper": "Fetch", "space": "a b", "dot": "a.", "dots": "a..b", "long": "a" * 129, "nul": "a\0"}
    for label, phase_id in phase_ids.items():
        yield f"progress-phase-{label}", pb.ReportProgress, {"phase_id": phase_id}, "progress.phase_id"
        fields = {"phase_id": phase_id, "state": task_pb2.PHASE_STATE_RUNNING}
        yield f"phase-id-{label}", pb.ReportPhase, fields, "phase.phase_id"
    for label, text in {"long": "m" * (KIB + 1), "long-utf8": "é" * 513, "nul": "a\0"}.items():
        yield f"progress-message-{label}", pb.ReportProgress, {"message": text}, "progress.message"
    for label, state in {"unspecified": 0, "pending": 1, "unknown": 99, "negative": -1}.items():
        yield f"phase-state-{label}", pb.ReportPhase, {"phase_id": "a", "state": state}, "phase.state"
    running = {"phase_id": "a", "state": task_pb2.PHASE_STATE_RUNNING}
    yield "phase-name-long", pb.ReportPhase, {**running, "name": "n" * 201}, "phase.name"
    yield "phase-message-long", pb.ReportPhase, {**running, "message": "m" * (KIB + 1)}, "phase.message"


def _last_words() -> Iterator[tuple[str, type, dict, str]]:
    for label, result in {"no-json": "{", "nan": "NaN", "large": '"' + "x" * (512 * KIB) + '"', "nul": '"\0"'}.items():
        yield f"finish-result-{label}", pb.FinishAttempt, {"result": result}, "finish.result"
    yield "finish-nothing", pb.FinishAttempt, {}, "finish.outcome"
    large = task_pb2.TaskError(type="E", message="m", traceback="x" * (64 * KIB))
    yield "finish-error-large", pb.FinishAttempt, {"error": large}, "finish.error"
    yield "finish-error-nul", pb.FinishAttempt, {"error": task_pb2.TaskError(type="E", message="a\0")}, "finish.error"
    for label, bad in {
        "code": task_pb2.ProcessExit(exit_code=-1),
        "signal": task_pb2.ProcessExit(signal=65),
        "memory": task_pb2.ProcessExit(peak_memory_bytes=-1),
        "cpu": task_pb2.ProcessExit(cpu_time=Duration(seconds=-1)),
    }.items():
        yield f"exited-{label}", pb.AttemptExited, {"exit": bad}, "exited.exit."
    for label, number in {"unknown": 99, "negative": -1}.items():
        yield f"exited-cause-{label}", pb.AttemptExited, {"cause": number}, "exited.cause"
    for label, number in {"unspecified": 0, "unknown": 99, "negative": -1}.items():
        yield f"cancel-stage-{label}", pb.CancelReceipt, {"stage": number}, "cancel_receipt.stage"


def _log_lines() -> Iterator[tuple[str, type, dict, str]]:
    for label, line in {
        "sequence": task_pb2.LogLine(sequence=1, attempt=1, level=2),
        "attempt": task_pb2.LogLine(sequence=1 << 32 | 1, attempt=2, level=2),
        "level-unspecified": task_pb2.LogLine(sequence=1 << 32 | 1, attempt=1),
        "level-unknown": task_pb2.LogLine(sequence=1 << 32 | 1, attempt=1, level=99),
        "text-long": task_pb2.LogLine(sequence=1 << 32 | 1, attempt=1, level=2, text="x" * (8 * KIB + 1)),
        "text-nul": task_pb2.LogLine(sequence=1 << 32 | 1, attempt=1, level=2, text="\0"),
    }.items():
        yield f"logs-{label}", pb.AppendLogs, {"lines": [line]}, "logs.lines[0]."
    good = task_pb2.LogLine(sequence=1 << 32 | 1, attempt=1, level=2)
    yield "logs-1001", pb.AppendLogs, {"lines": [good] * 1001}, "logs.lines"


def saying(**fields) -> pb.Hello:
    """A good hello but for these fields of its worker."""
    queues = fields.pop("queues", WORKER.queues)
    said = task_pb2.Worker()
    said.CopyFrom(WORKER)
    said.ClearField("queues")
    said.queues.extend(queues)
    for name, value in fields.items():
        setattr(said, name, value)
    return pb.Hello(worker=said)


def declaring(*types: pb.TaskType) -> pb.Hello:
    """A good hello with these types."""
    return pb.Hello(worker=WORKER, types=types)


def typed(name: str = "a", phases: tuple[str, ...] = (), **fields) -> pb.TaskType:
    """A good type but for these fields."""
    declared = [pb.PhaseDeclaration(id=phase) for phase in phases]
    return pb.TaskType(name=name, queue="default", phases=declared, **fields)


def bad_hellos() -> Iterator[tuple[str, pb.Hello, str]]:
    """Label, hello, and the field that the answer names."""
    yield "no-worker", pb.Hello(), "hello.worker.worker_id"
    for name, limit in {"worker_id": 128, "host": 255, "boot_id": 128}.items():
        for label, value in {"empty": "", "long": "x" * (limit + 1), "nul": "a\0", "newline": "a\nb"}.items():
            yield f"{name}-{label}", saying(**{name: value}), f"hello.worker.{name}"
    for value in (0, -1):
        yield f"pid-{value}", saying(pid=value), "hello.worker.pid"
    for label, value in BAD_QUEUES.items():
        yield f"queues-{label}", saying(queues=[value]), "hello.worker.queues"
    for label, value in BAD_TYPES.items():
        yield f"type-{label}", declaring(typed(value)), "hello.types"
    for label, span in BAD_DURATIONS.items():
        yield f"timeout-{label}", declaring(typed(timeout=span)), "hello.types[0].timeout"
    for value in (-1, 101):
        yield f"max_attempts-{value}", declaring(typed(max_attempts=value)), "hello.types[0].max_attempts"
    yield "type-twice", declaring(typed(), typed()), "hello.types"
    for label, phases in {"65": tuple(f"p{n}" for n in range(65)), "twice": ("a", "a"), "upper": ("A",)}.items():
        yield f"phases-{label}", declaring(typed(phases=phases)), "hello.types[0].phases"
    yield "types-1001", declaring(*(typed(f"t{number}") for number in range(1001))), "hello.types"
    yield "description-long", declaring(typed(description="d" * (KIB + 1))), "hello.types[0].description"
