"""Start real service processes in a test, read the port from their `listening` log line, and see them end well."""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from services.up.account import launch_command
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
_LINES_KEPT_MAX = 5_000
_STOP_TIMEOUT_S = 30


class Process:
    """One running child: `python -m MODULE ...`. Its output (both streams) is kept, the newest 5,000 lines of it."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.name = name
        self.lines: collections.deque[str] = collections.deque(maxlen=_LINES_KEPT_MAX)
        self.popen = subprocess.Popen(
            # The kernel kills it if this test process dies, whatever kills us.
            launch_command(list(command), None),
            env={**os.environ, **env},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {name}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def pid(self) -> int:
        """Process id; that of the service itself, as the launcher execs it."""
        return self.popen.pid

    @property
    def output(self) -> str:
        """Everything it has written that is still kept."""
        return "\n".join(self.lines)

    def events(self, event: str | None = None) -> list[dict[str, Any]]:
        """Parsed JSON log records, all or those of one `event`."""
        records = []
        for line in list(self.lines):
            if line.startswith("{"):
                try:
                    records.append(json.loads(line))
                except ValueError:
                    continue
        return [record for record in records if event is None or record.get("event") == event]

    def wait_for_event(self, event: str, timeout: float = 30) -> dict[str, Any]:
        """Wait for the first log record of this event; AssertionError with the output if it ends without one."""

        def found() -> dict[str, Any] | None:
            ended = self.popen.poll() is not None
            if ended:
                self._reader.join(timeout=5)
            records = self.events(event)
            if not records and ended:
                message = f"{self.name} ended with {self.popen.returncode} before '{event}':\n{self.output[-3000:]}"
                raise AssertionError(message)
            return records[0] if records else None

        record = wait_until(found, timeout, what=f"'{event}' logged by {self.name}")
        assert record is not None
        return record

    def port(self, timeout: float = 30) -> int:
        """The port of its `listening` log line."""
        return int(self.wait_for_event("listening", timeout)["port"])

    def send(self, how: signal.Signals) -> None:
        """Send a signal to the process alone."""
        self.popen.send_signal(how)

    def wait(self, timeout: float = _STOP_TIMEOUT_S) -> int:
        """Wait for its end and return the exit code, with all output read."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end in {timeout:g} s:\n{self.output[-3000:]}") from None
        self._reader.join(timeout=5)
        return code

    def stop(self, how: signal.Signals = signal.SIGTERM, expect: int | None = 0) -> int:
        """Ask it to stop, wait, and check the exit code (`expect=None`: any)."""
        self.send(how)
        code = self.wait()
        assert expect is None or code == expect, f"{self.name} ended with {code}:\n{self.output[-3000:]}"
        return code

    def kill(self) -> None:
        """Kill it, with its process group, if it still runs; for clean-up."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait(timeout=_STOP_TIMEOUT_S)
        self._reader.join(timeout=5)
        if self.popen.stdout is not None and not self._reader.is_alive():
            self.popen.stdout.close()


class ProcessStarter(Protocol):
    """The `start_process` fixture: `start_process("services.gateway", env={...})` runs `python -m services.gateway`."""

    def __call__(self, module: str, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
        """Start the module with these command line arguments, and `env` on top of our environment."""
        ...


class Processes:
    """All processes of one test, killed at its end, newest first."""

    def __init__(self) -> None:
        self._started: list[Process] = []

    def start(self, module: str, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
        """See ProcessStarter. Ports default to 0 (any free one), and log lines are JSON."""
        defaults = {"TASKSTATE_GRPC_PORT": "0", "TASKSTATE_HTTP_PORT": "0", "TASKSTATE_LOG_FORMAT": "json"}
        process = Process(module, [sys.executable, "-m", module, *arguments], {**defaults, **(env or {})})
        self._started.append(process)
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            process.kill()
