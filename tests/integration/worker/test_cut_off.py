"""What a supervisor does that nobody vouches for, and what the next one does about one that was killed."""

from __future__ import annotations

import asyncio
import signal

from tests.integration.worker.conftest import SupervisorStarter
from tests.integration.worker.fake_taskstate import FakeTask, FakeTaskState
from tests.support.kernel import has_ended
from tests.support.waiting import await_until

LONG = {"seconds": 60, "steps": 600}


async def test_an_exclusive_attempt_ends_itself_when_nobody_vouches_for_it(
    fake: FakeTaskState, start_supervisor: SupervisorStarter, redis_url: str
) -> None:
    fake.lease_ttl_s = 1.5
    start_supervisor("default=2")
    await await_until(lambda: fake.live, what="a session")
    exclusive = await fake.running(fake.enqueue(redis_url, FakeTask("odd.exclusive", {})))
    other = await fake.running(fake.enqueue(redis_url, FakeTask("canary", dict(LONG))))
    # Longer than its lease, and vouched for by heartbeats.
    await await_until(lambda: len(fake.live[0].heartbeats) > 10)
    assert not exclusive.is_gone
    fake.mute.add("heartbeat")
    await fake.ended(exclusive, timeout=3)
    assert (exclusive.cause, exclusive.bodies("exited")[0].exit.signal) == ("LEASE_UNSURE", signal.SIGKILL)
    assert not other.is_gone
    [declared] = [declared for declared in fake.live[0].hello.types if declared.exclusive]
    assert declared.name == "odd.exclusive"


async def test_the_next_supervisor_kills_what_a_killed_one_left(
    fake: FakeTaskState, start_supervisor: SupervisorStarter, redis_url: str
) -> None:
    first = start_supervisor()
    task = fake.enqueue(redis_url, FakeTask("canary", {"mode": "children", **LONG}))
    left = await fake.children_of(task)
    living = start_supervisor("other", grace=0.2)
    other = fake.enqueue(redis_url, FakeTask("canary", {"mode": "children", **LONG}), "other")
    kept = await fake.children_of(other)
    # Both supervisors live: nothing is a leftover.
    assert not any(map(has_ended, left))

    first.send(signal.SIGKILL)
    first.wait()
    await await_until(lambda: has_ended(task.horse_pid))
    third = start_supervisor()
    # Any other supervisor of this machine may have been faster.
    await await_until(lambda: third.events("session_up"))
    assert all(map(has_ended, left))
    assert not any(map(has_ended, kept))
    # Not killed: nobody would be left to kill what its task has started.
    await asyncio.to_thread(living.stop)
    assert all(map(has_ended, kept))
