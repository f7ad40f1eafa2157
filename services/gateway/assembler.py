"""From the messages of a watch to whole changes: every transition with its task.

TaskState sends the task once per task and read, with the task's newest transition; an earlier one of the same read comes
without. Browsers get it on each, as of the read, so that the earlier ones wait for it, and what comes after them waits too,
as the order holds. Nothing waits beyond a checkpoint, which closes the read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskstate.errors import TaskStateError

from services.gateway.change import Change, Checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskstate.v1 import task_pb2
    from taskstate.v1 import task_service_pb2 as api

# A read of TaskState has at most some hundred transitions; more without their task is a fault, not a long read.
HELD_MAX = 10_000


class Assembler:
    """The state of one watch: what still waits for its task."""

    def __init__(self) -> None:
        self._held: list[api.TaskChange] = []

    def take(self, response: api.WatchTasksResponse) -> list[Change | Checkpoint]:
        """Answer what can be told now, in order. Raises TaskStateError (INTERNAL) when a task never comes."""
        changes = [*self._held, *response.changes]
        tasks = _tasks_from_the_end(changes)
        whole = next((place for place, task in enumerate(tasks) if task is None), len(changes))
        self._held = changes[whole:]
        if self._held and (response.HasField("checkpoint") or len(self._held) > HELD_MAX):
            raise TaskStateError("INTERNAL", "", "a watch left a transition without its task")
        items: list[Change | Checkpoint] = [
            Change(change.revision, task, change.event if change.HasField("event") else None)
            for change, task in zip(changes[:whole], tasks[:whole], strict=True)
            if task is not None
        ]
        if response.HasField("checkpoint"):
            items.append(Checkpoint.of(response.checkpoint))
        return items


def _tasks_from_the_end(changes: Sequence[api.TaskChange]) -> list[task_pb2.Task | None]:
    """Answer each change's task: its own, else the one that a later change of the same task brings."""
    newest: dict[str, task_pb2.Task] = {}
    tasks: list[task_pb2.Task | None] = []
    for change in reversed(changes):
        if change.HasField("task"):
            newest[change.task.task_id] = change.task
            tasks.append(change.task)
        else:
            tasks.append(newest.get(change.event.task_id))
    tasks.reverse()
    return tasks
