"""Calls to TaskState, each with a deadline and with the actor for the audit trail."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, TypeVar

import grpc
import grpc.aio
from taskstate.errors import TaskStateError, from_rpc_error
from taskstate.v1 import task_service_pb2 as api
from taskstate.v1 import task_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request

ACTOR_KEY: Final = "taskstate-actor"
_ACTOR_CHARACTERS_MAX: Final = 128

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


def actor_of(request: Request) -> str:
    """Answer who asks, as far as HTTP tells: "http", with the client's address unless that is this very machine.

    X-Forwarded-For is not believed, as anybody may write it; behind an ingress the address is the ingress's.
    """
    if request.client is None:
        return "http"
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return "http"
    return "http" if address.is_loopback else f"http:{address}"[:_ACTOR_CHARACTERS_MAX]


class Upstream:
    """TaskState's TaskService. Every call raises TaskStateError for an answer other than OK."""

    def __init__(self, channel: grpc.aio.Channel, call_timeout_s: float) -> None:
        self._stub = task_service_pb2_grpc.TaskServiceStub(channel)
        self._call_timeout_s = call_timeout_s

    async def create_task(self, request: api.CreateTaskRequest, actor: str) -> api.CreateTaskResponse:
        """Create a task, or answer the one that the same request_id made before."""
        return await self._call(self._stub.CreateTask, request, actor)

    async def get_task(self, request: api.GetTaskRequest, actor: str) -> api.GetTaskResponse:
        """Read one task."""
        return await self._call(self._stub.GetTask, request, actor)

    async def list_tasks(self, request: api.ListTasksRequest, actor: str) -> api.ListTasksResponse:
        """Read a page of tasks."""
        return await self._call(self._stub.ListTasks, request, actor)

    async def get_active_task(self, request: api.GetActiveTaskRequest, actor: str) -> api.GetActiveTaskResponse:
        """Read a group's active task."""
        return await self._call(self._stub.GetActiveTask, request, actor)

    async def cancel_task(self, request: api.CancelTaskRequest, actor: str) -> api.CancelTaskResponse:
        """Ask to stop a task."""
        return await self._call(self._stub.CancelTask, request, actor)

    async def list_task_events(self, request: api.ListTaskEventsRequest, actor: str) -> api.ListTaskEventsResponse:
        """Read a page of a task's audit trail."""
        return await self._call(self._stub.ListTaskEvents, request, actor)

    async def list_task_logs(self, request: api.ListTaskLogsRequest, actor: str) -> api.ListTaskLogsResponse:
        """Read a page of a task's log lines."""
        return await self._call(self._stub.ListTaskLogs, request, actor)

    async def watch_tasks(self, request: api.WatchTasksRequest) -> AsyncGenerator[api.WatchTasksResponse, None]:
        """Watch tasks. Ends only by TaskStateError; closing the iterator ends the call.

        Without a deadline, as a watch has no end; the channel's pings notice a frozen peer.
        """
        call = self._stub.WatchTasks(request, metadata=((ACTOR_KEY, "http"),))
        try:
            async for response in call:
                yield response
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()
        raise TaskStateError("UNAVAILABLE", "", "the watch ended")

    async def _call(
        self, method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT], request: RequestT, actor: str
    ) -> ResponseT:
        try:
            return await method(request, timeout=self._call_timeout_s, metadata=((ACTOR_KEY, actor),))
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
