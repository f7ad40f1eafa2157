"""What a live view knows about its own knowledge: connected or not, up to which revision, and how old it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskstate.cli import text
from taskstate.cli.clock import ServerClock
from taskstate.cli.words import seconds_of
from taskstate.task_watch import WatchInterrupted, WatchReset
from taskstate.v1 import task_service_pb2 as pb

if TYPE_CHECKING:
    from taskstate.task_watch import WatchItem


class Link:
    """Follows the items of a watch for the sake of its age; the views show it in their last line."""

    def __init__(self, clock: ServerClock | None = None) -> None:
        self.clock = clock or ServerClock()
        self.revision = 0
        self._notice = ""

    @property
    def is_broken(self) -> bool:
        """Whether what is shown is from before the connection was lost."""
        return self.clock.stopped_s() is not None

    def take(self, item: WatchItem) -> str:
        """Takes one item in. Answers a line where the connection itself changed, else an empty text."""
        if isinstance(item, WatchInterrupted):
            return self._lost()
        if isinstance(item, WatchReset):
            self._notice = "Too far behind to replay; showing the newest instead."
            return self._notice
        back = self._back()
        if isinstance(item, pb.Checkpoint):
            self.clock.observe(seconds_of(item.server_time))
        self.revision = max(self.revision, item.revision)
        return back

    def _lost(self) -> str:
        if self.is_broken:
            return ""
        self.clock.stop()
        return f"Connection lost at {text.clock_time(self.clock.now())}. What you see is from then. Trying again."

    def _back(self) -> str:
        if not self.is_broken:
            return ""
        self.clock.go_on()
        notice, self._notice = self._notice, ""
        return f"Back. {notice or 'Nothing was missed.'}"

    def words(self) -> str:
        """The age line's part about the connection."""
        broken_s = self.clock.stopped_s()
        if broken_s is not None:
            shown = text.clock_time(self.clock.now())
            return f"✕ Disconnected {text.duration(broken_s)} · shown as of {shown} · trying again"
        return f"live · rev {text.count(self.revision)}"
