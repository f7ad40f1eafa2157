"""A supervisor's settings: read whole, refused whole."""

from __future__ import annotations

import pytest
from taskstate.worker import SettingsError, SupervisorSettings, parse_queues


def test_defaults_and_the_environment() -> None:
    settings = SupervisorSettings.from_env({"TASKSTATE_TASKS": "a.b, c", "TASKSTATE_QUEUES": "default=2,agent"})
    assert settings.tasks == ("a.b", "c")
    assert settings.queue_of_each_slot == ("default", "default", "agent")
    assert settings.drain_grace_s == 30
    assert settings.target == "127.0.0.1:50051"
    assert settings.worker_id


def test_the_command_line_wins() -> None:
    settings = SupervisorSettings.from_env(
        {"TASKSTATE_TASKS": "a", "TASKSTATE_QUEUES": "b"}, tasks="x.y", queues="z=3", default_tasks="d"
    )
    assert (settings.tasks, settings.queues) == (("x.y",), (("z", 3),))


def test_all_mistakes_are_told_together() -> None:
    with pytest.raises(SettingsError) as caught:
        SupervisorSettings.from_env(
            {
                "TASKSTATE_QUEUES": "a=x",
                "TASKSTATE_REDIS_URL": "http://x",
                "TASKSTATE_WORKER_ID": "-",
                "TASKSTATE_DRAIN_GRACE_SECONDS": "nan",
                "TASKSTATE_LOG_LEVEL": "loud",
                "TASKSTATE_LOG_FORMAT": "xml",
                "TASKSTATE_TARGET": " ",
            }
        )
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "TASKSTATE_TASKS",
        "TASKSTATE_QUEUES",
        "TASKSTATE_TARGET",
        "TASKSTATE_REDIS_URL",
        "TASKSTATE_WORKER_ID",
        "TASKSTATE_DRAIN_GRACE_SECONDS",
        "TASKSTATE_LOG_LEVEL",
        "TASKSTATE_LOG_FORMAT",
    ]


@pytest.mark.parametrize("text", ["", ",", "a=0", "a=-1", "a=1.5", "a=٣", "a,a", "A", "a b", "a=257", "a=", "=1"])
def test_queue_specs_that_cannot_be_meant(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_queues(text)


@pytest.mark.parametrize("text", ["a-b", "a..b", "1a", "os.system()"])
def test_module_names_that_cannot_be_meant(text: str) -> None:
    with pytest.raises(SettingsError, match="TASKSTATE_TASKS"):
        SupervisorSettings.from_env({"TASKSTATE_TASKS": text})
