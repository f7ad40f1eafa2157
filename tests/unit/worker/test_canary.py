"""The canary, without a worker."""

from __future__ import annotations

import subprocess

import pytest
from taskstate import Fatal, TaskCancelled, TaskContext
from taskstate.worker.outgoing import Outgoing

from workers.canary import MODES, CanaryFailure, Order, canary, read_order


@pytest.mark.parametrize("mode", ["sleep", "spin", "stall", "hang_c"])
def test_modes_that_end_well(mode: str) -> None:
    outgoing = Outgoing()
    context = TaskContext(payload={"seconds": 0.05, "steps": 5, "mode": mode, "unknown": 1}, outgoing=outgoing)
    result = canary(context)
    assert result["mode"] == mode
    assert result["seconds"] >= 0.05
    reports = [request.progress.done for request in outgoing.take() if request.HasField("progress")]
    assert reports == ([] if mode == "stall" else [5])


def test_a_canary_that_fails() -> None:
    with pytest.raises(CanaryFailure, match="step 2 of 5"):
        canary(TaskContext(payload={"seconds": 0, "steps": 5, "mode": "fail"}))


def test_a_canary_with_children(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[bool] = []

    class Child:
        pid = 7

        def __init__(self, command: list[str], *, start_new_session: bool) -> None:
            assert command[1] == "-c"
            started.append(start_new_session)

    monkeypatch.setattr(subprocess, "Popen", Child)
    canary(TaskContext(payload={"seconds": 0, "steps": 1, "mode": "children"}))
    assert started == [True, False, False]


@pytest.mark.parametrize("mode", ["sleep", "spin", "stall"])
def test_a_canary_ends_early_when_asked(mode: str) -> None:
    context = TaskContext(payload={"seconds": 3600, "mode": mode})
    context.set_cancelled()
    with pytest.raises(TaskCancelled):
        canary(context)


def test_the_payload_has_defaults() -> None:
    assert read_order({}) == Order(seconds=30, steps=300, mode="sleep")


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"seconds": "5"}, "payload.seconds"),
        ({"seconds": -1}, "payload.seconds"),
        ({"seconds": True}, "payload.seconds"),
        ({"seconds": 1e9}, "payload.seconds"),
        ({"steps": 0}, "payload.steps"),
        ({"steps": 1.5}, "payload.steps"),
        ({"mode": "fly"}, "payload.mode must be one of sleep, spin, stall, fail, exit, hang_c, children"),
        ({"mode": ["sleep"]}, "payload.mode"),
    ],
)
def test_bad_values_are_told(payload: dict[str, object], words: str) -> None:
    with pytest.raises(Fatal, match=words):
        read_order(payload)


def test_the_modes_are_those_of_the_design() -> None:
    assert list(MODES) == ["sleep", "spin", "stall", "fail", "exit", "hang_c", "children"]
