"""The fields of a task as JSON and back: for the audit trail's `changes`, and for the store's JSON columns.

`EVENT_LEFT_OUT` names what an event does not repeat: the error and the result, which are big and stand in their own rows,
and the creator's spec, which never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.taskstate.model import (
    Cancel,
    CancelOutcome,
    Liveness,
    Phase,
    PhaseState,
    ProcessExit,
    Reason,
    Task,
    TaskError,
    TaskState,
    WaitReason,
    Worker,
)

EVENT_LEFT_OUT = frozenset({"error", "result", "revision", "event_revision"})
POLICY_FIELDS = ("policy_frozen", "queue", "timeout_s", "stall_timeout_s", "max_attempts", "retry_on_loss", "exclusive")
CREATED_FIELDS = (*POLICY_FIELDS, "state", "wait_reason", "due_time", "phases")
HOT_FIELDS = frozenset(
    {"sequence", "done", "total", "message", "phase", "phases", "items_processed", "items_failed", "heard_time"}
)
"""What progress writes without an event; a fold of the history does not give it back."""
_TIMES = frozenset(
    {
        "suspect_until",
        "handed_out_time",
        "due_time",
        "end_time",
        "heard_time",
        "start_time",
        "attempt_end_time",
        "gone_time",
    }
)


def encode_changes(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The changed fields, JSON-ready."""
    return {name: encode(value) for name, value in fields.items() if name not in EVENT_LEFT_OUT}


def fold(task: Task, changes: Mapping[str, Any]) -> Task:
    """The task after one event's changes: the inverse of `encode_changes`, field by field."""
    return replace(task, **{name: decode(name, value) for name, value in changes.items()})


def encode(value: Any) -> Any:
    """One field's value, JSON-ready."""
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, Phase | Worker | ProcessExit | TaskError | Cancel):
        return {
            item.name: encode(kept) for item in fields(value) if (kept := getattr(value, item.name)) not in (None, "")
        }
    return value


def decode(name: str, value: Any) -> Any:
    """One field's value from what `encode` made of it, or from a JSON column."""
    if value is None:
        return None
    if name in _TIMES:
        return parse_time(value)
    decoder = _DECODERS.get(name)
    return decoder(value) if decoder else value


def parse_time(value: str | datetime) -> datetime:
    """A time from ISO 8601; a time already parsed stays itself."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _optional_time(value: str | None) -> datetime | None:
    return None if value is None else parse_time(value)


def decode_phases(value: list[dict[str, Any]]) -> tuple[Phase, ...]:
    """Phases from their JSON."""
    return tuple(
        Phase(
            id=item["id"],
            name=item.get("name", ""),
            state=PhaseState(item["state"]),
            done=float(item.get("done", 0.0)),
            total=item.get("total"),
            message=item.get("message", ""),
            start_time=_optional_time(item.get("start_time")),
            end_time=_optional_time(item.get("end_time")),
        )
        for item in value
    )


def decode_worker(value: dict[str, Any]) -> Worker:
    """A worker from its JSON."""
    return Worker(**{"worker_id": "", "host": "", "boot_id": ""} | value | {"queues": tuple(value.get("queues", ()))})


def decode_exit(value: dict[str, Any]) -> ProcessExit:
    """A process's exit from its JSON."""
    return ProcessExit(**value | {"exit_time": _optional_time(value.get("exit_time"))})


def decode_error(value: dict[str, Any]) -> TaskError:
    """An error from its JSON."""
    return TaskError(**{"type": "", "message": ""} | value)


def decode_cancel(value: dict[str, Any]) -> Cancel:
    """A cancel receipt from its JSON."""
    times = {name: parse_time(value[name]) for name in value if name.endswith("_time")}
    return Cancel(**value | times | {"outcome": CancelOutcome(value.get("outcome", ""))})


_DECODERS: dict[str, Any] = {
    "state": TaskState,
    "reason": Reason,
    "wait_reason": WaitReason,
    "phases": decode_phases,
    "liveness": Liveness,
    "cancel": decode_cancel,
    "worker": decode_worker,
    "exit": decode_exit,
    "error": decode_error,
}
