"""The sweeper against a TaskState in memory."""

import grpc
import pytest
from taskstate.channel import aio_channel
from taskstate.v1 import maintenance_service_pb2 as pb

from services.scheduler.loop import DependencyAwayError
from services.scheduler.maintenance import Maintenance
from services.scheduler.sweeper import Sweeper, SweepResult
from tests.support.fake_maintenance import FakeMaintenance, serving


async def sweep(fake: FakeMaintenance) -> SweepResult:
    async with serving(fake) as port, aio_channel(f"127.0.0.1:{port}") as channel:
        return await Sweeper(Maintenance(channel, "scheduler:test")).run_once()


async def test_answers_what_was_done_and_signs_for_it():
    done = pb.ApplySweepResponse(lost_count=1, retrying_count=2, cancelled_count=3, given_up_count=4, spared_count=5)
    fake = FakeMaintenance(sweeps=[done])
    result = await sweep(fake)
    assert result == SweepResult(lost=1, retrying=2, cancelled=3, given_up=4, spared=5)
    assert result.found_work
    assert fake.actors == {"scheduler:test"}


async def test_nothing_to_do_is_a_result_without_counts():
    assert await sweep(FakeMaintenance()) == SweepResult()


async def test_the_spared_are_no_reason_to_sweep_again_at_once():
    result = await sweep(FakeMaintenance(sweeps=[pb.ApplySweepResponse(spared_count=7)]))
    assert not result.found_work


async def test_a_short_unavailability_is_ridden_over():
    fake = FakeMaintenance(sweep_failures=[grpc.StatusCode.UNAVAILABLE], sweeps=[pb.ApplySweepResponse(lost_count=1)])
    assert (await sweep(fake)).lost == 1
    assert fake.sweeps_asked == 2


async def test_taskstate_away_is_named():
    with pytest.raises(DependencyAwayError, match="TaskState"):
        await sweep(FakeMaintenance(sweep_failures=[grpc.StatusCode.DEADLINE_EXCEEDED]))
