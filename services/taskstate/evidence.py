"""What comes from attempts beside commands: log lines, and reports that came too late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.taskstate.model import LogLine


@dataclass(frozen=True, slots=True)
class AppendedLines:
    """Some lines of one attempt."""

    task_id: str
    fencing_token: int
    lines: Sequence[LogLine]


@dataclass(frozen=True, slots=True)
class LateReport:
    """One refused report; `body` is a finish's own words."""

    task_id: str
    fencing_token: int
    kind: str
    worker_id: str
    body: dict[str, Any] | None = None
