"""A queue message: an id, `{task_id}_{dispatch}`, and nothing else.

Whatever else lies in Redis under that id was written by whoever can write to Redis, and is never read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

DISPATCH_MAX: Final = 2**31 - 1
_ID: Final = re.compile(rb"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})_([1-9][0-9]{0,9})")


@dataclass(frozen=True)
class QueueMessage:
    """What a queue message says."""

    task_id: str
    dispatch: int

    @property
    def job_id(self) -> str:
        """Its id in RQ."""
        return f"{self.task_id}_{self.dispatch}"


def parse_message(job_id: bytes | str) -> QueueMessage | None:
    """The message of an id, or None when it is not one of ours."""
    try:
        match = _ID.fullmatch(job_id if isinstance(job_id, bytes) else job_id.encode())
    except UnicodeEncodeError:
        return None
    if match is None or int(match[2]) > DISPATCH_MAX:
        return None
    return QueueMessage(match[1].decode(), int(match[2]))
