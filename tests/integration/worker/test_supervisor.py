"""How a supervisor lives through deaths, outages and its own end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from services.up.data_folder import DataFolder
from tests.integration.worker.conftest import Stage, SupervisorStarter
from tests.integration.worker.fake_taskstate import FakeTask, FakeTaskState
from tests.support.processes import Process
from tests.support.servers import running_redis
from tests.support.waiting import await_until, wait_until


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


def canary(fake: FakeTaskState, redis_url: str, queue: str = "default", **payload: object) -> FakeTask:
    return fake.enqueue(redis_url, FakeTask("canary", {"steps": 600, **payload}), queue)


def rq_workers_of(supervisor: Process) -> list[int]:
    names = tree_of(supervisor.pid)
    return [pid for pid, name in names.items() if name == "worker-rq"]


def gone(pids: set[int]) -> Callable[[], bool]:
    return lambda: not pids & _processes().keys()


def queued(redis_url: str) -> list[bytes]:
    with redis.Redis.from_url(redis_url) as client:
        return client.lrange("rq:queue:default", 0, -1) + client.lrange("rq:queue:default:intermediate", 0, -1)


# --- Deaths.


async def test_a_dead_rq_worker_is_replaced_and_its_attempt_told(stage: Stage) -> None:
    task = await stage.fake.running(stage.canary(seconds=60))
    [rq_worker] = rq_workers_of(stage.supervisor)
    os.kill(rq_worker, signal.SIGKILL)

    await stage.fake.ended(task)
    assert task.bodies("exited")[0].exit.signal == signal.SIGKILL
    await stage.fake.ended(stage.canary())
    assert stage.supervisor.events("rq_worker_ended")[0]["exit_code"] == -signal.SIGKILL
    await await_until(lambda: not queued(stage.redis_url), what="the dead RQ worker's message to be removed")


async def test_a_message_that_a_dead_rq_worker_had_taken_runs_in_the_next(stage: Stage) -> None:
    stage.fake.mute.add("start")
    task = stage.canary()
    await await_until(lambda: "worker-horse" in tree_of(stage.supervisor.pid).values())
    os.kill(rq_workers_of(stage.supervisor)[0], signal.SIGKILL)
    await await_until(lambda: stage.supervisor.events("rq_worker_ended"))
    stage.fake.mute.clear()

    await stage.fake.ended(task)
    assert task.bodies("finish")


async def test_a_message_that_was_taken_and_not_started_is_handed_back(stage: Stage) -> None:
    [rq_worker] = rq_workers_of(stage.supervisor)
    # Frozen, the supervisor hears of the message only after its RQ worker is dead.
    stage.supervisor.send(signal.SIGSTOP)
    task = stage.canary()
    await await_until(lambda: "worker-horse" in tree_of(stage.supervisor.pid).values())
    os.kill(rq_worker, signal.SIGKILL)
    await await_until(lambda: "worker-horse" not in tree_of(stage.supervisor.pid).values())
    stage.supervisor.send(signal.SIGCONT)

    await await_until(lambda: stage.fake.released == [(task.task_id, 1)])
    await await_until(lambda: not queued(stage.redis_url), what="the old message to be removed")
    assert not task.start_id
    assert stage.fake.live[-1].heartbeats[-1].claims == []
    await stage.fake.ended(stage.canary())


async def test_a_start_that_is_granted_to_a_dead_work_horse_is_told_as_exited(stage: Stage) -> None:
    stage.fake.mute.add("start")
    task = stage.canary()
    [horse] = await await_until(
        lambda: [pid for pid, name in tree_of(stage.supervisor.pid).items() if name == "worker-horse"]
    )
    os.kill(horse, signal.SIGKILL)
    await await_until(gone({horse}))
    stage.fake.mute.clear()
    # The unanswered start is said again on the next stream, and granted there.
    stage.fake.break_streams()

    await stage.fake.ended(task)
    assert task.bodies("exited")[0].exit.signal == signal.SIGKILL
    assert task.bodies("finish") == []


async def test_nothing_outlives_a_killed_supervisor(stage: Stage) -> None:
    await stage.fake.running(stage.canary(seconds=60))
    below = set(tree_of(stage.supervisor.pid))
    assert len(below) == 2
    stage.supervisor.send(signal.SIGKILL)
    await await_until(gone(below), 5)


# --- The session.


async def test_nothing_is_lost_when_the_session_breaks(stage: Stage) -> None:
    task = await stage.fake.running(stage.canary(seconds=1.5, steps=30))
    first = stage.fake.live[0].hello
    stage.fake.mute = {"progress", "logs", "finish", "exited"}
    stage.fake.break_streams()
    await await_until(lambda: len(stage.fake.streams) == 2 and stage.fake.streams[1].resumed)
    # What is said now gets no answer; so it is said again after the next break.
    stage.fake.mute = set()
    stage.fake.break_streams()

    await stage.fake.ended(task)
    assert task.bodies("progress")[-1].done == 30
    assert task.order[-2:] == ["finish", "exited"]
    sequences = [message.sequence for message in task.said]
    assert sequences == sorted(set(sequences))
    assert stage.fake.live[-1].hello.worker.boot_id == first.worker.boot_id
    assert [stream.resumed for stream in stage.fake.streams] == [[], [task.task_id], [task.task_id]]


async def test_a_draining_replica_is_left_at_once(stage: Stage) -> None:
    task = await stage.fake.running(stage.canary(seconds=0.5, steps=10))
    stage.fake.drain()
    await await_until(lambda: len(stage.fake.streams) == 2)
    await stage.fake.ended(task)
    assert stage.fake.streams[1].resumed == [task.task_id]
    assert task.order[-2:] == ["finish", "exited"]
    assert stage.supervisor.events("session_lost") == []


async def test_unanswered_messages_are_said_again_with_their_numbers(stage: Stage) -> None:
    stage.fake.mute = {"finish", "exited"}
    task = stage.canary()
    await await_until(lambda: stage.fake.unanswered == ["finish", "exited"])
    assert task.is_gone is False
    stage.fake.mute = set()
    stage.fake.break_streams()
    await stage.fake.ended(task)
    assert task.order[-2:] == ["finish", "exited"]


async def test_no_message_is_taken_while_taskstate_is_away(stage: Stage) -> None:
    running = await stage.fake.running(stage.canary(seconds=1))
    await stage.fake.stop()
    waiting = stage.canary()
    await await_until(lambda: "worker-horse" not in tree_of(stage.supervisor.pid).values())
    assert queued(stage.redis_url) == [waiting.job_id.encode()]
    assert not running.bodies("finish")

    await stage.fake.serve()
    await stage.fake.ended(running)
    await stage.fake.ended(waiting)
    assert running.bodies("finish")


# --- The end.


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_supervisor_ends_with_a_good_bye(stage: Stage, how: signal.Signals) -> None:
    stage.supervisor.send(how)
    await await_until(lambda: stage.supervisor.popen.poll() is not None, 5)
    assert stage.supervisor.popen.returncode == 0
    assert stage.fake.streams[-1].good_bye == "the worker stops"
    with stage.redis() as client:
        assert client.smembers("rq:workers") == set()


async def test_a_drain_lets_an_attempt_finish_and_takes_no_other(stage: Stage) -> None:
    task = await stage.fake.running(stage.canary(seconds=1))
    stage.supervisor.send(signal.SIGTERM)
    await await_until(lambda: stage.supervisor.events("stopping"))
    waiting = stage.canary()
    stage.supervisor.send(signal.SIGINT)
    await await_until(lambda: stage.supervisor.popen.poll() is not None)
    assert stage.supervisor.popen.returncode == 0
    assert task.order[-2:] == ["finish", "exited"]
    assert queued(stage.redis_url) == [waiting.job_id.encode()]
    assert not waiting.start_id


async def test_a_drain_kills_when_the_grace_is_over(
    fake: FakeTaskState, start_supervisor: SupervisorStarter, redis_url: str
) -> None:
    supervisor = start_supervisor(grace=0.3)
    task = await fake.running(canary(fake, redis_url, mode="hang_c", seconds=60))
    supervisor.send(signal.SIGTERM)
    await await_until(lambda: supervisor.popen.poll() is not None, 5)
    assert supervisor.popen.returncode == 0
    assert task.bodies("exited")[0].exit.signal == signal.SIGKILL
    assert task.cause == "DRAINED"
    assert fake.streams[-1].good_bye


async def test_a_drain_with_taskstate_away_is_bounded(
    fake: FakeTaskState, start_supervisor: SupervisorStarter, redis_url: str
) -> None:
    supervisor = start_supervisor(grace=1)
    await fake.running(canary(fake, redis_url, seconds=0.5))
    await fake.stop()
    supervisor.send(signal.SIGTERM)
    await await_until(lambda: supervisor.popen.poll() is not None, 10)
    assert supervisor.popen.returncode == 0
    assert supervisor.events("undelivered")


async def test_no_good_bye_is_said_over_an_exit_that_was_not_taken(
    fake: FakeTaskState, start_supervisor: SupervisorStarter, redis_url: str
) -> None:
    supervisor = start_supervisor(grace=0.2)
    fake.mute.add("exited")
    await fake.running(canary(fake, redis_url, seconds=60))
    supervisor.send(signal.SIGTERM)
    await await_until(lambda: supervisor.popen.poll() is not None, 10)
    assert supervisor.popen.returncode == 0
    assert supervisor.events("undelivered")
    assert fake.unanswered == ["exited"]
    assert fake.streams[-1].good_bye is None


async def test_deaths_and_the_drain_are_told_with_redis_away(
    fake: FakeTaskState, start_supervisor: SupervisorStarter, session_data_folder: DataFolder
) -> None:
    with running_redis(session_data_folder) as server:
        supervisor = start_supervisor(redis_url=server.url())
        task = await fake.running(canary(fake, server.url(), seconds=60))
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
    fake: FakeTaskState, start_supervisor: SupervisorStarter, redis_url: str
) -> None:
    supervisor = start_supervisor("default=2,other")
    tasks = [canary(fake, redis_url, queue, seconds=1) for queue in ("default", "default", "other")]
    for task in tasks:
        await fake.running(task)
    assert sorted(tree_of(supervisor.pid).values()) == ["worker-horse"] * 3 + ["worker-rq"] * 3
    for task in tasks:
        await fake.ended(task)
    wait_until(lambda: "worker-horse" not in tree_of(supervisor.pid).values())
