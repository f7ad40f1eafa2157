"""A fork must not meet gRPC: what runs in RQ workers and work-horses never imports it."""

from __future__ import annotations

import subprocess
import sys

import pytest

MODULES = [
    "taskstate",
    "taskstate.worker",
    "taskstate.worker.entry",
    "taskstate.worker.rq_worker",
    "taskstate.worker.rq_worker_main",
    "taskstate.worker.work_horse",
    "workers.canary",
]


def test_no_grpc_is_imported() -> None:
    source = f"import sys, {', '.join(MODULES)}; print([name for name in sys.modules if name.startswith('grpc')])"
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_the_client_is_found_at_its_first_use_and_nothing_else_is() -> None:
    import taskstate

    assert taskstate.TaskStateClient.__name__ == "TaskStateClient"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = taskstate.nonsense


def test_a_plain_rq_worker_is_told_what_to_start_instead() -> None:
    from taskstate.worker import entry

    with pytest.raises(RuntimeError, match="taskstate worker"):
        entry.run()
