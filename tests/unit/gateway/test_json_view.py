"""The one JSON shape: every key always there, and nothing a newer or broken service sends makes it fail."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from taskstate import json_view
from taskstate.v1 import maintenance_service_pb2 as maintenance
from taskstate.v1 import task_pb2 as pb

from services.gateway import answers

MICROSECOND = Timestamp(seconds=1_800_000_000, nanos=123_456_789)


def task(**fields) -> pb.Task:
    made = pb.Task(
        task_id="00000000-0000-4000-8000-000000000000", type="run_agent", state=pb.TASK_STATE_PENDING, revision=2**62
    )
    made.create_time.CopyFrom(MICROSECOND)
    made.MergeFrom(pb.Task(**fields))
    return made


def test_a_task_has_every_key_whatever_it_holds():
    bare, full = json_view.task_view(task()), json_view.task_view(whole_task())
    assert list(bare) == list(full)
    assert set(bare) == set(answers.Task.model_fields)
    for view in (bare, full):
        answers.Task.model_validate_json(json.dumps(view), strict=True)
    assert bare["revision"] == str(2**62)
    assert bare["create_time"] == "2027-01-15T08:00:00.123456Z"
    absent = ("reason", "phase", "heard_time", "worker", "wait_reason", "start_time", "end_time", "error", "result",
              "retry_of", "cancel", "execution_duration")  # fmt: skip
    assert {key: bare[key] for key in absent} == dict.fromkeys(absent)
    assert (bare["preferences"], bare["liveness"], bare["attempt"]) == ({}, "none", 0)
    assert bare["progress"] == {"done": 0, "total": None, "percent": None}


def whole_task() -> pb.Task:
    full = task(
        name="n", group="g", queue="q", state=pb.TASK_STATE_LOST, reason=pb.TASK_REASON_WORKER_LOST, attempt=2,
        max_attempts=3, phase="a.b", liveness=pb.LIVENESS_SUSPECT, wait_reason=pb.WAIT_REASON_NO_WORKER, result="[1.5]",
        payload='{"a": 9007199254740993}', retry_of="x", error=pb.TaskError(type="E", message="m", traceback="t"),
        worker=pb.Worker(worker_id="w", queues=["q"]), cancel=pb.Cancel(force=True, outcome=pb.CANCEL_OUTCOME_TOO_LATE),
        progress=pb.Progress(done=1.5, total=4, percent=37.5), phases=[pb.Phase(id="a", state=pb.PHASE_STATE_SKIPPED)],
    )  # fmt: skip
    full.start_time.CopyFrom(MICROSECOND)
    full.end_time.seconds, full.end_time.nanos = MICROSECOND.seconds + 90, MICROSECOND.nanos + 250_000_000
    return full


def test_words_and_numbers():
    view = json_view.task_view(whole_task())
    assert (view["state"], view["status"], view["reason"]) == ("lost", "FAILURE", "WORKER_LOST")
    assert (view["liveness"], view["wait_reason"]) == ("suspect", "no_worker")
    assert view["progress"] == {"done": 1.5, "total": 4, "percent": 37.5}
    assert isinstance(view["progress"]["total"], int)
    assert view["execution_duration"] == 90.25
    assert (view["preferences"], view["result"]) == ({"a": 9007199254740993}, [1.5])
    assert view["phases"][0]["state"] == "skipped"
    assert view["cancel"]["outcome"] == "too_late"
    assert not view["is_active"]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"name": "Mine"}, "Mine"),
        ({}, "Run agent"),
        ({"type": "kb.refresh_all"}, "Kb refresh all"),
        ({"type": "x"}, "X"),
    ],
)
def test_names_for_people(fields: dict[str, str], name: str):
    assert json_view.human_readable_name(task(**fields)) == name


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("pending", [1]), ("PENDING", [1, 2]), ("PROGRESS", [3]), ("RETRY", [4]), ("SUCCESS", [5]), ("FAILURE", [6, 8]),
        ("REVOKED", [7]), ("lost", [8]), ("running", [3]),
    ],
)  # fmt: skip
def test_filters_take_both_spellings(text: str, states: list[int]):
    assert json_view.state_from_text(text) == states


@pytest.mark.parametrize("text", ["", "Pending", "unspecified", "TASK_STATE_RUNNING", "RUNNING ", "*"])
def test_other_texts_are_no_state(text: str):
    with pytest.raises(ValueError, match="must be one of: pending, queued"):
        json_view.state_from_text(text)


def test_a_caller_may_change_the_list_it_gets():
    json_view.state_from_text("FAILURE").clear()
    assert json_view.state_from_text("FAILURE") == [6, 8]


@pytest.mark.parametrize(
    ("value", "written"),
    [(3.0, "3"), (0.5, "0.5"), (-0.0, "0"), (2.0**53, "9007199254740992"), (2.0**60, "1.152921504606847e+18")],
)
def test_doubles_as_people_write_them(value: float, written: str):
    assert json.dumps(json_view.to_json_number(value)) == written


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_say(value: float):
    with pytest.raises(ValueError, match="not a finite number"):
        json_view.to_json_number(value)
    progress = json_view.progress_view(pb.Progress(done=value, total=value, percent=value))
    assert progress == {"done": 0, "total": None, "percent": None}


def test_values_of_a_newer_service_are_shown_as_numbers():
    view = json_view.task_view(task(state=99, reason=98, wait_reason=97))
    assert (view["state"], view["status"], view["reason"], view["wait_reason"]) == ("99", "99", "98", "97")
    event = json_view.event_view(pb.TaskEvent(kind=77, to=99))
    assert (event["kind"], event["to"], event["from"]) == ("77", "99", None)


@pytest.mark.parametrize("text", ["{", "1" * 5000, "[" * 100_000 + "]" * 100_000])
def test_json_that_cannot_be_parsed_is_shown_as_text(text: str):
    assert json_view.parse_json(text) == text


def test_nan_in_a_result_is_null():
    assert json_view.parse_json('{"loss": NaN, "max": -Infinity}') == {"loss": None, "max": None}


def test_log_levels_letter_case_apart():
    assert json_view.log_level_from_text("warning") == pb.LOG_LEVEL_WARNING
    with pytest.raises(ValueError, match="DEBUG, INFO"):
        json_view.log_level_from_text("loud")


def test_the_module_never_imports_grpc():
    code = "import sys, taskstate.json_view; sys.exit(any(name.split('.')[0] == 'grpc' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("outcome", "word"), [(0, None), (1, "confirmed"), (2, "unconfirmed"), (3, "too_late"), (9, "9")]
)
def test_the_receipt_of_a_stop(outcome: int, word: str | None):
    receipt = pb.Cancel(force=True, request_time=MICROSECOND, signal_time=MICROSECOND, outcome=outcome)
    written = "2027-01-15T08:00:00.123456Z"
    assert json_view.task_view(task(cancel=receipt))["cancel"] == {
        "force": True,
        "request_time": written,
        "deliver_time": None,
        "signal_time": written,
        "exit_time": None,
        "deadline_time": None,
        "outcome": word,
    }


def test_liveness_and_the_kinds_of_events_have_their_words():
    assert [json_view.task_view(task(liveness=number))["liveness"] for number in range(4)] == [
        "none", "live", "suspect", "unresponsive",
    ]  # fmt: skip
    kinds = [json_view.event_view(pb.TaskEvent(kind=kind))["kind"] for kind in pb.TaskEventKind.values() if kind]
    assert {
        "cancel_requested",
        "cancel_advanced",
        "suspected",
        "resumed",
        "liveness",
        "expired",
        "given_up",
        "released",
    } <= {*kinds}
    assert not [kind for kind in kinds if kind.isdecimal()]


def test_what_a_sweep_would_do_with_a_task():
    item = maintenance.SweepItem(
        task_id="x", revision=2**62, verdict=maintenance.SWEEP_VERDICT_CANCEL_OVER, why="w", task=task()
    )
    assert json_view.sweep_item_view(item) == {
        "task_id": "x",
        "revision": str(2**62),
        "verdict": "cancel_over",
        "why": "w",
        "task": json_view.task_view(task()),
    }
