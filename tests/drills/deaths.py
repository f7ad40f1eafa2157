"""Deaths: a worker is killed or frozen, and the shown state becomes true within seconds.

Times are from the harm to the answer of a watch that shows the task's end, in seconds.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from taskstate.client import TaskStateClient, has_ended
from taskstate.v1 import task_pb2 as pb

from tests.drills.stack import Stack, descendants, is_gone, process_ids
from tests.support.processes import Process
from tests.support.waiting import wait_until

CANARY_SECONDS = 60
GONE_WITHIN_S = 5.0


def kill_work_horse(stack: Stack, times: int) -> list[float]:
    """kill -9 of the work-horse: LOST, with the signal as evidence, through the exit that the supervisor saw."""
    taken = []
    with stack.client() as client:
        for _ in range(times):
            task = _running(client)
            began = time.monotonic()
            os.kill(task.worker.horse_pid, signal.SIGKILL)
            ended = client.wait(task.task_id, timeout=30)
            taken.append(time.monotonic() - began)
            assert _end(ended) == ("LOST", "WORKER_LOST"), ended
            assert ended.exit.signal == signal.SIGKILL, ended.exit
    return taken


def retry_after_loss(stack: Stack) -> float:
    """kill -9 of the work-horse of a type that may be tried again: a second attempt, and only after the first has gone."""
    with stack.client() as client:
        task = _running(client, retry_on_loss=True, max_attempts=2, seconds=2)
        os.kill(task.worker.horse_pid, signal.SIGKILL)
        began = time.monotonic()
        ended = client.wait(task.task_id, timeout=60)
        assert _end(ended) == ("SUCCEEDED", "UNSPECIFIED"), ended
        assert ended.attempt == 2, ended
        kinds = [
            pb.TaskEventKind.Name(event.kind).removeprefix("TASK_EVENT_KIND_") for event in client.events(task.task_id)
        ]
        starts = [index for index, kind in enumerate(kinds) if kind == "STARTED"]
        assert "EXITED" in kinds[starts[0] : starts[1]], kinds
    return time.monotonic() - began


def kill_worker_tree(stack: Stack, worker: Process) -> float:
    """kill -9 of supervisor, RQ workers and work-horse at once: the stream ends, the grace passes, the sweep ends it."""
    with stack.client() as client:
        task = _running(client)
        tree = descendants(worker.pid)
        assert task.worker.horse_pid in tree, (task.worker, tree)
        began = time.monotonic()
        for pid in tree:
            os.kill(pid, signal.SIGKILL)
        ended = client.wait(task.task_id, timeout=60)
        taken = time.monotonic() - began
        assert _end(ended) == ("LOST", "WORKER_LOST"), ended
    return taken


def freeze_worker_tree(stack: Stack, worker: Process) -> float:
    """SIGSTOP of the whole tree, as of a vanished host: lost in time, and not resurrected by SIGCONT."""
    with stack.client() as client:
        task = _running(client)
        tree = descendants(worker.pid)
        began = time.monotonic()
        for pid in tree:
            os.kill(pid, signal.SIGSTOP)
        try:
            ended = client.wait(task.task_id, timeout=60)
            taken = time.monotonic() - began
        finally:
            for pid in reversed(tree):
                os.kill(pid, signal.SIGCONT)
        assert _end(ended) == ("LOST", "WORKER_LOST"), ended
        wait_until(lambda: is_gone(task.worker.horse_pid), 30, what="the fenced work-horse's end")
        after = client.get(task.task_id)
        assert _end(after) == ("LOST", "WORKER_LOST"), after
        # The supervisor lives on and works.
        again = client.create("canary", {"seconds": 0, "steps": 1})
        assert _end(client.wait(again.task_id, timeout=60))[0] == "SUCCEEDED"
    return taken


def hold_the_lock(stack: Stack, seconds: float) -> list[str]:
    """Tasks that hold the interpreter lock, or compute without a pause, are never called lost."""
    with stack.client() as client:
        tasks = [
            client.create("canary", {"seconds": seconds, "steps": 10, "mode": mode}, name=mode)
            for mode in ("hang_c", "spin")
        ]
        ended = [client.wait(task.task_id, timeout=seconds * 4 + 60) for task in tasks]
        states = [_end(task)[0] for task in ended]
        assert states == ["SUCCEEDED", "SUCCEEDED"], ended
        assert [task.attempt for task in ended] == [1, 1], ended
    return states


def force_cancel(stack: Stack, mode: str) -> float:
    """Force-cancel: the state at once, every process gone soon, the receipt complete. Answers the time until gone."""
    with stack.client() as client:
        task = _running(client, mode=mode)
        horse = task.worker.horse_pid
        if mode == "children":
            wait_until(lambda: len(descendants(horse)) > 2, 20, what="the canary's children")
        tree = descendants(horse) + _escaped(task.task_id)
        began = time.monotonic()
        ended = client.cancel(task.task_id, force=True)
        assert _end(ended) == ("FAILED", "FORCE_CANCELLED"), ended
        assert ended.message == "Force cancelled by user", ended
        wait_until(lambda: all(is_gone(pid) for pid in tree), 30, what=f"the end of {tree}")
        taken = time.monotonic() - began
        wait_until(lambda: client.get(task.task_id).cancel.HasField("exit_time"), 10, what="the receipt's exit time")
        receipt = client.get(task.task_id).cancel
        assert receipt.force, receipt
        assert receipt.HasField("signal_time"), receipt
        assert receipt.outcome == pb.CANCEL_OUTCOME_CONFIRMED, receipt
        assert taken <= GONE_WITHIN_S, f"{mode}: processes were gone after {taken:.1f} s"
    return taken


def cancel(stack: Stack) -> float:
    """A plain cancel of a task that sleeps: it hears, stops, and the cancel is confirmed."""
    with stack.client() as client:
        task = _running(client)
        began = time.monotonic()
        asked = client.cancel(task.task_id)
        assert asked.state == pb.TASK_STATE_RUNNING, asked
        ended = client.wait(task.task_id, timeout=30)
        taken = time.monotonic() - began
        assert _end(ended)[0] == "CANCELLED", ended
        wait_until(lambda: client.get(task.task_id).cancel.outcome == pb.CANCEL_OUTCOME_CONFIRMED, 10)
        assert client.get(task.task_id).cancel.HasField("deliver_time")
    return taken


def _running(
    client: TaskStateClient, mode: str = "sleep", seconds: float = CANARY_SECONDS, **fields: object
) -> pb.Task:
    """A canary that runs, and has reported something unless its mode forbids."""
    payload = {"seconds": seconds, "steps": max(10, int(seconds * 10)), "mode": mode}
    task = client.create("canary", payload, **fields)  # type: ignore[arg-type]
    return wait_until(lambda: _if_running(client, task.task_id), 60, what="a running canary")


def _if_running(client: TaskStateClient, task_id: str) -> pb.Task | None:
    task = client.get(task_id)
    assert not has_ended(task), task
    return task if task.state == pb.TASK_STATE_RUNNING else None


def _escaped(task_id: str) -> Sequence[int]:
    """Processes of a canary that left its process tree, found by the mark that every child of a task carries."""
    found = []
    for pid in process_ids():
        try:
            marked = task_id.encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if marked:
            found.append(pid)
    return found


def _end(task: pb.Task) -> tuple[str, str]:
    state = pb.TaskState.Name(task.state).removeprefix("TASK_STATE_")
    return state, pb.TaskReason.Name(task.reason).removeprefix("TASK_REASON_")
