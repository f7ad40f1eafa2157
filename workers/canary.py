"""The task type ``canary``: a task that behaves as it is told, well or badly, for drills and checks.

Its payload is ``{"seconds": 30, "steps": 300, "mode": "sleep"}``. It takes ``seconds`` in all, and reports each of its
``steps`` as progress, except where the mode forbids. The modes:

- ``sleep``: waits between the steps, as a task does that waits for others.
- ``spin``: computes between the steps, in Python, without a pause.
- ``stall``: lives, and reports nothing.
- ``fail``: goes half the way, then raises.
- ``exit``: goes half the way, then ends its process by ``os._exit(3)``, without a last word.
- ``hang_c``: sleeps in C with the interpreter lock held; nothing in the process can run meanwhile.
- ``children``: starts processes that outlive their time, one of them in a session of its own, and leaves them behind.

Payload keys it does not know are ignored.
"""

from __future__ import annotations

import ctypes
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taskstate import Fatal, TaskCancelled, TaskContext, task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SECONDS_DEFAULT: Final = 30.0
SECONDS_MAX: Final = 24 * 3600.0
STEPS_DEFAULT: Final = 300
STEPS_MAX: Final = 1_000_000
EXIT_CODE: Final = 3
CHILDREN: Final = 3
_CHILD_SOURCE: Final = "import time; time.sleep({seconds})"


class CanaryFailure(Exception):
    """What a canary raises that was told to fail."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a canary was told."""

    seconds: float
    steps: int
    mode: str


@task(type="canary", queue="default")
def canary(context: TaskContext) -> dict[str, Any]:
    """Behaves as its payload says, for drills and checks."""
    order = read_order(context.payload)
    context.log.info("canary: %s for %g s in %d steps", order.mode, order.seconds, order.steps)
    start_s = time.monotonic()
    MODES[order.mode](context, order)
    return {"mode": order.mode, "steps": order.steps, "seconds": round(time.monotonic() - start_s, 3)}


def read_order(payload: Mapping[str, Any]) -> Order:
    """What the payload says, with the defaults. Raises Fatal, naming the key, for a value that cannot be meant."""
    seconds = payload.get("seconds", SECONDS_DEFAULT)
    if not _is_number(seconds) or not 0 <= seconds <= SECONDS_MAX:
        raise Fatal(f"payload.seconds must be a number from 0 to {SECONDS_MAX:.0f}, not {seconds!r:.100}")
    steps = payload.get("steps", STEPS_DEFAULT)
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= STEPS_MAX:
        raise Fatal(f"payload.steps must be a whole number from 1 to {STEPS_MAX}, not {steps!r:.100}")
    mode = payload.get("mode", "sleep")
    if not isinstance(mode, str) or mode not in MODES:
        raise Fatal(f"payload.mode must be one of {', '.join(MODES)}, not {mode!r:.100}")
    return Order(seconds=float(seconds), steps=steps, mode=mode)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _sleep(context: TaskContext, order: Order) -> None:
    _go(context, order, order.steps, _wait_until)


def _spin(context: TaskContext, order: Order) -> None:
    _go(context, order, order.steps, _compute_until)


def _stall(context: TaskContext, order: Order) -> None:
    deadline = time.monotonic() + order.seconds
    _wait_until(context, deadline)


def _fail(context: TaskContext, order: Order) -> None:
    _go(context, order, order.steps // 2, _wait_until)
    raise CanaryFailure(f"the canary was told to fail, and did so at step {order.steps // 2} of {order.steps}")


def _exit(context: TaskContext, order: Order) -> None:
    _go(context, order, order.steps // 2, _wait_until)
    os._exit(EXIT_CODE)


def _hang_c(context: TaskContext, order: Order) -> None:
    deadline = time.monotonic() + order.seconds
    context.progress(0, order.steps, "holding the interpreter lock in C")
    # The thread that sends needs the lock too: without this moment nobody would hear what was just said.
    time.sleep(min(0.2, order.seconds / 2))
    # PyDLL, unlike CDLL, keeps the interpreter lock during the call: no thread of this process runs until it returns.
    libc = ctypes.PyDLL(None)
    libc.usleep.argtypes = (ctypes.c_uint,)
    while (left := deadline - time.monotonic()) > 0:
        # usleep takes 32 bits of microseconds; an hour at a time is far below that.
        libc.usleep(math.ceil(min(left, 3600.0) * 1e6))
    context.progress(order.steps, order.steps)


def _children(context: TaskContext, order: Order) -> None:
    source = _CHILD_SOURCE.format(seconds=order.seconds + 3600)
    pids = [
        subprocess.Popen([sys.executable, "-c", source], start_new_session=number == 0).pid
        for number in range(CHILDREN)
    ]
    context.log.info("started processes %s, the first in a session of its own", pids)
    _go(context, order, order.steps, _wait_until)


def _go(context: TaskContext, order: Order, steps: int, pass_time: Callable[[TaskContext, float], None]) -> None:
    """Take the first ``steps`` steps, evenly over the order's seconds."""
    start_s = time.monotonic()
    context.progress(0, order.steps)
    for step in range(1, steps + 1):
        pass_time(context, start_s + order.seconds * step / order.steps)
        context.progress(step, order.steps, f"step {step} of {order.steps}")


def _wait_until(context: TaskContext, deadline: float) -> None:
    while (left := deadline - time.monotonic()) > 0:
        _stop_if_asked(context)
        time.sleep(min(left, 0.1))


def _compute_until(context: TaskContext, deadline: float) -> None:
    number = 0
    while time.monotonic() < deadline:
        _stop_if_asked(context)
        number = (number * 1103515245 + 12345) % 2**31


def _stop_if_asked(context: TaskContext) -> None:
    """In a worker TaskCancelled comes by itself; a caller without one, as a test is, only sets the flag."""
    if context.cancelled:
        raise TaskCancelled("the canary was asked to stop")


MODES: Final[dict[str, Callable[[TaskContext, Order], None]]] = {
    "sleep": _sleep,
    "spin": _spin,
    "stall": _stall,
    "fail": _fail,
    "exit": _exit,
    "hang_c": _hang_c,
    "children": _children,
}
