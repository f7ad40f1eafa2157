"""What may be asked: each question is one call, answered from one state of the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.taskstate.database import Database
from services.taskstate.filters import ListFilter
from services.taskstate.model import Event, LogLine, Task
from services.taskstate.store import feed_read, log_lines, task_query


@dataclass(frozen=True, slots=True)
class Reads:
    """Each method may be tried again. All raise DatabaseUnavailable."""

    database: Database

    async def task(self, task_id: str) -> tuple[int, Task | None]:
        """The revision of the read, and one task with its whole result."""
        return await self.database.read(task_query.read_task, task_id)

    async def tasks(
        self, wanted: ListFilter, newest_first: bool, after: int | None, offset: int, limit: int
    ) -> tuple[int, list[Task]]:
        """The revision of the read, and one page by creation, after the task created at revision `after`."""
        return await self.database.read(task_query.list_tasks, wanted, newest_first, after, offset, limit)

    async def count(self, wanted: ListFilter) -> int:
        """How many tasks match."""
        return await self.database.read(task_query.count_tasks, wanted)

    async def active(self, group: str) -> tuple[int, Task | None, int]:
        """The revision of the read, the group's oldest running task (else its oldest waiting one), how many wait."""
        return await self.database.read(task_query.read_active, group)

    async def events(self, task_id: str, after: int, limit: int) -> tuple[int, list[Event] | None]:
        """The revision of the read, and the task's transitions after one; None if there is no such task."""
        return await self.database.read(task_query.read_events, task_id, after, limit)

    async def lines(
        self, task_id: str, after_sequence: int, attempt: int, min_level: int, limit: int
    ) -> list[LogLine] | None:
        """The task's log lines after a sequence; `attempt` and `min_level` of zero mean all. None: no such task."""
        found = await self.database.read(log_lines.read, task_id, after_sequence, attempt, min_level, limit)
        if not found and not await self.database.read(task_query.task_exists, task_id):
            return None
        return found

    async def time(self) -> datetime:
        """The database's clock."""
        head = await self.database.read(feed_read.read_head)
        return head.time
