from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from services.up import make_watch
from services.up.make_watch import caught_signals, expected_signals, wait_until_parent_gives_up


def test_caught_signals_are_read_from_the_status_file() -> None:
    assert caught_signals("Name:\tmake\nSigCgt:\t0000000000004003\n") == {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
    assert caught_signals("SigIgn:\tffff\nSigCgt:\t0000000000000000\n") == frozenset()
    assert caught_signals("") == frozenset()


def test_a_make_that_was_interrupted_before_the_first_look_has_given_up_too() -> None:
    caught, interrupted, ignoring = (
        f"Name:\tmake\nUmask:\t0022\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n"
        for ignored, caught in ((0, 0x4003), (0, 0x4001), (0x2, 0x4001))
    )
    assert expected_signals(caught) == caught_signals(caught)
    assert expected_signals(interrupted) - caught_signals(interrupted) == {signal.SIGINT}
    assert expected_signals(ignoring) == caught_signals(ignoring)
    shell = interrupted.replace("make", "sh")
    assert expected_signals(shell) == caught_signals(shell)


async def test_a_parent_that_is_another_by_now_has_given_up() -> None:
    async with asyncio.timeout(5):
        await wait_until_parent_gives_up(os.getppid() + 1)


@pytest.fixture
def shell() -> Iterator[subprocess.Popen[str]]:
    """A process that catches SIGINT until it is told not to."""
    process = subprocess.Popen(
        ["sh", "-c", "trap : INT TERM; echo; read line; trap - INT TERM; echo; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.communicate()


async def test_a_parent_that_stops_catching_a_signal_gives_up(
    shell: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_watch.os, "getppid", lambda: shell.pid)
    assert shell.stdin is not None
    waiting = asyncio.create_task(wait_until_parent_gives_up(shell.pid))
    done, _ = await asyncio.wait([waiting], timeout=0.5)
    assert not done
    shell.stdin.write("\n")
    async with asyncio.timeout(5):
        await waiting
