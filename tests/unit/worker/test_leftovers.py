"""Which processes count as left by a dead supervisor, and which are spared.

Tests run beside others that start supervisors, and any of these may be the one that kills: so it is asked whether they
end, and not who ended them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from taskstate.worker import leftovers
from taskstate.worker.process import start_time_of
from taskstate.worker.rq_worker_main import ENV_MARK

Starter = Callable[[str], subprocess.Popen[bytes]]
SLEEP = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]


@pytest.fixture
def sleeper() -> Iterator[Starter]:
    """Starts processes that sleep, each with a mark."""
    started: list[subprocess.Popen[bytes]] = []

    def start(mark: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            SLEEP, env={**os.environ, ENV_MARK: mark}, stdout=subprocess.PIPE, start_new_session=True
        )
        started.append(process)
        assert process.stdout is not None
        # It has been exec'd, so its environment is its own.
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def dead_mark() -> str:
    """The mark of a supervisor that has ended."""
    with subprocess.Popen(SLEEP, stdout=subprocess.PIPE) as process:
        mark = f"{process.pid}.{start_time_of(process.pid)}"
        process.kill()
    return mark


def test_what_carries_the_mark_of_a_dead_supervisor_is_killed(sleeper: Starter, dead_mark: str) -> None:
    left = [sleeper(dead_mark), sleeper(dead_mark)]
    leftovers.kill_leftovers()
    assert [process.wait(5) for process in left] == [-signal.SIGKILL] * 2


def test_a_pid_that_came_back_does_not_make_its_supervisor_alive(sleeper: Starter) -> None:
    left = sleeper(f"{os.getpid()}.1")
    leftovers.kill_leftovers()
    assert left.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize("mark", ["", "1", "x.y", "1.2.3", "-1.5", "7."])
def test_what_is_no_mark_is_not_obeyed(sleeper: Starter, mark: str) -> None:
    kept = sleeper(mark)
    assert kept.pid not in leftovers.kill_leftovers()
    assert kept.poll() is None


def test_what_a_living_supervisor_has_is_spared(sleeper: Starter) -> None:
    kept = sleeper(leftovers.own_mark())
    assert kept.pid not in leftovers.kill_leftovers()
    assert kept.poll() is None


def test_a_supervisor_that_has_died_and_was_not_reaped_is_dead(sleeper: Starter) -> None:
    supervisor = sleeper("")
    left = sleeper(f"{supervisor.pid}.{start_time_of(supervisor.pid)}")
    supervisor.kill()
    os.waitid(os.P_PID, supervisor.pid, os.WEXITED | os.WNOWAIT)
    leftovers.kill_leftovers()
    assert left.wait(5) == -signal.SIGKILL


def test_the_line_above_a_supervisor_is_spared(sleeper: Starter, dead_mark: str) -> None:
    """A supervisor that a task started carries the mark of that task's supervisor, which may be dead."""
    program = (
        "from taskstate.worker.leftovers import kill_leftovers\n"
        "import os\n"
        "print(sorted(kill_leftovers() & {os.getpid(), os.getppid()}))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, ENV_MARK: dead_mark},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "[]\n"
