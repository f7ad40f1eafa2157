"""What a supervisor says about attempts that run, end well, and end badly."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from taskstate.v1 import task_pb2

from tests.integration.worker.conftest import Stage
from tests.support.waiting import await_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def stage(shared_stage: Stage) -> Stage:
    """One supervisor for all: what one test leaves must not disturb the next."""
    return shared_stage


async def test_a_canary_succeeds_with_progress(stage: Stage) -> None:
    task = await stage.fake.ended(stage.canary(seconds=0.5, steps=5))

    progress = task.bodies("progress")
    assert progress[-1].done == 5
    assert progress[-1].total == 5
    assert [report.done for report in progress] == sorted(report.done for report in progress)
    [finish] = task.bodies("finish")
    assert json.loads(finish.result)["steps"] == 5
    [exited] = task.bodies("exited")
    assert (exited.exit.exit_code, exited.exit.signal) == (0, 0)
    assert exited.exit.peak_memory_bytes > 1_000_000
    assert exited.exit.cpu_time.ToNanoseconds() > 0
    assert task.order[-2:] == ["finish", "exited"]
    assert "canary: sleep for 0.5 s in 5 steps" in task.log_texts
    assert [line.sequence >> 32 for logs in task.bodies("logs") for line in logs.lines] == [1]
    with stage.redis() as client:
        await await_until(lambda: not client.llen("rq:queue:default:intermediate"))
        assert not client.exists(f"rq:job:{task.job_id}")


async def test_the_hello_tells_who_and_what(stage: Stage) -> None:
    hello = stage.fake.live[0].hello
    assert hello.worker.worker_id == "w-test"
    assert hello.worker.pid == stage.supervisor.pid
    assert list(hello.worker.queues) == ["default"]
    assert len(hello.worker.boot_id) == 36
    types = {declared.name: declared for declared in hello.types}
    assert types["canary"].queue == "default"
    odd = types["odd.phases"]
    assert [(phase.id, phase.name) for phase in odd.phases] == [
        ("first", "First"),
        ("second", "The second"),
        ("second.inner", "Inner"),
    ]
    assert (odd.timeout.seconds, odd.max_attempts) == (60, 3)
    assert odd.description == "Goes through phases in all their ways."


async def test_phases_items_and_logs_come_in_order(stage: Stage) -> None:
    task = await stage.fake.ended(stage.create("odd.phases"))

    assert [(phase.phase_id, task_pb2.PhaseState.Name(phase.state)[12:]) for phase in task.bodies("phase")] == [
        ("first", "RUNNING"),
        ("first", "DONE"),
        ("second", "RUNNING"),
        ("second.inner", "RUNNING"),
        ("second.inner", "DONE"),
        ("second.extra", "RUNNING"),
        ("second.extra", "SKIPPED"),
        ("second", "DONE"),
    ]
    reports = task.bodies("progress")
    assert [(report.phase_id, report.done, report.total) for report in reports if report.HasField("done")] == [
        ("first", 3, 3)
    ]
    assert [report.items_processed for report in reports if report.HasField("items_processed")] == [5]
    assert task.log_texts == ["a line with a NUL \u2400 and a lone surrogate \ufffd"]
    assert json.loads(task.bodies("finish")[0].result) == {"task_id": task.task_id, "env": task.task_id}


@pytest.mark.parametrize(
    ("what", "result"),
    [("nothing", ""), ("odd text", '{"text":"NUL \\u2400, backslash \\\\u0000, lone \ufffd"}')],
)
async def test_results_that_can_be_kept(stage: Stage, what: str, result: str) -> None:
    task = await stage.fake.ended(stage.create("odd.result", what=what))
    assert task.bodies("finish")[0].result == result


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nan", "the task's result is not JSON: Out of range float values are not JSON compliant"),
        ("object", "the task's result is not JSON: Object of type object is not JSON serializable"),
        ("large", "the task's result is 524290 bytes of JSON; 524288 are the most"),
    ],
)
async def test_results_that_cannot_be_kept_fail_the_attempt(stage: Stage, what: str, message: str) -> None:
    task = await stage.fake.ended(stage.create("odd.result", what=what))
    error = task.bodies("finish")[0].error
    assert error.message.startswith(message)
    assert error.type.endswith("BadResult")


async def test_errors_are_told_and_bounded(stage: Stage) -> None:
    fatal = await stage.fake.ended(stage.create("odd.raise", what="fatal"))
    finish = fatal.bodies("finish")[0]
    assert finish.final
    assert (finish.error.type, finish.error.message) == ("taskstate.task.Fatal", "not again")
    assert 'raise Fatal("not again")' in finish.error.traceback

    left = await stage.fake.ended(stage.create("odd.raise", what="exit"))
    assert left.bodies("finish")[0].error.type == "builtins.SystemExit"

    large = await stage.fake.ended(stage.create("odd.raise", what="large"))
    error = large.bodies("finish")[0].error
    assert error.ByteSize() <= 64 * 1024
    assert error.message.startswith("\u2400xxx")

    unknown = await stage.fake.ended(stage.create("nobody.knows"))
    assert "registers the task type nobody.knows" in unknown.bodies("finish")[0].error.message


async def test_a_canary_that_fails(stage: Stage) -> None:
    task = await stage.fake.ended(stage.canary(mode="fail"))
    finish = task.bodies("finish")[0]
    assert finish.error.type == "workers.canary.CanaryFailure"
    assert not finish.final
    assert task.bodies("progress")[-1].done == 2


async def test_an_exit_without_a_last_word_is_told_with_its_code(stage: Stage) -> None:
    task = await stage.fake.ended(stage.canary(mode="exit"))
    assert task.bodies("finish") == []
    assert task.bodies("exited")[0].exit.exit_code == 3


@pytest.mark.parametrize("mode", ["sleep", "spin", "hang_c"])
async def test_a_killed_work_horse_is_told_with_its_signal(stage: Stage, mode: str) -> None:
    task = await stage.fake.running(stage.canary(mode=mode, seconds=60, steps=600))
    os.kill(task.horse_pid, signal.SIGKILL)
    await stage.fake.ended(task)
    assert task.bodies("exited")[0].exit.signal == signal.SIGKILL
    assert task.bodies("finish") == []
    # The same RQ worker goes on.
    await stage.fake.ended(stage.canary())


async def test_what_a_task_leaves_behind_is_killed(stage: Stage) -> None:
    task = await stage.fake.ended(stage.canary(mode="children", seconds=0.3, steps=3))
    [pids] = [text.split("[")[1].split("]")[0] for text in task.log_texts if text.startswith("started processes")]
    assert len(pids.split(",")) == 3
    assert not [pid for pid in pids.split(",") if Path(f"/proc/{pid.strip()}").exists()]


async def test_a_forked_child_of_the_task_has_no_voice(stage: Stage) -> None:
    task = await stage.fake.ended(stage.create("odd.fork"))
    assert task.bodies("exited")[0].exit.exit_code == 7
    assert task.log_texts == []
    assert {report.done for report in task.bodies("progress")} <= {1}
    await await_until(lambda: not _processes_with(f"TASKSTATE_TASK_ID={task.task_id}"))


async def test_the_work_horse_is_fenced(stage: Stage) -> None:
    task = await stage.fake.running(stage.canary(mode="hang_c", seconds=60))
    stage.fake.fence(task)
    await stage.fake.ended(task)
    assert task.bodies("exited")[0].exit.signal == signal.SIGKILL
    await stage.fake.ended(stage.canary())


async def test_a_double_of_a_message_runs_nothing(stage: Stage) -> None:
    task = await stage.fake.ended(stage.canary())
    with stage.redis() as client:
        client.rpush("rq:queue:default", task.job_id)
    other = await stage.fake.ended(stage.canary())
    assert other.bodies("finish")
    assert task.order.count("finish") == 1
    assert stage.supervisor.events("start_refused")


async def test_heartbeats_tell_signs_of_life(stage: Stage) -> None:
    stalled = await stage.fake.running(stage.canary(mode="hang_c", seconds=3))
    ages = await await_until(
        lambda: [
            health.sign_of_life_age.ToTimedelta().total_seconds()
            for heartbeat in stage.fake.live[0].heartbeats
            for health in heartbeat.attempts
            if health.fencing_token == stalled.fencing_token
        ][5:]
    )
    assert ages == sorted(ages)
    assert ages[-1] > 0.5
    await stage.fake.ended(stalled)


def _processes_with(mark: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and mark.encode() in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found
