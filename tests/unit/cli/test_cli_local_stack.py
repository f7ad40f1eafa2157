"""A worker beside `taskstate up` finds its Redis; nobody else may read the password."""

from __future__ import annotations

import pytest
from taskstate.cli import worker
from taskstate.cli.local_stack import local_connections

from services.up.connections import FILE_NAME, remove_connections, write_connections

SETTINGS = {"TASKSTATE_REDIS_URL": "redis://:a=b@127.0.0.1:6400/0", "TASKSTATE_TARGET": "127.0.0.1:50071"}


def test_what_up_writes_is_what_the_worker_reads(tmp_path):
    environ = {"TASKSTATE_DATA_DIR": str(tmp_path)}
    assert local_connections(environ) == {}
    write_connections(tmp_path, {"TASKSTATE_TARGET": "of an earlier run"})
    write_connections(tmp_path, SETTINGS)
    assert local_connections(environ) == SETTINGS
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    remove_connections(tmp_path)
    remove_connections(tmp_path)
    assert local_connections(environ) == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, SETTINGS),
        ({"TASKSTATE_TARGET": "a:1"}, SETTINGS | {"TASKSTATE_TARGET": "a:1"}),
        ({"TASKSTATE_REDIS_URL": "redis://mine"}, {"TASKSTATE_REDIS_URL": "redis://mine"}),
    ],
)
def test_settings_of_ones_own_win_and_are_not_mixed_with_another_stack(tmp_path, monkeypatch, given, expected):
    write_connections(tmp_path, SETTINGS)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TASKSTATE_DATA_DIR", str(tmp_path))
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    environment = worker._environment(None, as_json=True)
    assert {name: environment[name] for name in SETTINGS if name in environment} == expected
    assert worker._environment("b:2", as_json=False)["TASKSTATE_TARGET"] == "b:2"


def test_processes_are_for_queues_that_do_not_say_it_themselves():
    assert worker.with_processes("default, agent=1,", 3) == "default=3,agent=1"
