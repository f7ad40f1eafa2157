"""One change as the stream carries it, and the filter that says who wants it.

A change is rendered when the first stream wants it, and once for all of them. Three kinds exist: a transition has an event
and is never dropped; progress and the rows of a snapshot have none, and a newer one of the same task makes them worthless.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taskstate.json_view import event_view, task_view, time_text
from taskstate.v1 import task_service_pb2 as api

from services.gateway.sse import sse_event

if TYPE_CHECKING:
    from taskstate.v1 import task_pb2


@dataclass(frozen=True)
class StreamFilter:
    """Which tasks a stream shows; conditions are joined by "and", empty ones hold for every task."""

    task_ids: frozenset[str] = frozenset()
    group: str = ""
    types: frozenset[str] = frozenset()

    def matches(self, change: Change) -> bool:
        """Whether the stream shows this change."""
        task = change.task
        return (
            (not self.task_ids or task.task_id in self.task_ids)
            and (not self.group or task.group == self.group)
            and (not self.types or task.type in self.types)
        )

    def watch_request(self, cursor: int | None) -> api.WatchTasksRequest:
        """Answer the same filter as a watch of TaskState, from a cursor or with a snapshot first."""
        return api.WatchTasksRequest(
            task_ids=sorted(self.task_ids), group=self.group, types=sorted(self.types), from_revision=cursor
        )


@dataclass(eq=False)
class Change:
    """One change of one task, with the task as of the read that told it."""

    revision: int
    task: task_pb2.Task
    event: task_pb2.TaskEvent | None = None
    _encoded: bytes | None = field(default=None, repr=False)

    @property
    def is_transition(self) -> bool:
        """Whether it must never be dropped; only such a change carries a cursor."""
        return self.event is not None

    @property
    def encoded(self) -> bytes:
        """The change as one server-sent event, rendered at the first asking."""
        if self._encoded is None:
            data = {
                "revision": str(self.revision),
                "event": None if self.event is None else event_view(self.event),
                "task": task_view(self.task),
            }
            self._encoded = sse_event("task", data, self.revision if self.is_transition else None)
        return self._encoded


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything up to its revision has been told."""

    revision: int
    encoded: bytes

    @classmethod
    def of(cls, checkpoint: api.Checkpoint) -> Checkpoint:
        """Render a checkpoint of TaskState."""
        time = time_text(checkpoint.server_time) if checkpoint.HasField("server_time") else None
        data = {"revision": str(checkpoint.revision), "server_time": time}
        return cls(checkpoint.revision, sse_event("checkpoint", data, checkpoint.revision))
