"""The facts of `decide` as plain values, for tests of single decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from services.taskstate.model import Task, TaskType

KNOWN_TYPE = TaskType(name="known", queue="default", timeout_s=60.0, max_attempts=2, retry_on_loss=True)


@dataclass
class FixedFacts:
    """Everything is as it is set here; by default everything is allowed."""

    default_timeout_s: float = 3600.0
    dispatch_window: int = 100
    types: dict[str, TaskType] = field(default_factory=lambda: {KNOWN_TYPE.name: KNOWN_TYPE})
    made: dict[str, Task] = field(default_factory=dict)
    used: int = 0
    limit: int = 1
    messages: int = 0
    hold_until: datetime | None = None
    replicas: frozenset[str] = frozenset({"replica-1"})

    def type_named(self, _namespace: str, name: str) -> TaskType | None:
        return self.types.get(name)

    def request_made(self, _namespace: str, request_id: str) -> tuple[Task, str] | None:
        task = self.made.get(request_id)
        return None if task is None else (task, task.spec.request_hash)

    def slots_used(self, _slot: str) -> int:
        return self.used

    def group_limit(self, _group: str) -> int:
        return self.limit

    def unstarted(self, _namespace: str, _queue: str) -> int:
        return self.messages

    def replica_holds_lease(self, replica_id: str) -> bool:
        return replica_id in self.replicas
