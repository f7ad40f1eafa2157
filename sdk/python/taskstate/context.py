"""What a running task holds in its hand: its input, and the words to say how far it is.

Nothing here waits. ``progress`` writes into a slot, and a thread of the work-horse sends what changed, at most ten times
a second; so a loop may call it for every item. Phases and log lines are never left out for being many, up to the stated
limits. A context that is made without a worker, as a test does, keeps what it is told and sends nothing::

    context = TaskContext(payload={"album": 7})
    assert thumbnails(context) == {"pictures": 3}
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

from taskstate.task import PHASES_MAX, is_phase_id, phase_title
from taskstate.worker.outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from taskstate.task import DeclaredPhase

    PhaseEnd = Literal["done", "failed", "skipped"]

Item = TypeVar("Item")

COUNT_MAX: Final = 2.0**53
"""Up to here a count is exact, also where it is read as a JSON number."""

_NOT_OF_AN_ID: Final = re.compile(r"[^a-z0-9_]+")


class TaskContext:
    """The running attempt, as its task sees it.

    ``log`` writes lines that belong to the task; standard logging of any other logger, at INFO or graver, is kept as
    well. All methods may be called from any thread of the process; a child process that the task forks has none of it.
    """

    def __init__(
        self,
        *,
        payload: Mapping[str, Any] | None = None,
        task_id: str = "",
        attempt: int = 1,
        fencing_token: int = 0,
        log: logging.Logger | None = None,
        declared_phases: Sequence[DeclaredPhase] = (),
        outgoing: Outgoing | None = None,
    ) -> None:
        self.payload: dict[str, Any] = dict(payload or {})
        """The task's input, as its creator gave it."""
        self.task_id = task_id
        self.attempt = attempt
        """Number of this attempt, from 1."""
        self.fencing_token = fencing_token
        """Grows from attempt to attempt. Hand it to what the task writes to, and a late write can be told apart."""
        self.log = log or logging.getLogger("taskstate.task")
        self._outgoing = outgoing or Outgoing()
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._names = {phase.id: phase.name for phase in declared_phases}
        self._open: list[PhaseHandle] = []
        self._phase_id = ""

    @property
    def cancelled(self) -> bool:
        """Whether the task was asked to stop: for threads other than the main one, in which TaskCancelled is raised.

        A task that sees it should clean up and raise TaskCancelled. One that returns has finished.
        """
        return self._cancelled.is_set()

    def set_cancelled(self) -> None:
        """Called by the worker when the task was asked to stop; a test may call it too."""
        self._cancelled.set()

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far the innermost open phase is, or the task as a whole outside phases. Takes microseconds.

        ``done`` and ``total``: from 0 to 2**53, in any unit. ``message``: what is being done, cut to 1 KiB;
        None or "" leaves the former one. Raises ValueError for numbers that are none of these.
        """
        self._outgoing.progress(
            self._phase_id,
            _amount("done", done),
            None if total is None else _amount("total", total),
            message or None,
        )

    def items(self, *, processed: int | None = None, failed: int | None = None) -> None:
        """Say how many items this attempt has processed, and how many of all failed, so far. None leaves a count."""
        for name, count in (("processed", processed), ("failed", failed)):
            if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
                raise ValueError(f"items {name} must be a whole number, not {count!r}")
            if count is not None and not 0 <= count <= COUNT_MAX:
                raise ValueError(f"items {name} must be from 0 to 2**53, not {count!r:.100}")
        self._outgoing.items(processed, failed)

    def track(self, iterable: Iterable[Item], total: float | None = None) -> Iterator[Item]:
        """Yield the items, reporting each as done once the loop asks for the next. ``total``: len() where it has one."""
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        self.progress(0, total)
        for number, item in enumerate(iterable, 1):
            yield item
            self.progress(number, total)

    def phase(self, name: str) -> PhaseHandle:
        """A phase, to be used as a context manager. An exception in its body fails the phase and goes on its way.

        ``name``: the id of a declared phase, or a name for a new one, whose id is made from it. A phase opened inside
        another gets a dotted id: "media" inside "content_processing" is "content_processing.media". At most 64 phases;
        ValueError beyond that.
        """
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"a phase needs a name, not {name!r}")
        return PhaseHandle(self, name.strip())

    def _begin(self, handle: PhaseHandle) -> str:
        with self._lock:
            phase_id = self._identify(handle.name)
            self._open.append(handle)
            self._phase_id = phase_id
            self._outgoing.phase(phase_id, self._names[phase_id], "running", "")
            return phase_id

    def _end(self, handle: PhaseHandle, state: PhaseEnd | None, message: str) -> None:
        """Close the handle's phase; a state of None says that it was told already."""
        with self._lock:
            if state is not None:
                self._outgoing.phase(handle.id, self._names[handle.id], state, message)
            if handle in self._open:
                self._open.remove(handle)
            self._phase_id = self._open[-1].id if self._open else ""

    def _skip(self, handle: PhaseHandle, reason: str) -> str:
        with self._lock:
            phase_id = handle.id or self._identify(handle.name)
            self._outgoing.phase(phase_id, self._names[phase_id], "skipped", reason)
            return phase_id

    def _identify(self, name: str) -> str:
        """The id of a phase by its name: declared, known from before, or new."""
        inside = f"{self._phase_id}." if self._phase_id else ""
        if name in self._names and name.startswith(inside):
            return name
        word = _NOT_OF_AN_ID.sub("_", name.lower()).strip("_") or "phase"
        phase_id = inside + word
        if phase_id not in self._names:
            if not is_phase_id(phase_id):
                raise ValueError(f"phase {name!r} has too long an id, or lies too deep: {phase_id!r}")
            if len(self._names) >= PHASES_MAX:
                raise ValueError(f"phase {name!r} is one too many: a task has at most {PHASES_MAX}")
            self._names[phase_id] = phase_title(phase_id) if name == word else name
        return phase_id


class PhaseHandle:
    """One phase of a task; made by ``TaskContext.phase``."""

    def __init__(self, context: TaskContext, name: str) -> None:
        self.name = name
        self.id = ""
        """Known once the phase has begun."""
        self._context = context
        self._skipped = False

    def skip(self, reason: str) -> None:
        """End the phase as skipped, with the reason people will read. The body goes on; leave it yourself."""
        self.id = self._context._skip(self, reason)  # noqa: SLF001 - the two classes are one thing.
        self._skipped = True

    def __enter__(self) -> Self:
        self.id = self._context._begin(self)  # noqa: SLF001
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._context._end(self, "failed", f"{type(error).__name__}: {error}")  # noqa: SLF001
        else:
            self._context._end(self, None if self._skipped else "done", "")  # noqa: SLF001


def _amount(name: str, value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"progress {name} is too large: {value!r:.100}") from None
    if not 0 <= number <= COUNT_MAX:
        raise ValueError(f"progress {name} must be from 0 to 2**53, not {value!r}")
    return number
