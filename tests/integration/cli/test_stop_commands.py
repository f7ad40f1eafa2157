"""`cancel`, `stale`, and what other commands show of a stop, against a scripted service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import grpc
import pytest
from taskstate.cli.app import app
from taskstate.v1 import maintenance_service_pb2 as maintenance
from taskstate.v1 import task_pb2
from taskstate.v1 import task_service_pb2 as pb
from typer.testing import CliRunner, Result

from tests.support.fake_task_service import FakeTaskService, at, fail, make_id, make_task, serving

Run = Callable[..., Result]
RUNNING, WAITING, ENDED, UNKNOWN = make_id(0xAAAA0001), make_id(0xBBBB0002), make_id(0xCCCC0003), make_id(0xDDDD0004)


@pytest.fixture
def service() -> FakeTaskService:
    service = FakeTaskService()
    service.add(
        make_task(0xAAAA0001, name="evil\x1b[2J"),
        make_task(0xBBBB0002, task_pb2.TASK_STATE_QUEUED),
        make_task(0xCCCC0003, task_pb2.TASK_STATE_SUCCEEDED),
    )
    return service


@pytest.fixture
def run(service, monkeypatch) -> Iterator[Run]:
    """Runs `taskstate` in this process against the service."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TZ", "UTC")
    with serving(service) as target:
        monkeypatch.setenv("TASKSTATE_TARGET", target)
        yield lambda *words: CliRunner().invoke(app, list(words))


def asked(service: FakeTaskService) -> list[tuple[str, bool]]:
    return [(request.task_id, request.force) for request in service.requests_of(pb.CancelTaskRequest)]


def test_a_running_task_is_asked_and_the_answer_says_what_comes(run, service):
    result = run("cancel", RUNNING[:8])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].startswith("evil␛[2J aaaa0001 Stop requested; over by ")
    assert result.stdout.splitlines()[1] == "See it end: taskstate watch aaaa0001"
    assert asked(service) == [(RUNNING, False)]
    assert {actor.partition(":")[0] for actor in service.actors} == {"cli"}


@pytest.mark.parametrize(
    ("task_id", "words", "said"),
    [
        (RUNNING, ["--force"], "Force cancelled; its process is being ended."),
        (WAITING, [], "Stopped; it had not started."),
        (WAITING, ["--force"], "Force cancelled; no process was running."),
    ],
)
def test_what_a_stop_did_at_once(run, service, task_id, words, said):
    result = run("cancel", *words, task_id)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].endswith(said)
    assert asked(service) == [(task_id, bool(words))]


def test_each_task_has_its_own_outcome_and_the_gravest_is_the_exit_code(run, service):
    result = run("cancel", RUNNING, ENDED, RUNNING, UNKNOWN, "eeee", WAITING)
    assert result.exit_code == 4
    first, second = result.stdout.splitlines()
    assert ("aaaa0001 Stop requested" in first, second) == (True, "canary bbbb0002 Stopped; it had not started.")
    complaints = result.stderr.splitlines()
    assert complaints[0] == "taskstate: cccc0003: The task has ended: SUCCEEDED. (TASK_TERMINAL)"
    assert "no task dddd0004" in complaints[1]
    assert "no task's id begins with eeee" in complaints[2]
    assert asked(service) == [(RUNNING, False), (ENDED, False), (UNKNOWN, False), (WAITING, False)]


def test_outcomes_as_json(run, service):
    result = run("cancel", "--json", "--force", RUNNING, ENDED, "eeee")
    assert result.exit_code == 4
    document = json.loads(result.stdout)
    assert (document["success"], document["counts"]) == (False, {"accepted": 1, "refused": 2})
    assert [(each["success"], each["reason"]) for each in document["results"]] == [
        (True, None), (False, "TASK_TERMINAL"), (False, "TASK_NOT_FOUND"),
    ]  # fmt: skip
    accepted = document["results"][0]
    assert (accepted["task"]["state"], accepted["task"]["cancel"]["force"]) == ("failed", True)
    assert accepted["message"] == "Force cancelled; its process is being ended."
    assert document["results"][1]["task"] is None
    alone = run("cancel", "--json", WAITING)
    assert (alone.exit_code, json.loads(alone.stdout)["success"]) == (0, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["cancel"], 2, "Missing argument"),
        (["cancel", UNKNOWN], 3, "TASK_NOT_FOUND"),
        (["cancel", ENDED], 4, "TASK_TERMINAL"),
        (["cancel", RUNNING, "xyz"], 2, "is no task id"),
        (["cancel", RUNNING, "--forced"], 2, "No such option"),
        (["cancel", *[make_id(number) for number in range(1001)]], 2, "at most 1000 tasks"),
        (["cancel", RUNNING, "--target", "127.0.0.1:1"], 5, "no TaskState answers"),
        (["stale", "--max-age", "soon"], 2, "no length of time"),
        (["stale", "--max-age", "-1h"], 2, "no length of time"),
        (["stale", "--limit", "0"], 2, "--limit"),
        (["stale", "--target", "127.0.0.1:1"], 5, "no TaskState answers"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else "",
)
def test_exit_codes_and_the_line_that_explains_them(run, service, words, code, said):
    result = run(*words)
    assert (result.exit_code, said in " ".join(result.output.split())) == (code, True), result.output
    if code == 2:
        assert asked(service) == []


