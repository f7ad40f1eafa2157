"""TaskState's MaintenanceService as the background services call it: who calls, how long at most, and what "away" is."""

from typing import Any, Final

import grpc
from taskstate.errors import from_rpc_error
from taskstate.v1.maintenance_service_pb2_grpc import MaintenanceServiceStub

from services.scheduler.loop import DependencyAwayError

CALL_TIMEOUT_S: Final = 5.0
"""For the answer itself, on top of the time a call is asked to wait."""

_AWAY: Final = {"UNAVAILABLE", "DEADLINE_EXCEEDED"}


class Maintenance:
    """Calls in the name of ``actor``, which stands in the audit trail."""

    def __init__(self, channel: grpc.aio.Channel, actor: str) -> None:
        # grpc's generated stub class is not generic over sync and asyncio; over an aio channel its calls are awaitable.
        self._stub: Any = MaintenanceServiceStub(channel)
        self._metadata = (("taskstate-actor", actor),)

    async def call(self, method: str, request: Any, wait_s: float = 0.0) -> Any:
        """Calls one method, which may take ``wait_s`` on purpose. Raises DependencyAwayError or TaskStateError."""
        try:
            return await getattr(self._stub, method)(request, timeout=wait_s + CALL_TIMEOUT_S, metadata=self._metadata)
        except grpc.RpcError as rpc_error:
            error = from_rpc_error(rpc_error)
            if error.code in _AWAY:
                raise DependencyAwayError("TaskState", str(error)) from rpc_error
            raise error from rpc_error
