"""Tasks that tests run in real work-horses."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from typing import Any

from taskstate import Fatal, TaskCancelled, TaskContext, task


@task(type="odd.phases", phases=["first", ("second", "The second"), "second.inner"], timeout=60, max_attempts=3)
def phases(context: TaskContext) -> dict[str, Any]:
    """Goes through phases in all their ways."""
    with context.phase("first"):
        for _ in context.track(range(3)):
            pass
    with context.phase("second"):
        with context.phase("inner"):
            context.items(processed=5, failed=1)
        with context.phase("extra") as extra:
            extra.skip("nothing to do")
    logging.getLogger("somebody.else").warning("a line with a NUL \0 and a lone surrogate \ud800")
    return {"task_id": context.task_id, "env": os.environ["TASKSTATE_TASK_ID"]}


@task(type="odd.result")
def result(context: TaskContext) -> Any:
    """Returns what the payload asks for."""
    match context.payload["what"]:
        case "nan":
            return {"x": float("nan")}
        case "object":
            return object()
        case "large":
            return "x" * (512 * 1024)
        case "nothing":
            return None
        case _:
            return {"text": "NUL \0, backslash \\u0000, lone \ud800"}


@task(type="odd.raise")
def raise_(context: TaskContext) -> None:
    """Raises what the payload asks for."""
    match context.payload["what"]:
        case "fatal":
            raise Fatal("not again")
        case "exit":
            raise SystemExit(0)
        case _:
            raise RuntimeError("\0" + "x" * 100_000)


@task(type="odd.fork")
def fork(context: TaskContext) -> str:
    """Forks a child without exec that speaks in its own name, and leaves it running."""
    child = multiprocessing.get_context("fork").Process(target=_child, args=(context,), daemon=False)
    child.start()
    context.progress(1, 1, f"child {child.pid}")
    os._exit(7)


def _child(context: TaskContext) -> None:
    context.log.error("this must not be heard")
    context.progress(99, 100, "nor this")
    multiprocessing.Event().wait()


@task(type="odd.stubborn")
def stubborn(context: TaskContext) -> str:
    """Hears of the stop, or of TERM, and goes on as the payload says."""
    if context.payload.get("deaf_to_term"):
        signal.signal(signal.SIGTERM, lambda *_: context.progress(2))
    context.progress(1)
    try:
        time.sleep(60)
    except TaskCancelled:
        if context.payload.get("goes_on"):
            time.sleep(60)
    return f"stopped: {context.cancelled}"


@task(type="odd.exclusive", exclusive=True)
def exclusive(context: TaskContext) -> None:
    """Sleeps."""
    context.progress(1)
    time.sleep(60)
