"""What may go to the queues now: the long poll behind AcquireDispatches.

A plan is read without any lock, then each hand-out is decided in its place in the one order; a task that another scheduler
got meanwhile is refused and left out. Commits wake the waiting, and so does the time of the next due task.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from services.taskstate.command import Accepted, Command, ConfirmDispatch, HandOut, NoteWait, Outcome, Priority
from services.taskstate.database import Database
from services.taskstate.feed import DISPATCHABLE, Feed
from services.taskstate.model import Task
from services.taskstate.overlay import Limits
from services.taskstate.pipeline import Pipeline
from services.taskstate.store.dispatch_plan import DispatchPlan, plan_dispatches
from services.taskstate.waiting import wait_at_most

POLL_S = 1.0


@dataclass(slots=True)
class Dispatching:
    """Hands tasks out to schedulers."""

    database: Database
    pipeline: Pipeline
    feed: Feed
    limits: Limits

    async def acquire(self, count: int, wait_s: float, actor: str) -> list[Task]:
        """At most `count` tasks, handed out; waits up to `wait_s` for the first. Raises DatabaseUnavailable."""
        deadline = time.monotonic() + wait_s
        subscription = self.feed.subscribe(frozenset({DISPATCHABLE}))
        try:
            while True:
                subscription.woken.clear()
                plan = await self._plan(count)
                tasks = await self._hand_out(plan, actor)
                left_s = deadline - time.monotonic()
                if tasks or left_s <= 0 or self.feed.closed:
                    return tasks
                await wait_at_most(subscription.woken, min(left_s, POLL_S, plan.next_due_s or POLL_S))
        finally:
            self.feed.unsubscribe(subscription)

    async def confirm(self, dispatches: list[tuple[str, int]], actor: str) -> list[Outcome]:
        """Record that messages are in their queues."""
        commands = [ConfirmDispatch(task_id=task_id, dispatch=number, actor=actor) for task_id, number in dispatches]
        return list(await asyncio.gather(*self.pipeline.submit_many(commands)))

    async def _plan(self, count: int) -> DispatchPlan:
        limits = self.limits
        return await self.database.read(
            plan_dispatches, count, limits.dispatch_window, limits.group_limit_default, limits.group_limits
        )

    async def _hand_out(self, plan: DispatchPlan, actor: str) -> list[Task]:
        notes: list[Command] = [
            NoteWait(task_id=task_id, wait_reason=reason, actor=actor) for task_id, reason in plan.waits
        ]
        noted = self.pipeline.submit_many(notes, Priority.LOW)
        hand_outs = [HandOut(task_id=task_id, actor=actor) for task_id in plan.hand_out]
        outcomes = await asyncio.gather(*self.pipeline.submit_many(hand_outs))
        await asyncio.gather(*noted)
        return [outcome.task for outcome in outcomes if isinstance(outcome, Accepted)]
