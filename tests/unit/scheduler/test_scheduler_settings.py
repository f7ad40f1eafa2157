"""The scheduler's settings and the name it signs with."""

import pytest

from services.runtime.settings import load_settings
from services.scheduler.__main__ import actor
from services.scheduler.settings import SchedulerSettings


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TASKSTATE_REDIS_URL", "http://x", "redis://"),
        ("TASKSTATE_TARGET", "127.0.0.1:1,,127.0.0.1:2", "empty address"),
        ("TASKSTATE_DISPATCH_BATCH", "101", "less than or equal to 100"),
        ("TASKSTATE_DISPATCH_WAIT_SECONDS", "31", "less than or equal to 30"),
        ("TASKSTATE_DISPATCH_WAIT_SECONDS", "nan", "finite"),
        ("TASKSTATE_SCHEDULER_PORT", "65536", "less than or equal to 65535"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch, capsys, variable, value, said):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        load_settings(SchedulerSettings)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"wrong setting: {variable}={value}: ")
    assert said in line


def test_defaults():
    settings = SchedulerSettings()
    assert (settings.target, settings.scheduler_port, settings.dispatch_batch) == ("127.0.0.1:50051", 50052, 100)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("host-1", "scheduler:host-1"), ("Büro pc", "scheduler:B_ro_pc"), ("x" * 300, "scheduler:" + "x" * 118)],
)
def test_actor_is_short_ascii(host, expected):
    assert actor(host) == expected