def test_a_service_that_goes_away_is_not_asked_for_the_rest(run, service):
    service.failures["CancelTask"] = [fail(grpc.StatusCode.DEADLINE_EXCEEDED)]
    result = run("cancel", RUNNING, WAITING, ENDED)
    assert result.exit_code == 5
    assert asked(service) == [(RUNNING, False)]
    assert "did not answer in time" in result.stderr
    assert result.stderr.count("not asked, as TaskState did not answer before") == 2


def test_nothing_is_stale(run, service):
    assert run("stale").stdout == "Nothing is stale.\n"
    assert run("stale").exit_code == 0
    assert json.loads(run("stale", "--json").stdout) == {"items": [], "is_complete": True}


def test_stale_lists_the_longest_running_first_with_verdict_and_evidence(run, service):
    verdicts = [verdict for verdict in maintenance.SweepVerdict.values() if verdict]
    for number, verdict in enumerate([*verdicts, 99]):
        task = make_task(0x10 + number, start_time=at(100 - number), retry_on_loss=number == 1, max_attempts=2)
        item = maintenance.SweepItem(task_id=task.task_id, revision=7, verdict=verdict, why="w\x1bhy", task=task)
        service.sweep_items.append(item)
    result = run("stale", "--max-age", "1h")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0].split() == ["Verdict", "Task", "Worker", "Heard", "What", "a", "sweep", "does", "Why"]
    assert [line.partition("  ")[0] for line in lines[1:]] == [
        "Verdict 99", "Suspect", "Overdue", "Give up", "Cancel over", "Expired",
    ]  # fmt: skip
    assert "00000010 canary  w-1" in lines[6]
    assert "ends it as lost" in lines[6]
    assert lines[6].endswith("w␛hy")
    assert service.requests_of(maintenance.PlanSweepRequest)[0].max_age.seconds == 3600
    document = json.loads(run("stale", "--json").stdout)
    assert [item["verdict"] for item in document["items"]] == [
        "99", "suspect", "overdue", "give_up", "cancel_over", "expired",
    ]  # fmt: skip
    first = document["items"][-1]
    assert (first["task_id"], first["revision"], first["why"]) == (make_id(0x10), "7", "w\x1bhy")
    assert first["task"]["worker"]["worker_id"] == "w-1"
    assert document["is_complete"] is True


def test_stale_is_bounded_and_says_so(run, service):
    service.sweep_items = [
        maintenance.SweepItem(task_id=make_id(number), verdict=1, task=make_task(number)) for number in range(5)
    ]
    lines = run("stale", "--limit", "3").stdout.splitlines()
    assert len(lines) == 5
    assert lines[-1] == "The first 3 are shown, and there are more: --limit"
    assert json.loads(run("stale", "--json", "-n", "3").stdout)["is_complete"] is False


def test_lists_show_doubts_beside_the_state(run, service):
    service.add(
        make_task(1, liveness=task_pb2.LIVENESS_SUSPECT, suspect_until_time=at(0)),
        make_task(2, liveness=task_pb2.LIVENESS_UNRESPONSIVE),
        make_task(3, cancel=task_pb2.Cancel(request_time=at(3), deadline_time=at(18))),
    )
    lines = run("ls").stdout.splitlines()
    shown = {line.split("  ")[0]: line for line in lines}
    assert "Connection to the worker ended" in shown["Running, Suspect"]
    assert "Not counted as dead." in shown["Running, Unresponsive"]
    assert "Stop requested" in shown["Running, Cancelling"]


def test_show_prints_the_receipt_step_by_step(run, service):
    receipt = task_pb2.Cancel(request_time=at(3), deliver_time=at(3.004), deadline_time=at(18))
    service.add(make_task(1, cancel=receipt))
    lines = run("show", make_id(1)).stdout.splitlines()
    start = lines.index("stop")
    assert [line.split(maxsplit=1)[0] for line in lines[start + 1 : start + 6]] == [
        "Requested", "Delivered", "Signalled", "Exit", "Over",
    ]  # fmt: skip
    assert lines[start + 2].endswith("+4 ms")
    assert lines[start + 3].endswith("Signalled  not yet")
    assert lines[0].startswith("Running (Cancelling)")
