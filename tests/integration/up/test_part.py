"""Parts are real children here: small Python programs instead of services."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from services.up.account import launch_command
from services.up.part import Part, PartSpec
from services.up.problem import CannotStartError
from tests.support.waiting import await_until

READY = 'import json, time; print(json.dumps({"event": "listening"}), flush=True)\n'
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


class Parts:
    """Makes parts from Python programs, keeps what they notified, and stops them at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Part] = []
        self.notices: list[str] = []
        self.hurry = asyncio.Event()

    def start(self, program: str, stop_grace_s: float = 10) -> Part:
        spec = PartSpec(
            name="part",
            command=launch_command([sys.executable, "-I", "-c", program], None),
            environment={"PATH": os.defpath},
            folder=self._folder,
            log_folder=self._folder,
            stop_grace_s=stop_grace_s,
        )
        part = Part(spec, lambda _, text: self.notices.append(text))
        self._made.append(part)
        part.start()
        return part

    async def stop(self) -> None:
        self.hurry.set()
        for part in self._made:
            await part.stop(self.hurry)


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    made = Parts(tmp_path)
    yield made
    await made.stop()


def has_said_listening(part: Part) -> Callable[[], asyncio.Future[bool]]:
    async def is_ready() -> bool:
        return "listening" in part.events_seen

    return is_ready  # type: ignore[return-value]


async def ready(part: Part) -> Part:
    await part.wait_until_ready(has_said_listening(part), timeout_s=20)
    return part


async def test_a_part_that_dies_is_started_again(parts: Parts) -> None:
    part = await ready(parts.start(READY + "time.sleep(1000)"))
    first = part.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await await_until(lambda: part.pid != first and "listening" in part.events_seen)
    assert parts.notices[0].startswith("part was ended by SIGKILL")
    assert "Started again in 0.2 s" in parts.notices[0]


async def test_stopping_is_asked_for_and_reaps(parts: Parts) -> None:
    part = await ready(parts.start(READY + "time.sleep(1000)"))
    await part.stop(asyncio.Event())
    assert part.pid is not None
    assert not Path(f"/proc/{part.pid}").exists()
    assert parts.notices == []


async def test_a_part_that_does_not_stop_is_killed(parts: Parts) -> None:
    part = await ready(parts.start(STUBBORN + READY + "time.sleep(1000)", stop_grace_s=0.2))
    await part.stop(asyncio.Event())
    assert not Path(f"/proc/{part.pid}").exists()
    assert parts.notices == ["did not stop within 0.2 s and is killed"]


async def test_hurry_cuts_the_grace_short(parts: Parts) -> None:
    part = await ready(parts.start(STUBBORN + READY + "time.sleep(1000)", stop_grace_s=1000))
    stopping = asyncio.create_task(part.stop(parts.hurry))
    parts.hurry.set()
    async with asyncio.timeout(10):
        await stopping


async def test_a_stop_ends_the_wait_for_the_next_start(parts: Parts) -> None:
    part = await ready(parts.start(READY))
    await await_until(lambda: len(parts.notices) >= 3, what="three deaths, so the next wait is long")
    async with asyncio.timeout(1):
        await part.stop(asyncio.Event())


async def test_an_end_before_readiness_is_told_with_the_last_words(parts: Parts) -> None:
    part = parts.start("import sys; sys.exit('no such \\x1b setting')")
    with pytest.raises(
        CannotStartError, match=r"part ended with exit code 1: no such \\x1b setting \(log: .*part\.log\)"
    ):
        await ready(part)


async def test_a_part_that_never_gets_ready_is_told(parts: Parts) -> None:
    part = parts.start("import time; time.sleep(1000)")
    with pytest.raises(CannotStartError, match=r"was not ready within 0\.1 s") as problem:
        await part.wait_until_ready(has_said_listening(part), timeout_s=0.1)
    assert problem.value.exit_code == 5


async def test_a_child_left_behind_goes_with_its_part(parts: Parts, tmp_path: Path) -> None:
    """It holds the output open and ignores SIGTERM: neither keeps the part from being seen dead and stopped."""
    program = (
        "import subprocess, sys, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-I', '-c', 'import signal, time; "
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)'])\n"
        f"pathlib.Path({str(tmp_path / 'child')!r}).write_text(str(child.pid))\n" + READY + "time.sleep(1000)"
    )
    part = await ready(parts.start(program))
    child = int((tmp_path / "child").read_text())
    await part.stop(asyncio.Event())
    await await_until(lambda: _is_gone(child))


async def test_a_warning_in_the_log_is_noticed(parts: Parts, tmp_path: Path) -> None:
    warning = 'print(json.dumps({"level": "WARNING", "message": "the broker is away"}), flush=True)\n'
    await ready(parts.start("import json\n" + warning + READY + "time.sleep(1000)"))
    assert parts.notices == ["the broker is away"]
    assert b"the broker is away" in (tmp_path / "part.log").read_bytes()


async def test_a_task_of_one_step_tells_its_exit_code(parts: Parts) -> None:
    await parts.start("print('done')").wait_until_ended()
    with pytest.raises(CannotStartError, match="ended with exit code 3"):
        await parts.start("raise SystemExit(3)").wait_until_ended()


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
