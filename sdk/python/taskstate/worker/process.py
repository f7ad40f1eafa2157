"""What a worker asks of the Linux kernel: to die with its parent, to adopt orphans, to see deaths, to kill safely.

Facts this rests on, all measured:

- A parent-death signal fires when the parent's *thread* that forked ends; a fork's child does not inherit it, an exec
  keeps it, setuid clears it. A parent that died before it was set is not reported: compare ``getppid()`` afterwards.
- A child subreaper adopts the orphans of its descendants. It is not inherited by fork. Adoption raises no SIGCHLD.
- A pidfd becomes readable when its process dies, also for a process that is not one's child.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taskstate.v1 import task_pb2

if TYPE_CHECKING:
    import resource
    from collections.abc import Collection

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_PROC: Final = Path("/proc")
SWEEP_TIMEOUT_S: Final = 5.0
"""How long a sweep goes on; only a process stuck in the kernel takes longer to die."""

SWEEP_INTERVAL_S: Final = 0.001

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent dies; ends the process at once if the parent has died already.

    Call it first thing after a fork or an exec. ``parent_pid``: who the parent must be.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)


def become_subreaper() -> None:
    """Have orphans of this process's descendants become its children, so that it can kill and reap them."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def name_process(name: str) -> None:
    """Set the short name that ``ps -o comm`` and ``top`` show, 15 bytes at most."""
    _prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]))


def _prctl(option: int, argument: int | ctypes.c_char_p) -> None:
    if _libc.prctl(option, argument, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def parent_of(pid: int) -> int | None:
    """The parent's pid, or None when there is no such process."""
    fields = _stat_of(pid)
    return int(fields[1]) if fields else None


def start_time_of(pid: int) -> int | None:
    """When the process started, in clock ticks since the host's boot; None when there is none, or it has died.

    With the pid it names a process for as long as the host runs: pids come back, and not with the same start.
    """
    fields = _stat_of(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def _stat_of(pid: int) -> list[str]:
    """The fields of a process from its state on; empty when there is no such process."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The command's name is in brackets and may hold anything, brackets included; the fields begin after the last one.
    return stat.rpartition(")")[2].split()


def children_of(pid: int) -> list[int]:
    """The pids of a process's children, zombies included."""
    pids = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())
    return [child for child in pids if parent_of(child) == pid]


def has_ended(pidfd: int) -> bool:
    """Whether the process behind the pidfd has died, reaped or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def kill_group(pid: int, pidfd: int, how: signal.Signals = signal.SIGKILL) -> bool:
    """Signal the process and its whole group. Answers whether it was still there.

    The group is signalled only if the process leads it and it is not our own: a work-horse that has not made its group
    yet is still in its RQ worker's, and a pid that came back belongs to a stranger. The pidfd rules the latter out.
    """
    if has_ended(pidfd):
        return False
    with contextlib.suppress(ProcessLookupError):
        if os.getpgid(pid) == pid and pid != os.getpgrp():
            os.killpg(pid, how)
        else:
            signal.pidfd_send_signal(pidfd, how)
        return True
    return False


@dataclass
class Sweep:
    """Kills and reaps every child of this process but those of ``keep``, and what they leave behind, to the last.

    ``step`` until it answers True, with a moment between: a killed process takes a little to become a zombie, and there
    is nothing to wait on that covers adopted ones too. Costs one system call when there is no child.
    """

    keep: Collection[int] = ()
    killed: set[int] = field(default_factory=set)
    """The processes that still ran."""
    exits: dict[int, task_pb2.ProcessExit] = field(default_factory=dict)
    """What the operating system told about each process that was reaped, by pid."""

    def step(self) -> bool:
        """Kill and reap what is there now. Answers True when nothing is left."""
        if not _has_children():
            return True
        others = [pid for pid in children_of(os.getpid()) if pid not in self.keep]
        for pid in others:
            reaped, status, usage = os.wait4(pid, os.WNOHANG)
            if reaped:
                self.exits[pid] = process_exit(status, usage)
            else:
                self.killed.add(pid)
                os.kill(pid, signal.SIGKILL)
        return not others


def sweep_children() -> Sweep:
    """Sweep all children of this process. Blocks until they are gone, ``SWEEP_TIMEOUT_S`` at most."""
    sweep = Sweep()
    deadline = time.monotonic() + SWEEP_TIMEOUT_S
    while not sweep.step() and time.monotonic() < deadline:
        time.sleep(SWEEP_INTERVAL_S)
    return sweep


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def process_exit(status: int, usage: resource.struct_rusage) -> task_pb2.ProcessExit:
    """What wait4 told, as the API says it."""
    exited = task_pb2.ProcessExit(
        exit_code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
        signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        peak_memory_bytes=usage.ru_maxrss * 1024,
    )
    exited.cpu_time.FromMicroseconds(round((usage.ru_utime + usage.ru_stime) * 1e6))
    return exited
