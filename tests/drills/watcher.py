"""A watcher beside a drill: it resumes by its cursor alone, and is compared with the audit trail at the end."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Self

from taskstate.client import TaskStateClient
from taskstate.errors import TaskStateError
from taskstate.task_watch import WatchReset
from taskstate.v1 import task_pb2 as pb
from taskstate.v1 import task_service_pb2 as service_pb

from tests.support.waiting import wait_until


class DrillWatcher:
    """Collects every transition of all tasks from now on; use as a context."""

    def __init__(self, targets: str) -> None:
        self.events: list[pb.TaskEvent] = []
        self.progress: dict[tuple[str, int], list[float]] = {}
        self.resets = 0
        self._client = TaskStateClient(targets, actor="drill-watcher")
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drill watcher", daemon=True)
        self._stopping = False

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._begun.wait(30), "the watch did not begin"
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._client.close()
        self._thread.join(15)

    def check(self, client: TaskStateClient, task_ids: Sequence[str]) -> int:
        """Assert that it saw every transition of these tasks once and in order, and no progress fell; answers how many."""
        wanted = sorted(event.revision for task_id in task_ids for event in client.events(task_id))
        named = set(task_ids)
        wait_until(lambda: any(e.revision >= wanted[-1] for e in self.events), 20, what="the newest transition")
        seen = [event.revision for event in self.events if event.task_id in named]
        assert seen == wanted, f"the watcher saw {seen}, the audit trail has {wanted}"
        assert self.resets == 0, "the watcher had to start again from a snapshot"
        fell = {key: done for key, done in self.progress.items() if done != sorted(done)}
        assert not fell, f"progress fell: {fell}"
        return len(seen)

    def _run(self) -> None:
        try:
            for item in self._client.watch():
                self._begun.set()
                if isinstance(item, service_pb.TaskChange):
                    self._note(item)
                elif isinstance(item, WatchReset):
                    self.resets += 1
        except (TaskStateError, ValueError):
            # The client was closed under the watch: the drill is over.
            assert self._stopping

    def _note(self, change: service_pb.TaskChange) -> None:
        if change.HasField("event"):
            self.events.append(change.event)
        if change.HasField("task") and change.task.attempt:
            key = (change.task.task_id, change.task.attempt)
            self.progress.setdefault(key, []).append(change.task.progress.done)
