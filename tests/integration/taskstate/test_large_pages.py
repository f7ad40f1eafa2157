"""Pages of large items: each fits into a message, and together they hold everything once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration
from taskstate.channel import aio_channel
from taskstate.v1 import maintenance_service_pb2, task_service_pb2
from taskstate.v1.maintenance_service_pb2_grpc import MaintenanceServiceStub
from taskstate.v1.task_service_pb2_grpc import TaskServiceStub

from services.taskstate.model import LogLine
from services.taskstate.store import log_lines
from tests.integration.taskstate import steps
from tests.integration.taskstate.replicas import Served

MANY = 70


async def pages(call: Any, request: Any) -> list[Any]:
    """All pages of a list."""
    found = [await call(request)]
    while found[-1].next_page_token:
        request.page_token = found[-1].next_page_token
        found.append(await call(request))
    return found


async def test_a_plan_of_large_tasks_comes_in_pages_that_fit(served: Served) -> None:
    payload = '{"text": "' + 60_000 * "x" + '"}'
    created = [steps.create(payload=payload) for _ in range(MANY)]
    await steps.put(served.replica, *created)
    await steps.put(served.replica, *(steps.hand_out(command.task_id) for command in created))
    await steps.put(served.replica, *(steps.start(served.replica, command.task_id) for command in created))
    request = maintenance_service_pb2.PlanSweepRequest(page_size=500, max_age=Duration(nanos=1_000_000))
    async with aio_channel(served.target) as channel:
        found = await pages(MaintenanceServiceStub(channel).PlanSweep, request)
    assert len(found) > 1
    listed = [item.task_id for page in found for item in page.items]
    assert listed == sorted(command.task_id for command in created)


async def test_long_log_lines_come_in_pages_that_fit(served: Served) -> None:
    task = await steps.run_to_start(served.replica)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    lines = [
        LogLine(sequence=1 << 32 | n, attempt=1, level=2, time=at, text=8192 * "x", logger=200 * "é")
        for n in range(1, 501)
    ]
    for some in (lines[:250], lines[250:]):
        appended = log_lines.AppendedLines(task.task_id, task.fencing_token, some)
        await served.replica.database.write(log_lines.append, [appended])
    request = task_service_pb2.ListTaskLogsRequest(task_id=task.task_id, page_size=500)
    async with aio_channel(served.target) as channel:
        found = await pages(TaskServiceStub(channel).ListTaskLogs, request)
    assert len(found) > 1
    assert [line.sequence for page in found for line in page.lines] == [line.sequence for line in lines]
