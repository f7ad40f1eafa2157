"""taskstate: background jobs whose state is never a guess.

What users import. A task is a function with a decorator; it gets a context and tells it how far it is::

    from taskstate import TaskContext, task

    @task(type="thumbnails", queue="processing", timeout=600, phases=["fetch", "render"])
    def thumbnails(context: TaskContext) -> dict[str, int]:
        with context.phase("fetch"):
            pictures = fetch(context.payload["album"])
        with context.phase("render"):
            for picture in context.track(pictures):
                render(picture)
        return {"pictures": len(pictures)}

`taskstate worker --tasks my.module` runs it. To create and watch tasks from Python, use ``TaskStateClient``.

Importing this package never imports grpc: task modules are imported by RQ workers, which fork, and a fork must not meet
gRPC. The client is therefore looked up at its first use.
"""

from typing import TYPE_CHECKING, Any

from taskstate.context import PhaseHandle, TaskContext
from taskstate.task import Fatal, TaskCancelled, task

if TYPE_CHECKING:
    from taskstate.client import TaskStateClient

__all__ = ["Fatal", "PhaseHandle", "TaskCancelled", "TaskContext", "TaskStateClient", "task"]


def __getattr__(name: str) -> Any:
    if name == "TaskStateClient":
        from taskstate.client import TaskStateClient

        return TaskStateClient
    raise AttributeError(f"module 'taskstate' has no attribute {name!r}")
