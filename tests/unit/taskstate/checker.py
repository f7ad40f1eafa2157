"""Holds what the core answers and writes against the model, after every command and after every batch.

The invariants, by the names they have in this project: I1 terminal is final, I2 progress never falls within an attempt,
I3 fencing, I5 one winner, I14 the history folds back into the state, I16 revisions grow, I17 times are in order; and the
limits of groups, counted by living processes and messages that are out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.taskstate import codec, progress
from services.taskstate.command import Accepted, Command, Outcome
from services.taskstate.model import (
    ACTIVE_STATES,
    PHASE_ENDED,
    TERMINAL_STATES,
    Event,
    EventKind,
    Task,
    TaskState,
    TaskType,
    WaitReason,
)
from services.taskstate.overlay import Limits, Overlay
from tests.unit.taskstate.answers import answer_of
from tests.unit.taskstate.beliefs import believe
from tests.unit.taskstate.expectations import expected_answer
from tests.unit.taskstate.memory_store import MemoryStore
from tests.unit.taskstate.task_model import WAITING, Model, TaskModel

FINAL_FIELDS = (
    "state",
    "reason",
    "end_time",
    "result",
    "error",
    "attempt",
    "fencing_token",
    "done",
    "phases",
    "message",
)
AFTER_THE_END = (EventKind.EXITED, EventKind.GIVEN_UP, EventKind.SUSPECTED, EventKind.CANCEL_ADVANCED)
"""What may still be told of a task that has ended: how its process leaves."""
NOT_FOLDED = codec.HOT_FIELDS | codec.EVENT_LEFT_OUT


class Violation(AssertionError):
    """The core did what it must not."""


class Checker:
    """One run's model and what was seen. `seen` counts the different answers: (command, from state, answer)."""

    def __init__(self, limits: Limits) -> None:
        self.model = Model(limits)
        self.seen: Counter[str] = Counter()
        self.folded: dict[str, Task] = {}
        self.told: list[str] = []
        self.owners: dict[int, str] = {}
        self.last_revision = 0
        self.command: Command | None = None

    def begin_batch(
        self, types: dict[tuple[str, str], TaskType], replicas: set[str], hold_until: datetime | None
    ) -> None:
        """What a batch may look at beside tasks."""
        self.model.types = dict(types)
        self.model.replicas = set(replicas)
        self.model.hold_until = hold_until

    def judge(
        self, command: Command, before: Task | None, outcome: Outcome, now: datetime, revision: int, overlay: Overlay
    ) -> None:
        """Hold one answer against the model, then let the model believe it."""
        self.command = command
        answer = answer_of(outcome)
        shown = before.wait_reason if before else WaitReason.NONE
        self.told.append(f"{now:%H:%M:%S} r{revision} {command} -> {answer}")
        expected = expected_answer(self.model, command, now, shown)
        self._hold(answer == expected, f"answered {answer}, expected {expected}")
        self.seen[f"{type(command).__name__} {before.state if before else '-'}: {answer}"] += 1
        believe(self.model, command, answer, now, revision)
        after = overlay.tasks.get(command.task_id)
        if not isinstance(outcome, Accepted) or outcome.no_op:
            self._hold(after is before, "a refusal or a no-op changed the task")
            return
        self._hold(after is outcome.task, "the batch does not see what was answered")
        task = outcome.task
        self._hold(task.revision == revision, "the task does not carry its command's revision")
        self._judge_task(task, now)
        if before is not None:
            self._judge_step(before, task, outcome.event)
        if outcome.event is not None:
            self._judge_event(task, before, outcome.event, now)
        if task.attempt and task.fencing_token == revision:
            self.owners[revision] = task.task_id

    def count_living(self, tokens: set[int]) -> None:
        """I5 and the groups' limits, by the processes that really live and the messages that are out."""
        owners = Counter(self.owners[token] for token in tokens)
        self._hold(max(owners.values(), default=0) <= 1, "two processes of one task live at once")
        used: Counter[tuple[str, str]] = Counter()
        for task_id, task in self.model.tasks.items():
            if task.asked.group and (task.out_since is not None or owners[task_id]):
                used[task.asked.namespace, task.asked.group] += 1
        for (namespace, group), n in used.items():
            self._hold(n <= self.model.limit(group), f"{n} at once in group {namespace}/{group}")

    def judge_batch(self, overlay: Overlay, store: MemoryStore, tasks: dict[str, Task]) -> None:
        """After a batch: what was written is what was decided, and all counts are what a recount gives."""
        for task_id, task in overlay.tasks.items():
            self._hold(tasks[task_id] == task, f"what was written of {task_id} is not what was decided")
        counted = Counter((t.spec.namespace, t.spec.type, str(t.state)) for t in tasks.values())
        self._hold(+store.counted == counted, f"the counters are {+store.counted}, a recount gives {counted}")
        slots = Counter(task.slot for task in tasks.values() if task.slot is not None)
        self._hold(+Counter(overlay.slots) == slots, f"slots: {overlay.slots}, a recount gives {slots}")
        out = Counter(
            (task.asked.namespace, str(task.queue)) for task in self.model.tasks.values() if task.out_since is not None
        )
        self._hold(+Counter(overlay.queues) == out, f"queues: {overlay.queues}, a recount gives {out}")
        for task_id in {event.task_id for event in overlay.changes.events}:
            self._hold(store.running_attempts(task_id) <= 1, "two attempts of one task run")

    def _judge_task(self, task: Task, now: datetime) -> None:
        """One task as it stands after an accepted command."""
        believed = self.model.tasks[task.task_id]
        for name, (found, expected) in self._expected_fields(task, believed).items():
            self._hold(found == expected, f"{name} is {found!r}, expected {expected!r}")
        ran = believed.attempt > 0
        times = {
            "end_time": (task.end_time, believed.state in TERMINAL_STATES),
            "start_time": (task.start_time, ran),
            "attempt_end_time": (task.attempt_end_time, ran and believed.state is not TaskState.RUNNING),
            "gone_time": (task.gone_time, ran and believed.gone),
            "exit": (task.exit, ran and believed.gone and not believed.given_up),
            "handed_out_time": (task.handed_out_time, believed.out_since is not None),
        }
        for name, (value, should) in times.items():
            self._hold((value is not None) == should, f"{name} is {value}")
        order = [task.spec.create_time, task.start_time, task.attempt_end_time, task.gone_time]
        known = [time for time in order if time is not None]
        self._hold(known == sorted(known) and known[-1] <= now, f"times are out of order: {known}")
        if task.end_time is not None and task.attempt_end_time is not None:
            self._hold(task.end_time >= task.attempt_end_time, "the task ended before its attempt")
        self._hold(believed.endings <= 1, "a task ended twice")
        self._hold(task.attempt - task.uncounted <= believed.attempts_max, "more attempts than are allowed")
        percent = progress.progress_of(task).percent
        self._hold(percent is None or 0 <= percent <= 100, f"percent is {percent}")

    def _expected_fields(self, task: Task, believed: TaskModel) -> dict[str, tuple[Any, Any]]:
        slot = f"{believed.asked.namespace}/{believed.asked.group}" if believed.holds_slot else None
        waits = believed.state in WAITING
        succeeded = believed.state is TaskState.SUCCEEDED
        return {
            "state": (task.state, believed.state),
            "reason": (task.reason, believed.reason),
            "uncounted": (task.uncounted, believed.uncounted),
            "stream": ((task.replica_id, task.stream_id), believed.stream),
            "liveness": (task.liveness, believed.liveness),
            "suspect_until": (task.suspect_until, believed.suspect_until),
            "stop": (task.cancel and task.cancel.outcome, believed.stop and believed.stop.outcome),
            "attempt": (task.attempt, believed.attempt),
            "fencing_token": (task.fencing_token, believed.token),
            "sequence": (task.sequence, believed.sequence),
            "dispatch": (task.dispatch, believed.message),
            "slot": (task.slot, slot),
            "due_time": (task.due_time, believed.due),
            "queue": (task.queue, believed.queue),
            "policy_frozen": (task.policy_frozen, believed.declared is not None),
            "is_waiting": (task.wait_reason is not WaitReason.NONE, waits),
            "result": (task.result, believed.result if succeeded else None),
            "result_size": (task.result_size, len((task.result or "").encode())),
            "error": (task.error, believed.error),
            "heard_time": (task.heard_time, believed.heard),
            "done": (progress.progress_of(task).done, believed.shown_done),
            "items": ((task.items_processed, task.items_failed), believed.items),
            "phases": ({phase.id: phase.state for phase in task.phases}, believed.phases),
        }

    def _judge_step(self, before: Task, task: Task, event: Event | None) -> None:
        """From one state of a task to the next."""
        self._hold(task.spec is before.spec, "the spec changed")
        self._hold(task.revision > before.revision, "the revision did not grow")
        if before.policy_frozen:
            for name in codec.POLICY_FIELDS:
                self._hold(getattr(task, name) == getattr(before, name), f"{name} changed after it was frozen")
        if before.state in TERMINAL_STATES:
            self._hold(event is not None and event.kind in AFTER_THE_END, "a terminal task moved")
            for name in FINAL_FIELDS:
                self._hold(getattr(task, name) == getattr(before, name), f"{name} changed after the end")
        if task.attempt != before.attempt:
            self._hold(task.attempt == before.attempt + 1, "the attempt number jumped")
            self._hold(task.fencing_token > before.fencing_token, "the token did not grow")
            return
        was, is_now = progress.progress_of(before).done, progress.progress_of(task).done
        self._hold(is_now >= was, f"done fell from {was} to {is_now}")
        phases = {phase.id: phase for phase in task.phases}
        for phase in before.phases:
            later = phases.get(phase.id)
            if later is None:
                raise self._violation(f"phase {phase.id} was forgotten")
            self._hold(later.done >= phase.done, f"phase {phase.id} fell from {phase.done} to {later.done}")
            ended = phase.state in PHASE_ENDED
            self._hold(not ended or later == phase, f"phase {phase.id} changed after its end")

    def _judge_event(self, task: Task, before: Task | None, event: Event, now: datetime) -> None:
        """I14 and I16."""
        self._hold(event.revision == task.event_revision == task.revision, "the event has another revision")
        self._hold(event.revision > self.last_revision, "the events are not in order")
        self.last_revision = event.revision
        self._hold((event.time, event.task_id) == (now, task.task_id), "the event has another time or task")
        from_state = before.state if before else None
        self._hold((event.from_state, event.to_state) == (from_state, task.state), "the event tells another move")
        self._hold(from_state is None or from_state in ACTIVE_STATES or event.to_state is from_state, "left the end")
        folded = codec.fold(self.folded.get(task.task_id, Task(spec=task.spec)), event.changes)
        self.folded[task.task_id] = folded
        left_out = {name: getattr(task, name) for name in NOT_FOLDED}
        self._hold(replace(folded, **left_out) == task, f"the history folds into {folded}, the state is {task}")

    def _hold(self, right: bool, what: str) -> None:
        if not right:
            raise self._violation(what)

    def _violation(self, what: str) -> Violation:
        task_id = self.command.task_id if self.command else ""
        story = [line for line in self.told if task_id in line][-12:]
        return Violation("\n  ".join([what, *story]))
