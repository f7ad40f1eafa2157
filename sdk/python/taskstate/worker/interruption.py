"""How a request to stop reaches a task in the middle of what it does: as an exception in the main thread, once.

The sending thread hears of the request and sends a signal to the main thread, where Python runs the handler between two
instructions, also out of a sleep or another wait; the handler raises. SIGURG, because nobody uses it and its default is
to be ignored: one that comes too late harms nothing.

The exception is not raised where it would do harm: where logging, threading or a tracer have a lock and are not yet, or no
longer, within the block that releases it; and in this package's own frames, which are the moments before the task's first
and after its last instruction, and inside a context's methods. So a task that has returned has finished, whatever comes.
The sender asks again until it was raised.
"""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from taskstate.task import TaskCancelled

if TYPE_CHECKING:
    from types import FrameType

    from taskstate.context import TaskContext
    from taskstate.task import TaskFunction

SIGNAL: Final = signal.SIGURG
HEARD_TIMEOUT_S: Final = 0.5
"""How long the main thread may take to hear of the request before other threads are told without it."""
ASK_INTERVAL_S: Final = 0.01
_NOT_IN: Final = ("coverage", "logging", "taskstate.context", "taskstate.worker")
"""A tracer's own Python runs between the task's instructions, and takes a lock in one function that it releases in another:
raised there, the whole process stood still (coverage 7 did)."""
_NOT_IN_METHODS: Final = {("threading", "__enter__"), ("threading", "__exit__")}


class Interruption:
    """The request to stop one attempt: made by ``request`` in one thread, raised out of ``call`` in the main thread."""

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self._requested = False
        self._running = False
        self._over = False
        """Raised, or there is nothing left to raise it in."""

    def call(self, function: TaskFunction) -> Any:
        """Call the task's function in the main thread. Raises TaskCancelled if it is to stop, and what it raises."""
        signal.signal(SIGNAL, self._on_signal)
        self._running = True
        try:
            # Requested before there was anything to interrupt. A request after this line finds the task running.
            if self._requested:
                raise TaskCancelled(_WORDS)
            return function(self._context)
        finally:
            self._running, self._over = False, True

    def request(self) -> None:
        """From another thread: have TaskCancelled raised. Waits until it was, half a second at most."""
        self._requested = True
        deadline = time.monotonic() + HEARD_TIMEOUT_S
        while self.ask_again() and time.monotonic() < deadline:
            time.sleep(ASK_INTERVAL_S)
        # Only now: the main thread should not see the flag first, and return as if it had finished.
        self._context.set_cancelled()

    def ask_again(self) -> bool:
        """From another thread: interrupt the main thread if a request was not heard yet. Answers whether it was so."""
        if not self._requested or self._over:
            return False
        if self._running:
            signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)
        return True

    def _on_signal(self, _number: int, frame: FrameType | None) -> None:
        if not self._running or self._over or frame is None or _is_spared(frame):
            return
        self._over = True
        self._context.set_cancelled()
        raise TaskCancelled(_WORDS)


_WORDS: Final = "the task was asked to stop"


def _is_spared(frame: FrameType) -> bool:
    name = f"{frame.f_globals.get('__name__')}."
    if (name[:-1], frame.f_code.co_name) in _NOT_IN_METHODS:
        return True
    return any(name.startswith(f"{spared}.") for spared in _NOT_IN)
