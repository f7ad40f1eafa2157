"""One part of the stack: a child process in the foreground, started again with back-off until it is told to stop.

A part runs in its own process group, so that a Ctrl-C at the terminal reaches `up` alone and the order of stopping
stays ours. Its end is seen through a pidfd rather than through the end of its output, which a process that the part
has started and left behind could keep open. All of this runs on the event loop's thread, which must be the main
thread: the kernel kills a part when the *thread* that started it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from services.up.backoff import Backoff
from services.up.log_line import parse, printable
from services.up.part_log import PartLog
from services.up.problem import UNAVAILABLE, CannotStartError
from services.up.process_end import call_at_end

_READ_BYTES = 64 * 1024
_READY_INTERVAL_S = 0.05


@dataclass(frozen=True)
class PartSpec:
    """How to run a part: a command that stays in the foreground (see `account.launch_command`) and its environment."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    folder: Path
    log_folder: Path
    stop_signal: signal.Signals = signal.SIGTERM
    # How long it may take to stop by itself before it is killed.
    stop_grace_s: float = 10.0


class Part:
    """A supervised child. `start()`, `wait_until_ready()`, then it is kept running until `stop()`."""

    def __init__(self, spec: PartSpec, notice: Callable[[str, str], None]) -> None:
        """`notice(part, text)` is told what a person at the terminal should see: warnings, deaths, restarts."""
        self.name = spec.name
        self._spec = spec
        self._notice = notice
        self._log = PartLog(spec.log_folder / f"{spec.name}.log", self._on_line)
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = asyncio.Event()
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._output = -1
        # Event words that the running process has logged; the readiness of some parts is one of them.
        self.events_seen: set[str] = set()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process. It is not started again before `wait_until_ready` has seen it ready once."""
        self._spawn()

    async def wait_until_ready(self, is_ready: Callable[[], Awaitable[bool]], timeout_s: float) -> None:
        """Wait for the first readiness, then keep the part running.

        Raises CannotStartError if the process ends before that, with its last words, or if the time runs out.
        """
        give_up = time.monotonic() + timeout_s
        while not await is_ready():
            if self._ended.is_set():
                raise CannotStartError(self._end_in_words(), UNAVAILABLE)
            if time.monotonic() > give_up:
                text = f"{self.name} was not ready within {timeout_s:g} s: see {self._log.path}."
                raise CannotStartError(text, UNAVAILABLE)
            await _wait_for(self._ended, _READY_INTERVAL_S)
        self._keeper = asyncio.create_task(self._keep_running(), name=f"keep {self.name} running")

    async def wait_until_ended(self) -> None:
        """For a part that does one thing: wait for its end; CannotStartError if that is not exit code 0."""
        await self._ended.wait()
        if self._process is not None and self._process.returncode != 0:
            raise CannotStartError(self._end_in_words(), UNAVAILABLE)

    async def stop(self, hurry: asyncio.Event) -> None:
        """Stop the process: its stop signal, a grace (none once `hurry` is set), SIGKILL for its group. Idempotent."""
        self._stopping.set()
        if self._keeper is not None:
            await self._keeper
        if self._process is not None and not self._ended.is_set():
            self._send(self._spec.stop_signal)
            await _first_of(self._ended, hurry, timeout_s=self._spec.stop_grace_s)
            if not self._ended.is_set():
                if not hurry.is_set():
                    self._notice(self.name, f"did not stop within {self._spec.stop_grace_s:g} s and is killed")
                self._send_group(signal.SIGKILL)
                await self._ended.wait()
        self._log.close()

    def _spawn(self) -> None:
        self.events_seen.clear()
        self._ended.clear()
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            self._process = subprocess.Popen(
                self._spec.command,
                env=dict(self._spec.environment),
                cwd=self._spec.folder,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                process_group=0,
            )
        except OSError as error:
            os.close(reader)
            raise CannotStartError(f"{self.name} cannot be started: {error}.", UNAVAILABLE) from error
        finally:
            os.close(writer)
        os.set_blocking(reader, False)
        self._output = reader
        asyncio.get_running_loop().add_reader(reader, self._read_output)
        call_at_end(self._process.pid, partial(self._on_end, self._process))

    def _read_output(self) -> None:
        """Read what is there; at the end of the output, which may come before or after the process's, stop looking."""
        try:
            output = os.read(self._output, _READ_BYTES)
        except BlockingIOError:
            return
        if output:
            self._log.write(output)
        else:
            asyncio.get_running_loop().remove_reader(self._output)

    def _on_end(self, process: subprocess.Popen[bytes]) -> None:
        """The process has ended: take what else it said, end what it left in its group, reap it."""
        asyncio.get_running_loop().remove_reader(self._output)
        with contextlib.suppress(BlockingIOError):
            while output := os.read(self._output, _READ_BYTES):
                self._log.write(output)
        os.close(self._output)
        # Before reaping: until then nobody else can get this number, so the group is certainly ours.
        self._send_group(signal.SIGKILL)
        process.wait()
        self._ended.set()

    async def _keep_running(self) -> None:
        """Start it again whenever it ends, until told to stop."""
        backoff, started = Backoff(), time.monotonic()
        while True:
            await _first_of(self._ended, self._stopping)
            if self._stopping.is_set():
                return
            delay = backoff.delay_s(time.monotonic() - started)
            self._notice(self.name, f"{self._end_in_words()} Started again in {delay:g} s.")
            if await _wait_for(self._stopping, delay):
                return
            started = time.monotonic()
            try:
                self._spawn()
            except CannotStartError as problem:
                # Out of memory or processes, perhaps for a moment: `ended` stays set, so the loop comes back here.
                self._notice(self.name, str(problem))
                self._ended.set()

    def _end_in_words(self) -> str:
        code = self._process.returncode if self._process else None
        was_killed = code is not None and code < 0
        how = f"was ended by {signal.Signals(-code).name}" if code and was_killed else f"ended with exit code {code}"
        # Who is killed did not know it: its last words are about something else.
        words = "" if was_killed else printable(self._last_words())
        return f"{self.name} {how}{f': {words}' if words else ''} (log: {self._log.path})."

    def _last_words(self) -> str:
        last = self._log.last_words()
        return parse(last).shown or ("" if last.startswith("{") else last)

    def _on_line(self, line: str) -> None:
        said = parse(line)
        if said.event and len(self.events_seen) < 100:
            self.events_seen.add(said.event)
        if said.shown and not self._stopping.is_set():
            self._notice(self.name, said.shown)

    def _send(self, how: signal.Signals) -> None:
        """Signal the process alone: those in its group are its own business as long as it lives."""
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, how)

    def _send_group(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, how)


async def _wait_for(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for the event at most so long; whether it is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
    return event.is_set()


async def _first_of(*events: asyncio.Event, timeout_s: float | None = None) -> None:
    """Wait until one of the events is set, or the time has passed."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
