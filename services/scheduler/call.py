"""One call to TaskState: its deadline, its actor, and what an error of it means to a background service."""

from typing import Any, Final

import grpc
from taskstate.errors import from_rpc_error

from services.scheduler.loop import DependencyAwayError

CALL_TIMEOUT_S: Final = 5.0
"""For the answer itself, on top of the time a call is asked to wait."""

_AWAY: Final = {"UNAVAILABLE", "DEADLINE_EXCEEDED"}


async def call(method: Any, request: Any, *, actor: str, wait_s: float = 0.0) -> Any:
    """Calls a method of a stub on an asyncio channel; ``wait_s`` is how long the request asks TaskState to wait.

    Raises DependencyAwayError if TaskState does not answer, and TaskStateError for a refusal, which is a fault of ours.
    """
    try:
        return await method(request, timeout=wait_s + CALL_TIMEOUT_S, metadata=(("taskstate-actor", actor),))
    except grpc.RpcError as rpc_error:
        error = from_rpc_error(rpc_error)
        if error.code in _AWAY:
            raise DependencyAwayError("TaskState", str(error)) from rpc_error
        raise error from rpc_error
