"""What supervisors tell beside commands, written outside the one order: types, log lines, refused reports, streams' ends.

None of it changes a task, so it need not wait for the writers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.taskstate.database import Database
from services.taskstate.evidence import AppendedLines, LateReport
from services.taskstate.model import TaskType
from services.taskstate.store import late_reports, log_lines, stream_attempts, type_rows


@dataclass(frozen=True, slots=True)
class Records:
    """Each method is one transaction, and may be tried again. All raise DatabaseUnavailable."""

    database: Database

    async def declare_types(self, types: Sequence[TaskType]) -> None:
        """Record what a worker declares; the newest declaration counts."""
        await self.database.write(type_rows.declare, types)

    async def append_lines(self, appended: Sequence[AppendedLines]) -> list[bool]:
        """Store lines whose token is held; answers for each part whether it was. Doubles are dropped."""
        return await self.database.write(log_lines.append, appended)

    async def keep_late(self, reports: Sequence[LateReport]) -> None:
        """Keep what came from attempts that do not hold their task any more."""
        await self.database.write(late_reports.keep, reports)

    async def carried_task_ids(self, replica_id: str, stream_id: str) -> list[str]:
        """The tasks whose attempts a stream carries and whose processes have not been seen to go."""
        return await self.database.write(stream_attempts.carried_task_ids, replica_id, stream_id)
