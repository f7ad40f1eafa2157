"""Notice that the `make` which started us was interrupted.

GNU make passes SIGTERM on to the command it runs, but on SIGINT and SIGHUP it only waits for the command to end: at a
terminal the command gets the signal too, as a member of the group. When somebody sends SIGINT to make *alone*
(`kill -INT`, a process manager), nobody would tell us, and make would wait for ever. What shows is make's own signal
handling: on entering its handler it sets the signal back to its default, so that it is no longer among the signals
the process catches, which the kernel tells in /proc. As make catches these signals from its very start, one that it neither
catches nor ignores at our first look came before that look.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

_INTERVAL_S = 0.2
_STOPPING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


_MAKES = ("Name:\tmake\n", "Name:\tgmake\n")


def caught_signals(status: str) -> frozenset[signal.Signals]:
    """Which of HUP, INT and TERM a process catches, by the text of its /proc/PID/status."""
    return _signals(status, "SigCgt:")


def expected_signals(status: str) -> frozenset[signal.Signals]:
    """Which of them it has to go on catching: of a make all that it does not ignore, of others what it catches now."""
    if status.startswith(_MAKES):
        return frozenset(_STOPPING) - _signals(status, "SigIgn:")
    return caught_signals(status)


def _signals(status: str, mask_name: str) -> frozenset[signal.Signals]:
    for line in status.splitlines():
        if line.startswith(mask_name):
            mask = int(line.split()[1], 16)
            return frozenset(number for number in _STOPPING if mask >> (number - 1) & 1)
    return frozenset()


async def wait_until_parent_gives_up(parent: int) -> None:
    """Return when the parent process has ended, or no longer catches a stopping signal that it caught before."""
    expected = expected_signals(_status(parent))
    while os.getppid() == parent and expected <= caught_signals(_status(parent)):  # noqa: ASYNC110 - the kernel offers nothing to wait on
        await asyncio.sleep(_INTERVAL_S)


def _status(process: int) -> str:
    try:
        return Path(f"/proc/{process}/status").read_text()
    except OSError:
        return ""
