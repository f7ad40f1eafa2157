"""Every command against a scripted service: what it asks, what it prints, as text and as JSON, and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import grpc
import pytest
from taskstate.cli.app import app
from taskstate.v1 import task_pb2
from taskstate.v1 import task_service_pb2 as pb
from typer.testing import CliRunner, Result

from tests.support.fake_task_service import (
    FakeTaskService,
    at,
    fail,
    make_id,
    make_task,
    progress,
    serving,
    snapshot,
    transition,
)

UNUSED_PORT = "127.0.0.1:1"
TASK_ID = make_id(0x8F2C1A90)
OTHER_ID = make_id(0x8F2CFFFF)
Run = Callable[..., Result]


@pytest.fixture
def service() -> FakeTaskService:
    return FakeTaskService()


@pytest.fixture
def run(service, monkeypatch) -> Iterator[Run]:
    """Runs `taskstate` in this process against the service."""
    monkeypatch.setenv("COLUMNS", "120")
    with serving(service) as target:
        monkeypatch.setenv("TASKSTATE_TARGET", target)
        yield lambda *words: CliRunner().invoke(app, list(words))


def ended(state: task_pb2.TaskState, **fields) -> task_pb2.Task:
    return make_task(state=state, revision=20, **fields)


@pytest.mark.parametrize(
    ("words", "prepare", "code", "said"),
    [
        (["ls"], None, 0, "Nothing is running or waiting"),
        (["history"], None, 0, "No task has ended yet"),
        (["history", "--state", "lost"], None, 0, "No task matches."),
        (["run", "canary"], None, 0, "Waiting for dispatch"),
        (["show", TASK_ID], None, 3, "no task 8f2c1a90"),
        (["logs", TASK_ID], fail(grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND"), 3, "scripted (TASK_NOT_FOUND)"),
        (["watch", TASK_ID], None, 3, "TASK_NOT_FOUND"),
        (["watch", TASK_ID, OTHER_ID, "--json"], None, 3, "TASK_NOT_FOUND"),
        (["show", "8f2c"], None, 3, "no task's id begins with 8f2c"),
        (["show", "8f2"], None, 2, "at least its first 4 characters"),
        (["show", "x\x1by"], None, 2, "x␛y"),
        (["show"], None, 2, "Missing argument"),
        (["nonsense"], None, 2, "No such command"),
        (["run", "canary", "--priority", "11"], None, 2, "priority"),
        (["run", "canary", "-p", "seconds"], None, 2, "must be key=value"),
        (["run", "canary", "--payload", "[]"], None, 2, "must be a JSON object"),
        (["run", "canary", "--payload", "@/nowhere"], None, 2, "No such file"),
        (["run", "canary", "--timeout", "soon"], None, 2, "no length of time"),
        (["run", "canary", "--not-before", "soon"], None, 2, "is no time"),
        (["ls", "--state", "done"], None, 2, "must be one of"),
        (["ls", "--since", "9999999d"], None, 2, "longer than a century"),
        (["logs", TASK_ID, "--level", "loud"], None, 2, "must be one of"),
        (["ls", "--target", "a:1,b:2"], None, 2, "must be an IPv4 address"),
        (
            ["run", "NO"],
            fail(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "bad", [("type", "must match [a-z]")]),
            2,
            "type: must match [a-z]",
        ),
        (["run", "canary"], fail(grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_CONFLICT"), 4, "REQUEST_ID_CONFLICT"),
        (["run", "canary"], fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED"), 4, "LIMIT_EXCEEDED"),
        (["watch", "--target", UNUSED_PORT], None, 5, f"no TaskState answers at {UNUSED_PORT}. Start one"),
        (["ls"], fail(grpc.StatusCode.DEADLINE_EXCEEDED), 5, "did not answer in time"),
        (["run", "canary"], fail(grpc.StatusCode.INTERNAL, "INTERNAL"), 1, "scripted (INTERNAL)"),
        (["worker", "--tasks", "not-a-module", "--queues", "a=0"], None, 2, "TASKSTATE_TASKS"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_exit_codes_and_the_line_that_explains_them(run, service, words, prepare, code, said):
    methods = {"run": "CreateTask", "ls": "ListTasks", "logs": "ListTaskLogs"}
    if prepare is not None:
        service.failures[methods[words[0]]] = [prepare]
    result = run(*words)
    assert (result.exit_code, said in " ".join(result.output.split())) == (code, True), result.output
    assert "Traceback" not in result.output


def test_the_target_may_stand_before_the_command_and_wins_over_the_environment(run, monkeypatch):
    target = os.environ["TASKSTATE_TARGET"]
    monkeypatch.setenv("TASKSTATE_TARGET", UNUSED_PORT)
    assert run("--target", target, "ls").exit_code == 0


def test_run_sends_what_was_asked_for(run, service):
    result = run(
        "run", "canary", "-p", "seconds=5", "-p", "mode=sleep", "--queue", "q", "--group", "g", "--name", "n",
        "--request-id", "r-1", "--priority", "-3", "--timeout", "5m", "--stall-timeout", "30", "--max-attempts", "2",
        "--retry-on-loss", "--not-before", "2026-11-23T14:00:00Z", "--json",
    )  # fmt: skip
    request = service.requests_of(pb.CreateTaskRequest)[0]
    assert json.loads(request.payload) == {"seconds": 5, "mode": "sleep"}
    assert (request.queue, request.group, request.name, request.request_id) == ("q", "g", "n", "r-1")
    assert (request.priority, request.max_attempts, request.retry_on_loss) == (-3, 2, True)
    assert (request.timeout.seconds, request.stall_timeout.seconds) == (300, 30)
    assert request.not_before_time.ToJsonString() == "2026-11-23T14:00:00Z"
    assert request.trigger_source == "cli"
    document = json.loads(result.stdout)
    assert (document["task_id"], document["state"], document["preferences"]["seconds"]) == (TASK_ID, "pending", 5)
    assert {actor.partition(":")[0] for actor in service.actors} == {"cli"}


def test_a_payload_is_read_from_a_file_or_standard_input_and_sent_as_it_is(run, service, tmp_path):
    (tmp_path / "input.json").write_text('{"a":  1}')
    run("run", "canary", "--payload", f"@{tmp_path}/input.json")
    CliRunner().invoke(app, ["run", "canary", "--payload", "-"], input='{"b":  2}')
    assert [request.payload for request in service.requests_of(pb.CreateTaskRequest)] == ['{"a":  1}', '{"b":  2}']


def test_run_says_when_the_task_existed(run, service):
    service.existed = True
    assert "It existed already." in run("run", "canary", "--request-id", "r-1").stdout


@pytest.mark.parametrize(
    ("state", "code", "said"),
    [
        (task_pb2.TASK_STATE_SUCCEEDED, 0, "Succeeded: Finished in 41 s."),
        (task_pb2.TASK_STATE_FAILED, 1, "Failed: Ended with ValueError: bad."),
        (task_pb2.TASK_STATE_LOST, 1, "Lost: The worker vanished. The outcome is not known."),
        (task_pb2.TASK_STATE_CANCELLED, 1, "Cancelled: Stopped on request."),
    ],
)
def test_run_follow_prints_a_line_per_change_and_tells_how_it_ended(run, service, state, code, said):
    error = task_pb2.TaskError(type="builtins.ValueError", message="bad") if "ValueError" in said else None
    final = ended(state, error=error)
    phases = [task_pb2.Phase(id="fetch", state=task_pb2.PHASE_STATE_RUNNING, start_time=at(1), done=3, total=9)]
    running = make_task(revision=13, phases=phases, phase="fetch", progress=task_pb2.Progress(done=0, percent=33))
    done = task_pb2.Phase(
        id="fetch", state=task_pb2.PHASE_STATE_DONE, start_time=at(1), end_time=at(3), message="9 files"
    )
    queued = transition(make_task(state=task_pb2.TASK_STATE_QUEUED, revision=12), task_pb2.TASK_STATE_PENDING)
    queued.changes[0].ClearField("task")
    service.watches = [
        [
            snapshot(make_task(state=task_pb2.TASK_STATE_PENDING)),
            queued,
            transition(running, task_pb2.TASK_STATE_QUEUED),
            progress(make_task(revision=15, phases=[done])),
            lambda _context: service.add(final),
            transition(final, task_pb2.TASK_STATE_RUNNING, kind=task_pb2.TASK_EVENT_KIND_FINISHED),
        ]
    ]
    result = run("run", "canary", "--follow")
    assert result.exit_code == code, result.output
    lines = [line.split(" ", 3)[3] for line in result.stdout.splitlines()]
    assert lines[0] == "Pending: Accepted. Waiting for dispatch."
    assert lines[1] == "Queued"
    assert lines[2] == "phase fetch running"
    assert lines[3].startswith("Running: Attempt 1 of 1 on w-1, heard ")
    assert lines[4] == "33 %, fetch: 3 of 9"
    assert lines[5] == "phase fetch done in 2.0 s (9 files)"
    assert lines[6].startswith(said)
    assert "\x1b" not in result.stdout


def test_follow_as_json_ends_with_the_whole_result(run, service):
    service.watches = [
        [
            snapshot(make_task(state=task_pb2.TASK_STATE_PENDING)),
            lambda _context: service.add(ended(task_pb2.TASK_STATE_SUCCEEDED, result='{"n": 1}')),
            transition(ended(task_pb2.TASK_STATE_SUCCEEDED, result_omitted=True), task_pb2.TASK_STATE_RUNNING),
        ]
    ]
    result = run("run", "canary", "--follow", "--json")
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [sorted(document) for document in documents] == [
        ["event", "revision", "task"], ["checkpoint"], ["event", "revision", "task"], ["event", "revision", "task"],
    ]  # fmt: skip
    assert documents[2]["event"]["to"] == "succeeded"
    assert documents[3]["task"]["result"] == {"n": 1}


def test_a_broken_connection_is_told_and_the_following_goes_on(run, service):
    service.add(make_task())
    final = ended(task_pb2.TASK_STATE_SUCCEEDED)
    service.watches = [
        [snapshot(make_task()), fail(grpc.StatusCode.UNAVAILABLE)],
        [lambda _context: service.add(final), transition(final, task_pb2.TASK_STATE_RUNNING)],
    ]
    result = run("watch", TASK_ID)
    assert result.exit_code == 0
    assert "Connection lost at " in result.stdout
    assert "Back. Nothing was missed." in result.stdout


def test_ls_asks_for_active_tasks_and_prints_rows_that_are_whole(run, service):
    service.add(
        make_task(1, name="x" * 30, message="m"),
        make_task(2, task_pb2.TASK_STATE_QUEUED),
        make_task(3, task_pb2.TASK_STATE_SUCCEEDED),
    )
    result = run("ls")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["State", "Task", "Type", "Progress", "Created", "Standing"]
    assert lines[1].startswith(f"Running  00000001 {'x' * 30}")
    assert "2026-09-21T" in lines[1]
    assert lines[2].startswith("Queued   00000002")
    assert len(lines) == 3
    assert len(run("ls", "--all").stdout.splitlines()) == 4
    document = json.loads(run("ls", "--json", "--state", "SUCCESS").stdout)
    assert [task["task_id"] for task in document["tasks"]] == [make_id(3)]
    assert (document["next_page_token"], document["revision"]) == ("", "10")


def test_history_shows_ended_tasks_with_totals_and_the_next_page(run, service):
    service.add(*(ended(task_pb2.TASK_STATE_SUCCEEDED) for _ in range(1)))
    service.add(*(make_task(number, task_pb2.TASK_STATE_FAILED, items_processed=1204) for number in range(3)))
    result = run("history", "--limit", "2")
    assert result.stdout.splitlines()[-1] == "2 of 4 shown; the next ones: --page-token 2"
    assert "1,204 items" in run("history").stdout
    document = json.loads(run("history", "--json", "--limit", "2", "--page-token", "2").stdout)
    assert document["total_count"] == 4
    assert len(document["jobs"]) == 2
    assert document["jobs"][0]["execution_summary"]["state"] == "failed"


def test_show_prints_the_task_and_its_timeline(run, service):
    service.add(
        ended(
            task_pb2.TASK_STATE_FAILED,
            reason=task_pb2.TASK_REASON_ERROR,
            error=task_pb2.TaskError(type="builtins.ValueError", message="bad", traceback="line 1\nline 2\n"),
            payload='{"seconds": 5}',
        )
    )
    service.events = [
        task_pb2.TaskEvent(revision=number, kind=task_pb2.TASK_EVENT_KIND_CREATED, time=at(number), actor="http")
        for number in range(3)
    ]
    text = run("show", "8f2c1a90").stdout
    assert text.startswith(f"Failed  canary  {TASK_ID}\n")
    assert '  input      {"seconds": 5}' in text
    assert "(2 lines of traceback: --traceback)" in text
    assert len([line for line in text.splitlines() if "accepted" in line]) == 3
    assert "    line 2" in run("show", "#8F2C", "--traceback").stdout
    document = json.loads(run("show", TASK_ID, "--json").stdout)
    assert (document["state"], document["error"]["message"], len(document["events"])) == ("failed", "bad", 3)


def test_a_beginning_that_fits_several_tasks_changes_nothing(run, service):
    service.add(make_task(0x8F2C1A90), make_task(0x8F2CFFFF), make_task(3, name="about 8f2c"))
    result = run("show", "8f2c")
    assert result.exit_code == 2
    assert "several tasks' ids begin with 8f2c" in result.output
    assert run("show", "8f2cf").exit_code == 0
    service.page_limit = 1
    assert run("show", "8f2c1").exit_code == 0


def test_logs_are_filtered_escaped_and_resumable(run, service):
    service.add(ended(task_pb2.TASK_STATE_SUCCEEDED))
    service.lines = [
        task_pb2.LogLine(sequence=(1 << 32) + n, attempt=1, level=level, time=at(n), text=text, logger="x")
        for n, (level, text) in enumerate(
            [
                (task_pb2.LOG_LEVEL_INFO, "one\x1b[2J"),
                (task_pb2.LOG_LEVEL_ERROR, "two\n2026-01-01T00:00:00Z #1 INFO forged"),
                (task_pb2.LOG_LEVEL_INFO, "three"),
            ]
        )
    ]
    lines = run("logs", TASK_ID).stdout.splitlines()
    assert lines[0].endswith("#1 INFO     one␛[2J")
    assert lines[2].startswith("    2026-01-01")
    assert len(lines) == 4
    assert len(run("logs", TASK_ID, "--level", "error").stdout.splitlines()) == 2
    assert len(run("logs", TASK_ID, "--after", str((1 << 32) + 1)).stdout.splitlines()) == 1
    assert "no log lines match" in run("logs", TASK_ID, "--attempt", "7").stderr
    documents = [json.loads(line) for line in run("logs", TASK_ID, "--json", "--follow").stdout.splitlines()]
    assert [document["sequence"] for document in documents] == [str((1 << 32) + n) for n in range(3)]
    assert documents[0]["text"] == "one\x1b[2J"


def test_watch_of_several_ends_with_the_last_and_fails_if_one_did(run, service):
    service.add(make_task(1), make_task(2))
    told_later = transition(make_task(2), task_pb2.TASK_STATE_RUNNING, kind=task_pb2.TASK_EVENT_KIND_PHASE)
    told_later.changes[0].event.message = "fetch began"
    told_later.changes[0].ClearField("task")
    service.watches = [
        [
            snapshot(make_task(1), make_task(2)),
            transition(make_task(1, task_pb2.TASK_STATE_SUCCEEDED, revision=20), task_pb2.TASK_STATE_RUNNING),
            progress(make_task(2, revision=21, message="progress is no line")),
            told_later,
            transition(
                make_task(1, task_pb2.TASK_STATE_SUCCEEDED, revision=21),
                task_pb2.TASK_STATE_SUCCEEDED,
                kind=task_pb2.TASK_EVENT_KIND_EXITED,
            ),
            transition(make_task(2, task_pb2.TASK_STATE_LOST, revision=22), task_pb2.TASK_STATE_RUNNING),
        ]
    ]
    result = run("watch", make_id(1), make_id(2))
    assert result.exit_code == 1
    lines = [line.split(" ", 1)[1] for line in result.stdout.splitlines()]
    assert lines[0].startswith("canary 00000001 Running: Attempt 1 of 1 on w-1")
    assert lines[2] == "canary 00000001 Succeeded: Finished in 41 s."
    assert lines[3] == "canary 00000002 phase: fetch began"
    assert lines[4] == "canary 00000001 process exited"
    assert lines[5] == "canary 00000002 Lost: The worker vanished. The outcome is not known."
    assert len(lines) == 6


def test_watch_as_json_tells_resets_and_losses(run, service):
    service.add(make_task(1))
    service.watches = [
        [snapshot(make_task(1)), fail(grpc.StatusCode.UNAVAILABLE)],
        [fail(grpc.StatusCode.OUT_OF_RANGE, "COMPACTED")],
        [snapshot(make_task(1, task_pb2.TASK_STATE_SUCCEEDED, revision=30))],
    ]
    result = run("watch", make_id(1), "--json")
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert [next(iter(document)) for document in documents] == [
        "revision", "checkpoint", "interrupted", "reset", "revision",
    ]  # fmt: skip
    assert documents[3] == {"reset": {"reason": "COMPACTED"}}
    assert result.exit_code == 0


def test_watch_passes_its_filters_on(run, service):
    service.watches = [[fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED", "2,000 watches are open")]]
    result = run("watch", "--group", "agent", "--type", "a", "--type", "b", "--queue", "q", "--from-revision", "0")
    request = service.requests_of(pb.WatchTasksRequest)[0]
    assert (request.group, list(request.types), request.queue, request.from_revision) == ("agent", ["a", "b"], "q", 0)
    assert result.exit_code == 4
    assert "2,000 watches are open" in result.output


def test_help_and_version_load_nothing_slow():
    code = (
        "import sys; from taskstate.cli import main\n"
        "try: main()\n"
        "finally: print(sorted({'grpc', 'rq', 'redis', 'sqlalchemy'} & set(sys.modules)), file=sys.stderr)"
    )
    for option in ("--help", "--version"):
        done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, check=True)
        assert done.stderr.strip() == "[]"
        assert "taskstate" in done.stdout


def test_up_without_the_services_is_one_line(tmp_path):
    # As a wheel has it: the package alone, away from the checkout.
    code = (
        "import sys; from pathlib import Path; from taskstate.cli import main, up\n"
        "up.__file__ = '/nowhere/taskstate/cli/up.py'; sys.argv = ['taskstate', 'up', '--json']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "needs the services" in done.stderr
