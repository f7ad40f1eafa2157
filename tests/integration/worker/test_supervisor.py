"""How a supervisor lives through deaths, outages and its own end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from services.up.data_folder import DataFolder
from tests.integration.worker.conftest import SupervisorStarter
from tests.integration.worker.fake_taskstate import FakeTask, FakeTaskState
from tests.support.processes import Process
from tests.support.servers import running_redis
from tests.support.waiting import await_until, wait_until

Canary = Callable[..., FakeTask]


def tree_of(pid: int) -> dict[int, str]:
    """Every process below one, with its short name."""
    found: dict[int, str] = {}
    parents = {pid}
    while parents:
        children = {child: name for child, (parent, name) in _processes().items() if parent in parents}
        parents = children.keys() - found.keys()
        found |= children
    return found


def _processes() -> dict[int, tuple[int, str]]:
    processes = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                head, _, rest = (entry / "stat").read_text().rpartition(")")
            except OSError:
                continue
            state, parent, *_ = rest.split()
            if state not in "ZX":
                processes[int(entry.name)] = (int(parent), head.partition("(")[2])
    return processes


def rq_workers_of(supervisor: Process) -> list[int]:
    names = tree_of(supervisor.pid)
    return [pid for pid, name in names.items() if name == "worker-rq"]


def gone(pids: set[int]) -> Callable[[], bool]:
    return lambda: not pids & _processes().keys()


def queued(redis_url: str) -> list[bytes]:
    with redis.Redis.from_url(redis_url) as client:
        return client.lrange("rq:queue:default", 0, -1) + client.lrange("rq:queue:default:intermediate", 0, -1)


# --- Deaths.


async def test_a_dead_rq_worker_is_replaced_and_its_attempt_told(
    fake: FakeTaskState, supervisor: Process, canary: Canary, redis_url: str
) -> None:
    task = await fake.running(canary(seconds=60))
    [rq_worker] = rq_workers_of(supervisor)
    os.kill(rq_worker, signal.SIGKILL)

    await fake.ended(task)
    assert task.bodies("exited")[0].exit.signal == signal.SIGKILL
    await fake.ended(canary())
    assert supervisor.events("rq_worker_ended")[0]["exit_code"] == -signal.SIGKILL
    await await_until(lambda: not queued(redis_url), what="the dead RQ worker's message to be removed")


async def test_a_message_that_a_dead_rq_worker_had_taken_runs_in_the_next(
    fake: FakeTaskState, supervisor: Process, canary: Canary
) -> None:
    fake.mute.add("start")
    task = canary()
    await await_until(lambda: "worker-horse" in tree_of(supervisor.pid).values())
    os.kill(rq_workers_of(supervisor)[0], signal.SIGKILL)
    await await_until(lambda: supervisor.events("rq_worker_ended"))
    fake.mute.clear()

    await fake.ended(task)
    assert task.bodies("finish")


async def test_a_start_that_is_granted_to_a_dead_work_horse_is_told_as_exited(
    fake: FakeTaskState, supervisor: Process, canary: Canary
) -> None:
    fake.mute.add("start")
    task = canary()
    [horse] = await await_until(
        lambda: [pid for pid, name in tree_of(supervisor.pid).items() if name == "worker-horse"]
    )
    os.kill(horse, signal.SIGKILL)
    await await_until(gone({horse}))
    fake.mute.clear()
    # The unanswered start is said again on the next stream, and granted there.
    fake.break_streams()

    await fake.ended(task)
    assert task.bodies("exited")[0].exit.signal == signal.SIGKILL
    assert task.bodies("finish") == []


async def test_nothing_outlives_a_killed_supervisor(fake: FakeTaskState, supervisor: Process, canary: Canary) -> None:
    await fake.running(canary(seconds=60))
    below = set(tree_of(supervisor.pid))
    assert len(below) == 2
    supervisor.send(signal.SIGKILL)
    await await_until(gone(below), 5)


# --- The session.


async def test_nothing_is_lost_when_the_session_breaks(
    fake: FakeTaskState, supervisor: Process, canary: Canary
) -> None:
    task = await fake.running(canary(seconds=1.5, steps=30))
    first = fake.live[0].hello
    fake.mute = {"progress", "logs", "finish", "exited"}
    fake.break_streams()
    await await_until(lambda: len(fake.streams) == 2)
    # What is said now gets no answer; so it is said again after the next break.
    fake.mute = set()
    fake.break_streams()

    await fake.ended(task)
    assert task.bodies("progress")[-1].done == 30
    assert task.order[-2:] == ["finish", "exited"]
    sequences = [message.sequence for message in task.said]
    assert sequences == sorted(set(sequences))
    assert fake.live[-1].hello.worker.boot_id == first.worker.boot_id


async def test_unanswered_messages_are_said_again_with_their_numbers(
    fake: FakeTaskState, supervisor: Process, canary: Canary
) -> None:
    fake.mute = {"finish", "exited"}
    task = canary()
    await await_until(lambda: fake.unanswered == ["finish", "exited"])
    assert task.is_gone is False
    fake.mute = set()
    fake.break_streams()
    await fake.ended(task)
    assert task.order[-2:] == ["finish", "exited"]


async def test_no_message_is_taken_while_taskstate_is_away(
    fake: FakeTaskState, supervisor: Process, canary: Canary, redis_url: str
) -> None:
    running = await fake.running(canary(seconds=1))
    await fake.stop()
    waiting = canary()
    await await_until(lambda: "worker-horse" not in tree_of(supervisor.pid).values())
    assert queued(redis_url) == [waiting.job_id.encode()]
    assert not running.bodies("finish")

    await fake.serve()
    await fake.ended(running)
    await fake.ended(waiting)
    assert running.bodies("finish")


# --- The end.


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_supervisor_ends_with_a_good_bye(
    fake: FakeTaskState, supervisor: Process, redis_url: str, how: signal.Signals
) -> None:
    supervisor.send(how)
    await await_until(lambda: supervisor.popen.poll() is not None, 5)
    assert supervisor.popen.returncode == 0
    assert fake.streams[-1].good_bye == "the worker stops"
    with redis.Redis.from_url(redis_url) as client:
        assert client.smembers("rq:workers") == set()


async def test_a_drain_lets_an_attempt_finish_and_takes_no_other(
    fake: FakeTaskState, supervisor: Process, canary: Canary, redis_url: str
) -> None:
    task = await fake.running(canary(seconds=1))
    supervisor.send(signal.SIGTERM)
    await await_until(lambda: supervisor.events("stopping"))
    waiting = canary()
    supervisor.send(signal.SIGINT)
    await await_until(lambda: supervisor.popen.poll() is not None)
    assert supervisor.popen.returncode == 0
    assert task.order[-2:] == ["finish", "exited"]
    assert queued(redis_url) == [waiting.job_id.encode()]
    assert not waiting.start_id


async def test_a_drain_kills_when_the_grace_is_over(
    fake: FakeTaskState, start_supervisor: SupervisorStarter, canary: Canary
) -> None:
    supervisor = start_supervisor(grace=0.3)
    task = await fake.running(canary(mode="hang_c", seconds=60))
    supervisor.send(signal.SIGTERM)
    await await_until(lambda: supervisor.popen.poll() is not None, 5)
    assert supervisor.popen.returncode == 0
    assert task.bodies("exited")[0].exit.signal == signal.SIGKILL


async def test_a_drain_with_taskstate_away_is_bounded(fake: FakeTaskState, supervisor: Process, canary: Canary) -> None:
    await fake.running(canary(seconds=0.5))
    await fake.stop()
    supervisor.send(signal.SIGTERM)
    await await_until(lambda: supervisor.popen.poll() is not None, 10)
    assert supervisor.popen.returncode == 0
    assert supervisor.events("undelivered")


async def test_deaths_and_the_drain_are_told_with_redis_away(
    fake: FakeTaskState, start_supervisor: SupervisorStarter, session_data_folder: DataFolder
) -> None:
    with running_redis(session_data_folder) as server:
        supervisor = start_supervisor(redis=server.url())
        task = await fake.running(fake.enqueue(server.url(), FakeTask("canary", {"seconds": 60, "steps": 600})))
    # Redis has gone; the horse's death is told all the same.
    os.kill(task.horse_pid, signal.SIGKILL)
    await fake.ended(task, timeout=3)
    supervisor.send(signal.SIGTERM)
    await await_until(lambda: supervisor.popen.poll() is not None, 8)
    assert supervisor.popen.returncode == 0


# --- The start.


async def test_bad_tasks_end_the_supervisor_with_one_clear_line(start_supervisor: SupervisorStarter) -> None:
    supervisor = start_supervisor(tasks="no.such.module")
    assert supervisor.wait(10) == 2
    [line] = supervisor.events("bad_tasks")
    assert line["message"] == "cannot import the task module no.such.module: ModuleNotFoundError: No module named 'no'"


def test_bad_settings_are_told_together(start_process: Callable[..., Process]) -> None:
    process = start_process(
        "workers", "--queues", "a=0", env={"TASKSTATE_REDIS_URL": "localhost", "TASKSTATE_WORKER_ID": "a b"}
    )
    assert process.wait(10) == 2
    assert [line.split(":")[0] for line in process.lines] == [
        "TASKSTATE_QUEUES",
        "TASKSTATE_REDIS_URL",
        "TASKSTATE_WORKER_ID",
    ]


async def test_each_queue_has_its_rq_workers(
    fake: FakeTaskState, start_supervisor: SupervisorStarter, canary: Canary
) -> None:
    supervisor = start_supervisor("default=2,other")
    tasks = [canary(seconds=1), canary(seconds=1), canary("other", seconds=1)]
    for task in tasks:
        await fake.running(task)
    assert sorted(tree_of(supervisor.pid).values()) == ["worker-horse"] * 3 + ["worker-rq"] * 3
    for task in tasks:
        await fake.ended(task)
    wait_until(lambda: "worker-horse" not in tree_of(supervisor.pid).values())
