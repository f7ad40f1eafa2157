"""What outlived a supervisor that was killed: processes its tasks had started, which nobody is left to sweep.

RQ workers and work-horses die with their supervisor. What a task had exec'd does not: the kernel gives it to init. All of
it carries the supervisor's mark in its environment, the pid and the start time, which together no other process has.
The next supervisor of the same user on the host, or in the same container, looks for marks of supervisors that are gone,
and kills what carries one. What runs in another pid namespace is not looked at: its pids mean other processes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import time
from pathlib import Path
from typing import Final

from taskstate.worker.process import parent_of, start_time_of
from taskstate.worker.rq_worker_main import ENV_MARK

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 5.0
"""How long to go on while more appear: a leftover may fork until it is killed itself."""
LOOK_INTERVAL_S: Final = 0.005
_PROC: Final = Path("/proc")
_MARK: Final = re.compile(rb"(?:^|\0)" + ENV_MARK.encode() + rb"=([0-9]{1,10})\.([0-9]{1,20})(?:\0|$)")


def own_mark() -> str:
    """The mark of this process, as supervisor."""
    return f"{os.getpid()}.{start_time_of(os.getpid())}"


def kill_leftovers() -> set[int]:
    """Kill every process that carries the mark of a dead supervisor; answers their pids.

    Blocks until none is left, 5 s at most. This process and those above it are spared: a supervisor may itself have been
    started by a task.
    """
    spared = _own_line()
    killed: set[int] = set()
    deadline = time.monotonic() + TIMEOUT_S
    while found := [pid for pid in _own_processes() if pid not in spared and _kill_if_leftover(pid)]:
        killed.update(found)
        if time.monotonic() > deadline:
            log.error("some leftovers do not die: %s", found, extra={"event": "leftovers_remain"})
            break
        time.sleep(LOOK_INTERVAL_S)
    if killed:
        log.warning(
            "killed %d processes that tasks of a dead supervisor had left: %s",
            len(killed),
            sorted(killed),
            extra={"event": "leftovers_killed", "pids": sorted(killed)},
        )
    return killed


def _kill_if_leftover(pid: int) -> bool:
    try:
        # First the pidfd, then the look: so the process that was looked at is the one that is killed.
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not _is_leftover(pid):
            return False
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return True
    finally:
        os.close(pidfd)


def _is_leftover(pid: int) -> bool:
    try:
        if (_PROC / str(pid) / "ns/pid").readlink() != (_PROC / "self/ns/pid").readlink():
            return False
        # Empty for a process that has died and was not reaped.
        match = _MARK.search((_PROC / str(pid) / "environ").read_bytes())
    except OSError:
        # It has gone meanwhile, or made itself unreadable.
        return False
    return match is not None and start_time_of(int(match[1])) != int(match[2])


def _own_processes() -> list[int]:
    """The pids of this user's processes."""
    pids = []
    for entry in _PROC.iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and entry.stat().st_uid == os.geteuid():
                pids.append(int(entry.name))
    return pids


def _own_line() -> set[int]:
    """This process, and those above it."""
    line: set[int] = set()
    pid: int | None = os.getpid()
    while pid and pid not in line:
        line.add(pid)
        pid = parent_of(pid)
    return line
