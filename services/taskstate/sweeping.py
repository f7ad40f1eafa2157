"""The stale sweep: end what is over, and tell beforehand what it would do and why.

The list of candidates is only a proposal; each is judged again in its place in the one order, where a worker that came
back in time is spared. Any number of sweeps at once is harmless.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from services.taskstate.command import Accepted, ExpireAttempt, Outcome, Priority, Refused
from services.taskstate.database import Database, DatabaseUnavailable
from services.taskstate.model import EventKind, Task, TaskState
from services.taskstate.pipeline import Pipeline
from services.taskstate.rules.ending import stop_is_asked
from services.taskstate.store import sweep_plan
from services.taskstate.store.sweep_plan import Doubtful
from services.taskstate.store.task_query import read_revision

SWEEP_MAX = 200


class Verdict(StrEnum):
    """What a sweep does with a task."""

    EXPIRED = "EXPIRED"
    CANCEL_OVER = "CANCEL_OVER"
    GIVE_UP = "GIVE_UP"
    OVERDUE = "OVERDUE"
    SUSPECT = "SUSPECT"


@dataclass(frozen=True, slots=True)
class SweepItem:
    """One task, what the sweep would do with it now, and the evidence."""

    task: Task
    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep did, in numbers."""

    lost: int = 0
    retrying: int = 0
    cancelled: int = 0
    given_up: int = 0
    spared: int = 0


@dataclass(slots=True)
class Sweeping:
    """Sweeps through one replica."""

    database: Database
    pipeline: Pipeline
    replica_id: str

    async def apply(self, actor: str) -> SweepResult:
        """End what is over now, at most 200 tasks. Raises DatabaseUnavailable, also when this replica may not sweep."""
        due = await self.database.read(sweep_plan.due_task_ids, SWEEP_MAX)
        commands = [ExpireAttempt(task_id=task_id, actor=actor, replica_id=self.replica_id) for task_id in due]
        outcomes = await asyncio.gather(*self.pipeline.submit_many(commands, Priority.LOW))
        for outcome in outcomes:
            if isinstance(outcome, Refused) and outcome.reason != "TASK_NOT_FOUND":
                # Not spared: not judged. Whoever asked has to know that nothing is swept, and may ask another replica.
                raise DatabaseUnavailable(outcome.message)
        return count(outcomes)

    async def plan(self, after: str, max_age_s: float | None, limit: int) -> tuple[int, list[SweepItem], str | None]:
        """The revision, one page of what a sweep would look at, and the id it ends at if more may follow."""
        revision = await self.database.read(read_revision)
        page = await self.database.read(sweep_plan.read_doubtful, after, max_age_s, limit)
        judged = (judge(doubtful, max_age_s) for doubtful in page)
        last = page[-1].task.task_id if len(page) == limit else None
        return revision, [item for item in judged if item is not None], last


def count(outcomes: Sequence[Outcome]) -> SweepResult:
    """The outcomes of a sweep's commands, counted."""
    counted: Counter[str] = Counter()
    for outcome in outcomes:
        if not isinstance(outcome, Accepted) or outcome.no_op or outcome.event is None:
            counted["spared"] += 1
        elif outcome.event.kind is EventKind.GIVEN_UP:
            counted["given_up"] += 1
        else:
            counted[outcome.task.state] += 1
    return SweepResult(
        lost=counted[TaskState.LOST],
        retrying=counted[TaskState.RETRYING],
        cancelled=counted[TaskState.CANCELLED],
        given_up=counted["given_up"],
        spared=counted["spared"],
    )


def judge(doubtful: Doubtful, max_age_s: float | None) -> SweepItem | None:
    """What a sweep would do with a task now; None when there is nothing to tell."""
    item = _judge(doubtful, max_age_s)
    held_s = (doubtful.hold_until - doubtful.now).total_seconds() if doubtful.hold_until else 0.0
    if item is None or held_s <= 0 or item.verdict in (Verdict.OVERDUE, Verdict.SUSPECT):
        return item
    return replace(
        item,
        verdict=Verdict.SUSPECT,
        why=f"{item.why} TaskState itself was away: for another {held_s:.1f} s nobody is given up.",
    )


def _judge(doubtful: Doubtful, max_age_s: float | None) -> SweepItem | None:
    task, now = doubtful.task, doubtful.now
    lapsed = doubtful.lease_until is None or doubtful.lease_until <= now
    broken = task.suspect_until is not None and task.suspect_until <= now
    who = task.worker.worker_id if task.worker else "its worker"
    if task.state is not TaskState.RUNNING:
        if task.kill_deadline is not None and task.kill_deadline <= now and (lapsed or broken):
            return SweepItem(
                task, Verdict.GIVE_UP, f"It has ended; its process was never seen to go, and {who} is gone."
            )
        return None
    if stop_is_asked(task) and task.cancel is not None and task.cancel.deadline_time <= now:
        return SweepItem(task, Verdict.CANCEL_OVER, "Its stop was asked for and not carried out by its deadline.")
    if broken:
        return SweepItem(task, Verdict.EXPIRED, f"The stream of {who} ended without a good-bye and did not come back.")
    if lapsed:
        return SweepItem(
            task, Verdict.EXPIRED, f"The replica that vouched for {who} is gone, and the worker did not move."
        )
    if task.suspect_until is not None:
        left_s = (task.suspect_until - now).total_seconds()
        return SweepItem(task, Verdict.SUSPECT, f"The stream of {who} ended; it has {left_s:.1f} s to come back.")
    age_s = (now - task.start_time).total_seconds() if task.start_time else 0.0
    if max_age_s is not None and age_s > max_age_s:
        heard_s = (now - task.heard_time).total_seconds() if task.heard_time else 0.0
        return SweepItem(task, Verdict.OVERDUE, f"It runs for {age_s:.0f} s, and {who} was heard {heard_s:.1f} s ago.")
    return None
