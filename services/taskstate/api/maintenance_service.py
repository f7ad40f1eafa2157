"""MaintenanceService: validate, call, render."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from taskstate.v1 import maintenance_service_pb2 as service_pb
from taskstate.v1 import maintenance_service_pb2_grpc

from services.taskstate.api import page_bytes, page_token, render
from services.taskstate.api.actor import actor_of
from services.taskstate.api.errors import from_refusal
from services.taskstate.api.validation import Checker
from services.taskstate.command import Outcome, Refused
from services.taskstate.dispatching import Dispatching
from services.taskstate.model import TaskState
from services.taskstate.sweeping import Sweeping, SweepItem

DISPATCHES_MAX = 100
WAIT_MAX_S = 30.0

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class MaintenanceServicer(maintenance_service_pb2_grpc.MaintenanceServiceServicer):
    """The API of schedulers and operators; the contract stands in maintenance_service.proto."""

    dispatching: Dispatching
    sweeping: Sweeping

    async def AcquireDispatches(  # noqa: N802
        self, request: service_pb.AcquireDispatchesRequest, context: Context
    ) -> service_pb.AcquireDispatchesResponse:
        """See maintenance_service.proto."""
        check = Checker()
        count = check.integer("max_dispatches", request.max_dispatches, 0, DISPATCHES_MAX) or DISPATCHES_MAX
        wait_s = (
            check.duration("wait_timeout", request.wait_timeout, 0.0, WAIT_MAX_S)
            if request.HasField("wait_timeout")
            else 0.0
        )
        actor = actor_of(context)
        check.done()
        tasks = await self.dispatching.acquire(count, wait_s, actor)
        return service_pb.AcquireDispatchesResponse(
            dispatches=[
                service_pb.Dispatch(task_id=task.task_id, dispatch=task.dispatch, queue=task.queue or "")
                for task in tasks
            ]
        )

    async def ConfirmDispatches(  # noqa: N802
        self, request: service_pb.ConfirmDispatchesRequest, context: Context
    ) -> service_pb.ConfirmDispatchesResponse:
        """See maintenance_service.proto."""
        check = Checker()
        if not 1 <= len(request.dispatches) <= DISPATCHES_MAX:
            check.wrong("dispatches", f"must name 1 to {DISPATCHES_MAX}")
        for index, dispatch in enumerate(request.dispatches[:DISPATCHES_MAX]):
            check.task_id(f"dispatches[{index}].task_id", dispatch.task_id)
            check.integer(f"dispatches[{index}].dispatch", dispatch.dispatch, 1, 2**31 - 1)
        actor = actor_of(context)
        check.done()
        named = [(dispatch.task_id, dispatch.dispatch) for dispatch in request.dispatches]
        outcomes = await self.dispatching.confirm(named, actor)
        return service_pb.ConfirmDispatchesResponse(
            confirmations=[
                service_pb.DispatchConfirmation(task_id=task_id, dispatch=number, outcome=_outcome(outcome))
                for (task_id, number), outcome in zip(named, outcomes, strict=True)
            ]
        )

    async def PlanSweep(  # noqa: N802
        self, request: service_pb.PlanSweepRequest, _context: Context
    ) -> service_pb.PlanSweepResponse:
        """See maintenance_service.proto."""
        check = Checker()
        page_size = check.page_size(request.page_size)
        max_age_s = check.duration("max_age", request.max_age) if request.HasField("max_age") else None
        check.done()
        after = page_token.read_id(request, request.page_token)
        revision, items, last = await self.sweeping.plan(after, max_age_s, page_size)
        response = service_pb.PlanSweepResponse(revision=revision)
        filled = page_bytes.fill(response.items, map(_sweep_item, items))
        if filled < len(items):
            last = items[filled - 1].task.task_id
        if last is not None:
            response.next_page_token = page_token.make_id(request, last)
        return response

    async def ApplySweep(  # noqa: N802
        self, _request: service_pb.ApplySweepRequest, context: Context
    ) -> service_pb.ApplySweepResponse:
        """See maintenance_service.proto."""
        done = await self.sweeping.apply(actor_of(context))
        return service_pb.ApplySweepResponse(
            lost_count=done.lost,
            retrying_count=done.retrying,
            cancelled_count=done.cancelled,
            given_up_count=done.given_up,
            spared_count=done.spared,
        )


def _sweep_item(item: SweepItem) -> service_pb.SweepItem:
    return service_pb.SweepItem(
        task_id=item.task.task_id,
        revision=item.task.revision,
        verdict=f"SWEEP_VERDICT_{item.verdict}",
        why=item.why,
        task=render.task(item.task),
    )


def _outcome(outcome: Outcome) -> service_pb.DispatchOutcome:
    if not isinstance(outcome, Refused):
        queued = outcome.task.state is TaskState.QUEUED
        return service_pb.DISPATCH_OUTCOME_QUEUED if queued else service_pb.DISPATCH_OUTCOME_ALREADY_STARTED
    if outcome.reason == "STALE_DISPATCH":
        return service_pb.DISPATCH_OUTCOME_STALE
    if outcome.reason == "TASK_NOT_FOUND":
        return service_pb.DISPATCH_OUTCOME_NOT_FOUND
    raise from_refusal(outcome)
