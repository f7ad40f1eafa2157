"""What the demo says about a job that ended; how it gets there is tested in tests/e2e/test_up.py."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from services.up.demo import Demo
from services.up.gateway_client import _object
from services.up.problem import CannotStartError
from services.up.screen import Screen
from services.up.stack import Addresses, Stack

TASK: dict[str, Any] = {
    "task_id": "8f2c", "state": "succeeded", "is_active": False, "execution_duration": 9.87, "items_processed": 1204,
    "items_failed": 3, "result": {"output_dir": "/data/knowledge_base"}, "error": None, "message": "", "reason": None,
}  # fmt: skip


def told(**fields: Any) -> tuple[bool, str]:
    """What is shown of such a task, and whether the demo counts it as a success."""
    screen = Screen(as_json=False)
    screen.console = Console(file=io.StringIO(), soft_wrap=True)
    stack = cast("Stack", SimpleNamespace(addresses=Addresses("127.0.0.1", 50051, 8080)))
    demo = Demo(stack, screen, {})
    demo.tell({**TASK, **fields})
    assert isinstance(screen.console.file, io.StringIO)
    return demo.succeeded, screen.console.file.getvalue()


def test_a_success_tells_counts_and_places() -> None:
    succeeded, text = told()
    assert succeeded
    for words in ("succeeded in 9.9 s: 1,204 items, 3 failed", "/data/knowledge_base", "http://127.0.0.1:8080/\n"):
        assert words in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": "failed", "error": {"message": "no [bold] disk"}}, "ended as failed in 9.9 s: no [bold] disk"),
        ({"state": "lost", "reason": "WORKER_LOST", "execution_duration": None}, "ended as lost: WORKER_LOST"),
        ({"state": "cancelled", "result": None}, "ended as cancelled in 9.9 s: no cause given"),
    ],
)
def test_any_other_end_tells_its_cause(fields: dict[str, Any], words: str) -> None:
    succeeded, text = told(**fields)
    assert not succeeded
    assert words in text


@pytest.mark.parametrize(("text", "status"), [("<html>", 502), ("[]", 200), ('{"success": false}', 503), ("", 200)])
def test_an_answer_that_is_no_object_is_one_line(text: str, status: int) -> None:
    with pytest.raises(CannotStartError, match=rf"^The gateway answered GET /x with {status}: ") as problem:
        _object(text, status, "GET /x")
    assert problem.value.exit_code == 5
