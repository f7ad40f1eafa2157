"""A watch as JSON, one object a line: `{"revision", "event", "task"}` for each change, as on the HTTP stream.

`event` is null for a row of the snapshot and for progress. `task` is null for a transition that a newer one in the same
message follows; the newest brings it. Three more kinds of lines are told by their only key: `{"checkpoint": ...}` once,
where the snapshot is complete, `{"reset": ...}` and `{"interrupted": ...}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskstate.cli.output import print_json_line
from taskstate.client import has_ended
from taskstate.json_view import event_view, task_view, time_text
from taskstate.task_watch import WatchInterrupted, WatchReset
from taskstate.v1 import task_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskstate.client import TaskStateClient
    from taskstate.task_watch import WatchItem
    from taskstate.v1.task_pb2 import Task


def print_watch(watch: Iterable[WatchItem], *, until_ended: set[str]) -> dict[str, Task]:
    """Prints the watch's items until all the named tasks have ended (for ever if none is named); answers those tasks."""
    ended: dict[str, Task] = {}
    in_snapshot = True
    for item in watch:
        if not isinstance(item, pb.Checkpoint) or in_snapshot:
            print_json_line(_view(item))
        if isinstance(item, pb.Checkpoint):
            in_snapshot = False
        elif isinstance(item, WatchReset):
            in_snapshot = True
        elif isinstance(item, pb.TaskChange) and item.HasField("task") and has_ended(item.task):
            ended[item.task.task_id] = item.task
        if until_ended and until_ended <= ended.keys():
            break
    return ended


def print_whole_result(client: TaskStateClient, task: Task) -> None:
    """Prints the task once more if the watch left its result out for its size."""
    if task.result_omitted:
        whole = client.get(task.task_id)
        print_json_line({"revision": str(whole.revision), "event": None, "task": task_view(whole)})


def _view(item: WatchItem) -> dict[str, Any]:
    if isinstance(item, WatchInterrupted):
        return {"interrupted": {"code": item.error.code, "message": item.error.message}}
    if isinstance(item, WatchReset):
        return {"reset": {"reason": item.reason}}
    if isinstance(item, pb.Checkpoint):
        return {"checkpoint": {"revision": str(item.revision), "server_time": time_text(item.server_time)}}
    return {
        "revision": str(item.revision),
        "event": event_view(item.event) if item.HasField("event") else None,
        "task": task_view(item.task) if item.HasField("task") else None,
    }
