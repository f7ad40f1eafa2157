"""What a request to stop a task brought about, in one sentence: for the HTTP interface and the command line alike.

A success says what happens next, and when at the latest, as the task itself may go on for seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskstate.v1 import task_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.timestamp_pb2 import Timestamp


def stop_message(task: pb.Task, time_text: Callable[[Timestamp], str]) -> str:
    """The sentence for the task as CancelTask answered it. ``time_text`` writes the deadline as its reader wants it."""
    process_remains = task.cancel.outcome == pb.CANCEL_OUTCOME_UNSPECIFIED
    if task.state == pb.TASK_STATE_RUNNING:
        if not task.cancel.HasField("deadline_time"):
            return "Stop requested."
        return f"Stop requested; over by {time_text(task.cancel.deadline_time)}."
    if task.state == pb.TASK_STATE_FAILED:
        return f"Force cancelled; {'its process is being ended' if process_remains else 'no process was running'}."
    if process_remains:
        return "Stopped; no attempt was running, and the process of the last one has yet to go."
    return "Stopped; no attempt was running." if task.attempt else "Stopped; it had not started."
