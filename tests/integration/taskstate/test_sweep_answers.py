"""What a sweep says of itself: it may not sweep, or it holds everything back, and both are told."""

from __future__ import annotations

import pytest

from services.taskstate.api.page_token import FIRST_ID
from services.taskstate.database import DatabaseUnavailable
from services.taskstate.service import Replica
from services.taskstate.sweeping import SweepResult, Verdict
from tests.integration.taskstate import steps
from tests.integration.taskstate.replicas import query


async def dead(replica: Replica, database_url: str) -> str:
    """A running task whose stream broke long ago."""
    task = await steps.run_to_start(replica)
    query(database_url, "update task_status set suspect_until = clock_timestamp() - interval '1 minute'")
    return task.task_id


async def test_a_replica_that_may_not_sweep_says_so(replica: Replica, database_url: str) -> None:
    sweeping = replica.maintenance.sweeping
    await dead(replica, database_url)
    query(database_url, "update replica set lease_until = clock_timestamp()")
    with pytest.raises(DatabaseUnavailable):
        await sweeping.apply("scheduler")
    assert await replica.leases.renew_once()
    assert await sweeping.apply("scheduler") == SweepResult(lost=1)


async def test_while_an_outage_is_made_up_for_the_plan_says_that_nothing_is_done(
    replica: Replica, database_url: str
) -> None:
    sweeping = replica.maintenance.sweeping
    task_id = await dead(replica, database_url)
    query(database_url, "update cluster set hold_until = clock_timestamp() + interval '20 seconds'")
    assert await sweeping.apply("scheduler") == SweepResult(spared=1)
    _, (item,), _ = await sweeping.plan(FIRST_ID, None, 50)
    assert (item.task.task_id, item.verdict) == (task_id, Verdict.SUSPECT)
    assert "TaskState itself was away" in item.why
    query(database_url, "update cluster set hold_until = clock_timestamp()")
    _, (item,), _ = await sweeping.plan(FIRST_ID, None, 50)
    assert item.verdict is Verdict.EXPIRED
    assert await sweeping.apply("scheduler") == SweepResult(lost=1)
