"""A MaintenanceService that keeps its tasks in memory and whose dispatch leases end when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import grpc.aio
from taskstate.v1 import maintenance_service_pb2 as pb
from taskstate.v1 import maintenance_service_pb2_grpc as pb_grpc


@dataclass
class FakeMaintenance(pb_grpc.MaintenanceServiceServicer):
    """Hands out `due`; what is handed out waits in `leased` for its confirmation or for `end_leases()`."""

    due: list[pb.Dispatch] = field(default_factory=list)
    leased: list[pb.Dispatch] = field(default_factory=list)
    confirmed: list[tuple[str, int]] = field(default_factory=list)
    outcomes: dict[str, pb.DispatchOutcome] = field(default_factory=dict)
    acquire_failures: list[grpc.StatusCode] = field(default_factory=list)
    confirm_failures: list[grpc.StatusCode] = field(default_factory=list)
    sweeps: list[pb.ApplySweepResponse] = field(default_factory=list)
    sweep_failures: list[grpc.StatusCode] = field(default_factory=list)
    sweeps_asked: int = 0
    acquire_requests: list[pb.AcquireDispatchesRequest] = field(default_factory=list)
    actors: set[str] = field(default_factory=set)
    waiting: int = 0
    confirm_gate: asyncio.Event | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, count: int, queue: str = "default") -> list[str]:
        """Make tasks due; answers the message ids they will have."""
        start = len(self.due) + len(self.leased) + len(self.confirmed)
        ids = [f"00000000-0000-4000-8000-{number:012d}" for number in range(start, start + count)]
        self.due.extend(pb.Dispatch(task_id=task_id, dispatch=1, queue=queue) for task_id in ids)
        self.changed.set()
        return [f"{task_id}_1" for task_id in ids]

    def end_leases(self) -> None:
        """What was handed out and not confirmed is due again, with the same number."""
        self.due = self.leased + self.due
        self.leased = []
        self.changed.set()

    async def AcquireDispatches(self, request, context):  # noqa: N802 - the name is the API's.
        self.acquire_requests.append(request)
        self.actors.update(value for key, value in context.invocation_metadata() if key == "taskstate-actor")
        if self.acquire_failures:
            await context.abort(self.acquire_failures.pop(0), "scripted")
        wait_s = request.wait_timeout.ToMilliseconds() / 1000
        if not self.due and wait_s:
            self.changed.clear()
            self.waiting += 1
            try:
                await asyncio.wait_for(self.changed.wait(), wait_s)
            except TimeoutError:
                pass
            finally:
                self.waiting -= 1
        batch, self.due = self.due[: request.max_dispatches], self.due[request.max_dispatches :]
        self.leased.extend(batch)
        return pb.AcquireDispatchesResponse(dispatches=batch)

    async def ApplySweep(self, request, context):  # noqa: N802 - the name is the API's.
        self.sweeps_asked += 1
        self.actors.update(value for key, value in context.invocation_metadata() if key == "taskstate-actor")
        if self.sweep_failures:
            await context.abort(self.sweep_failures.pop(0), "scripted")
        return self.sweeps.pop(0) if self.sweeps else pb.ApplySweepResponse()

    async def ConfirmDispatches(self, request, context):  # noqa: N802 - the name is the API's.
        if self.confirm_failures:
            await context.abort(self.confirm_failures.pop(0), "scripted")
        if self.confirm_gate is not None:
            await self.confirm_gate.wait()
        response = pb.ConfirmDispatchesResponse()
        for dispatch in request.dispatches:
            if dispatch in self.leased:
                self.leased.remove(dispatch)
            self.confirmed.append((dispatch.task_id, dispatch.dispatch))
            response.confirmations.add(
                task_id=dispatch.task_id,
                dispatch=dispatch.dispatch,
                outcome=self.outcomes.get(dispatch.task_id, pb.DISPATCH_OUTCOME_QUEUED),
            )
        return response


@asynccontextmanager
async def serving(servicer: FakeMaintenance, port: int = 0) -> AsyncIterator[int]:
    """Serve it on loopback; answers the port."""
    server = grpc.aio.server()
    pb_grpc.add_MaintenanceServiceServicer_to_server(servicer, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(0)
