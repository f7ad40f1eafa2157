"""`python -m tests.drills [NAME...]`: run the drills at default settings and print their figures; exit 1 if one failed."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator

from tests.drills import deaths, outages
from tests.drills.stack import Stack, running_stack

Drill = Callable[[Stack], str]


def seconds(taken: list[float]) -> str:
    """Figures of several runs."""
    return f"p50 {statistics.median(taken):.2f} s, slowest {max(taken):.2f} s of {len(taken)}"


def kill_tree(stack: Stack) -> str:
    """Kill a whole worker tree, then put a new worker in its place."""
    taken = deaths.kill_worker_tree(stack, stack.workers[-1])
    stack.start_worker()
    return f"{taken:.2f} s"


DRILLS: dict[str, tuple[Drill, str]] = {
    "kill-work-horse": (lambda stack: seconds(deaths.kill_work_horse(stack, 20)), "at most 4 s, aim 1 s"),
    "retry-after-loss": (lambda stack: f"{deaths.retry_after_loss(stack):.2f} s", "a second attempt succeeds"),
    "kill-worker-tree": (lambda stack: seconds([float(kill_tree(stack).split()[0]) for _ in range(5)]), "at most 4 s"),
    "freeze-worker-tree": (
        lambda stack: f"{deaths.freeze_worker_tree(stack, stack.workers[-1]):.2f} s",
        "at most 15 s, nothing resurrected",
    ),
    "hold-the-lock": (lambda stack: ", ".join(deaths.hold_the_lock(stack, 40)), "never lost"),
    "cancel": (lambda stack: f"{deaths.cancel(stack):.2f} s", "confirmed"),
    "force-cancel": (
        lambda stack: ", ".join(
            f"{mode} {deaths.force_cancel(stack, mode):.2f} s" for mode in ("sleep", "spin", "hang_c", "children")
        ),
        "all processes gone within 5 s",
    ),
    "stop-taskstate": (lambda stack: f"{outages.stop_taskstate(stack, 20)} transitions", "attempt 1, nothing missed"),
    "kill-taskstate-twice": (
        lambda stack: f"{outages.kill_taskstate_twice(stack, 20)} transitions",
        "attempt 1, nothing missed",
    ),
    "postgres-away": (lambda stack: f"{outages.postgres_away(stack, 30, 45)} transitions", "30 s; no false loss"),
    "redis-away": (lambda stack: f"{outages.redis_away(stack, 10, 15)} transitions", "10 s; nothing lost"),
}


def main() -> int:
    """Run the named drills, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(DRILLS)}")
    names = parser.parse_args().names or list(DRILLS)
    if unknown := [name for name in names if name not in DRILLS]:
        parser.error(f"no such drill: {', '.join(unknown)}; there are {', '.join(DRILLS)}")
    return 1 if any([not ok for ok in run(names)]) else 0  # noqa: C419  # Every drill runs, also after one failed.


def run(names: list[str]) -> Iterator[bool]:
    """Run drills one after the other on one stack: two replicas, two schedulers, default settings."""
    with running_stack({}, workers=("default=2",)) as stack:
        for name in names:
            drill, promise = DRILLS[name]
            began = time.monotonic()
            try:
                figures, ok = drill(stack), True
            except AssertionError:
                # The drills after this one still tell something.
                figures, ok = traceback.format_exc(limit=-1), False
            took_s = time.monotonic() - began
            told = f"{'ok  ' if ok else 'FAIL'} {name:22} {figures}   (promised: {promise}; took {took_s:.0f} s)"
            print(told, flush=True)
            yield ok


if __name__ == "__main__":
    sys.exit(main())
