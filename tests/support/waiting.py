"""Wait for a condition, never for a time: a test that sleeps is either slow or flaky."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL_S = 0.01


def wait_until(predicate: Callable[[], T], timeout: float = 10, what: str = "") -> T:
    """Call `predicate` until it is true and return what it returned; AssertionError after `timeout` seconds."""
    give_up = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > give_up:
            raise AssertionError(_message(predicate, timeout, what, value))
        time.sleep(INTERVAL_S)


async def await_until(predicate: Callable[[], T | Awaitable[T]], timeout: float = 10, what: str = "") -> T:
    """As `wait_until`, without blocking the event loop; `predicate` may be a coroutine function."""
    give_up = time.monotonic() + timeout
    while True:
        value = predicate()
        result: T = await value if inspect.isawaitable(value) else value  # type: ignore[assignment]
        if result:
            return result
        if time.monotonic() > give_up:
            raise AssertionError(_message(predicate, timeout, what, result))
        await asyncio.sleep(INTERVAL_S)


def _message(predicate: object, timeout: float, what: str, last: object) -> str:
    name = what or getattr(predicate, "__name__", repr(predicate))
    return f"not true within {timeout:g} s: {name} (last value: {last!r})"
