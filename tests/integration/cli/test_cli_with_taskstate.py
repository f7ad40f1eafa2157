"""The command line and the client against the real TaskState: a whole life, in a pipe and in a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import grpc
import psycopg2
import pytest
from taskstate.channel import sync_channel
from taskstate.cli.app import app
from taskstate.client import TaskStateClient
from taskstate.v1 import task_pb2
from typer.testing import CliRunner, Result

from services.up.embedded_postgres import EmbeddedPostgres
from tests.integration.cli.one_supervisor import OneSupervisor
from tests.support.processes import Processes
from tests.support.waiting import wait_until

DATABASE = "command_line"
COMMAND = [sys.executable, "-m", "taskstate.cli"]
# Ctrl-C typed into a terminal goes to the session whose terminal it is, so the command's own must be this one.
IN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


def fresh_database(server: EmbeddedPostgres, template: str, name: str) -> str:
    """A migrated database for the tests of one module; the URL."""
    with closing(psycopg2.connect(server.url("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"drop database if exists {name} with (force)")
            cursor.execute(f"create database {name} template {template} strategy file_copy")
    return server.url(name)


@pytest.fixture(scope="module")
def target(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """One TaskState for the tests here that leave it alive; each looks at its own task only."""
    database_url = fresh_database(postgres_server, migrated_template, DATABASE)
    with Processes() as processes:
        process = processes.start("services.taskstate", env={"TASKSTATE_DATABASE_URL": database_url})
        process.wait_for_event("ready")
        yield f"127.0.0.1:{process.port()}"
        process.stop()


@pytest.fixture
def channel(target: str) -> Iterator[grpc.Channel]:
    with sync_channel(target) as channel:
        yield channel


@pytest.fixture
def client(target: str) -> Iterator[TaskStateClient]:
    with TaskStateClient(target, actor="test") as client:
        yield client


def run(target: str, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--target", target])


class Following:
    """A command that runs on, in a pipe or in a terminal of 100 by 30; its output is read by a thread."""

    def __init__(self, target: str, words: Sequence[str], *, in_terminal: bool) -> None:
        environment = os.environ | {"TASKSTATE_TARGET": target, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            environment.pop(name, None)
        reading, writing = pty.openpty() if in_terminal else os.pipe()
        if in_terminal:
            fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.popen = subprocess.Popen(
            [*([sys.executable, "-c", IN_TERMINAL] if in_terminal else []), *COMMAND, *words],
            env=environment,
            stdin=writing if in_terminal else subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
        )
        os.close(writing)
        self.fd = reading
        self._bytes = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while chunk := os.read(self.fd, 65536):
                self._bytes += chunk
        except OSError:
            # A terminal whose last program has gone.
            return

    @property
    def output(self) -> str:
        return bytes(self._bytes).decode(errors="replace")

    def wait_for(self, pattern: str) -> None:
        wait_until(lambda: re.search(pattern, self.output), 20, what=f"{pattern!r} in the output")

    def end(self) -> int:
        code = self.popen.wait(20)
        self._reader.join(20)
        return code

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        self._reader.join(20)
        os.close(self.fd)


@pytest.fixture
def follow() -> Iterator[Callable[..., Following]]:
    """Starts commands that run on; what still runs at the end of the test is killed."""
    started: list[Following] = []

    def start(target: str, *words: str, in_terminal: bool) -> Following:
        started.append(Following(target, words, in_terminal=in_terminal))
        return started[-1]

    yield start
    for following in started:
        following.close()


def test_a_whole_life_is_shown_alike_by_every_command(target, client, channel):
    created = json.loads(run(target, "run", "whole_life", "-p", "n=1", "--name", "evil \u202e", "--json").stdout)
    task_id = created["task_id"]
    assert created["state"] == "pending"
    assert "Waiting for a worker that knows its type" in run(target, "ls", "--text", task_id).stdout
    with OneSupervisor(channel, "whole_life") as supervisor:
        supervisor.start(task_id)
        supervisor.phase("fetch", task_pb2.PHASE_STATE_RUNNING)
        supervisor.report(phase_id="fetch", done=3, total=9, message="three", items_processed=3)
        supervisor.log("one", "two\x1b]0;title\x07")
        assert "Running" in run(target, "show", task_id[:8]).stdout
        supervisor.phase("fetch", task_pb2.PHASE_STATE_DONE)
        supervisor.finish('{"found": 3}')
        task = client.wait(task_id, timeout=20)
    assert (task.state, task.result) == (task_pb2.TASK_STATE_SUCCEEDED, '{"found": 3}')
    assert "No task matches." in run(target, "ls", "--text", task_id).stdout
    assert "3 items" in run(target, "history", "--text", task_id).stdout
    shown = run(target, "show", task_id).stdout
    assert "evil \\u202e" in shown
    assert "fetch: done" in shown
    assert re.search(r"Queued → Running .* worker:w-1", shown)
    log = run(target, "logs", task_id).stdout.splitlines()
    assert log[0].endswith("INFO     one")
    assert log[1].endswith("two␛]0;title␇")
    document = json.loads(run(target, "show", task_id, "--json").stdout)
    assert document["result"] == {"found": 3}
    assert [event["to"] for event in document["events"] if event["from"] != event["to"]] == [
        "pending", "queued", "running", "succeeded",
    ]  # fmt: skip
    assert document["events"][0]["actor"].startswith("cli:")


def test_refusals_of_the_real_service_become_the_promised_exit_codes(target):
    unknown = "00000000-0000-4000-8000-000000000000"
    for words, code, said in (
        (["run", "Not A Type"], 2, "type: "),
        (["run", "job", "--request-id", "once", "-p", "n=1"], 0, "job"),
        (["run", "job", "--request-id", "once", "-p", "n=1"], 0, "It existed already."),
        (["run", "job", "--request-id", "once", "-p", "n=2"], 4, "REQUEST_ID_CONFLICT"),
        (["show", unknown], 3, "TASK_NOT_FOUND"),
        (["logs", unknown], 3, "TASK_NOT_FOUND"),
        (["watch", "--from-revision", "999999999", "--json", unknown], 3, "TASK_NOT_FOUND"),
        (["ls", "--page-token", "forged"], 2, "page_token"),
    ):
        done = run(target, *words)
        assert (done.exit_code, said in done.output) == (code, True), (words, done.output)


def test_a_terminal_shows_phases_live_and_gets_its_cursor_back(target, client, channel, follow):
    with OneSupervisor(channel, "job") as supervisor:
        task_id = client.create("job", name="kb-refresh").task_id
        view = follow(target, "watch", task_id, in_terminal=True)
        supervisor.start(task_id)
        view.wait_for("▷ Running.*kb-refresh")
        supervisor.phase("fetch", task_pb2.PHASE_STATE_RUNNING)
        supervisor.report(phase_id="fetch", done=1204, total=1980, message="page 61\x1b[31m")
        view.wait_for("1,204 of 1,980")
        view.wait_for(r"page 61␛\[31m")
        view.wait_for("Ctrl-C leaves it on")
        supervisor.finish("null")
        assert view.end() == 0
    assert "✓ Succeeded" in view.output
    assert view.output.rindex("\x1b[?25h") > view.output.rindex("\x1b[?25l")


def test_ctrl_c_in_a_terminal_leaves_the_task_on_and_says_so(target, client, follow):
    task_id = client.create("job").task_id
    view = follow(target, "watch", task_id, in_terminal=True)
    view.wait_for("Pending")
    os.write(view.fd, b"\x03")
    assert view.end() == 130
    assert f"The task goes on. See again: taskstate watch {task_id[:8]}" in view.output
    assert view.output.rindex("\x1b[?25h") > view.output.rindex("\x1b[?25l")
    assert client.get(task_id).state == task_pb2.TASK_STATE_PENDING


@pytest.mark.parametrize("ids", [1, 0])
def test_a_view_that_is_told_to_end_gives_the_cursor_back(target, client, follow, ids):
    task_id = client.create("job").task_id
    view = follow(target, "watch", *[task_id][:ids], in_terminal=True)
    view.wait_for("Pending")
    view.popen.send_signal(signal.SIGTERM)
    assert view.end() == 128 + signal.SIGTERM
    assert view.output.rindex("\x1b[?25h") > view.output.rindex("\x1b[?25l")
    assert "Traceback" not in view.output


def test_a_board_in_a_pipe_goes_on_through_a_restart_of_the_service(database_url, start_process, follow):
    environment = {"TASKSTATE_DATABASE_URL": database_url}
    first = start_process("services.taskstate", env=environment)
    first.wait_for_event("ready")
    port = first.port()
    target = f"127.0.0.1:{port}"
    with TaskStateClient(target) as client:
        client.create("job", name="before")
        board = follow(target, "watch", in_terminal=False)
        board.wait_for("before .* Pending: Accepted")
        first.send(signal.SIGKILL)
        board.wait_for("Connection lost at")
        second = start_process("services.taskstate", env=environment | {"TASKSTATE_GRPC_PORT": str(port)})
        second.wait_for_event("ready")
        board.wait_for("Back. Nothing was missed.")
        client.create("job", name="after")
        board.wait_for("after .* accepted")
    board.popen.send_signal(signal.SIGINT)
    assert board.end() == 130
    assert "\x1b" not in board.output
    assert board.output.count("before") == 1
