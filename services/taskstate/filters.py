"""Which tasks are meant: the conditions of a watch and of a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.taskstate.model import Task, TaskState


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks: conditions on what never changes, joined by "and"; empty is "all"."""

    task_ids: frozenset[str] = frozenset()
    group: str = ""
    types: frozenset[str] = frozenset()
    queue: str = ""
    namespace: str = "default"

    def matches(self, task: Task) -> bool:
        """Whether a task is meant."""
        return (
            (not self.task_ids or task.task_id in self.task_ids)
            and (not self.group or task.spec.group == self.group)
            and (not self.types or task.spec.type in self.types)
            and (not self.queue or task.queue == self.queue)
            and task.spec.namespace == self.namespace
        )


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Conditions joined by "and", values of one list by "or"; empty is "all"."""

    states: Sequence[TaskState] = ()
    types: Sequence[str] = ()
    queue: str = ""
    group: str = ""
    job_type: str = ""
    since_time: datetime | None = None
    until_time: datetime | None = None
    text: str = ""
    namespace: str = "default"

    @property
    def is_counted(self) -> bool:
        """Whether the counters answer how many match."""
        return not (self.queue or self.group or self.job_type or self.since_time or self.until_time or self.text)
