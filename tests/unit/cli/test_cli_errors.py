"""What went wrong is said in one line that names the place and the next step."""

from __future__ import annotations

import io

import pytest
from taskstate.cli.exit_codes import ExitCode, exit_code_of
from taskstate.cli.output import error_message, prepare_streams
from taskstate.errors import TaskStateError

WHERE = "127.0.0.1:50051"


@pytest.mark.parametrize(
    ("code", "reason", "said", "exit_code"),
    [
        ("UNAVAILABLE", "", f"no TaskState answers at {WHERE}. Start one on this machine with `taskstate up`", 5),
        ("UNAVAILABLE", "DATABASE_UNAVAILABLE", "cannot reach its database; nothing was changed", 5),
        ("UNAVAILABLE", "SHUTTING_DOWN", "is shutting down; nothing was changed", 5),
        ("DEADLINE_EXCEEDED", "", "did not answer in time", 5),
        ("NOT_FOUND", "TASK_NOT_FOUND", "scripted (TASK_NOT_FOUND)", 3),
        ("FAILED_PRECONDITION", "TASK_TERMINAL", "scripted (TASK_TERMINAL)", 4),
        ("UNIMPLEMENTED", "", "scripted (UNIMPLEMENTED)", 4),
        ("INVALID_ARGUMENT", "INVALID_FIELD", "scripted (INVALID_FIELD)", 2),
        ("INTERNAL", "INTERNAL", "scripted (INTERNAL)", 1),
        ("A_NEW_CODE", "A_NEW_REASON", "scripted (A_NEW_REASON)", 1),
    ],
)
def test_an_error_is_one_line_with_its_exit_code(code, reason, said, exit_code):
    error = TaskStateError(code, reason, "scripted")
    assert said in error_message(error, WHERE)
    assert exit_code_of(error) == ExitCode(exit_code)


def test_hostile_texts_of_an_error_stay_on_the_line():
    error = TaskStateError(
        "INVALID_ARGUMENT", "INVALID_FIELD", "x", violations=[("type", "a\n\x1b[2J"), ("queue", "b")]
    )
    assert error_message(error, WHERE) == "type: a␊␛[2J; queue: b"


def test_any_text_can_be_written_in_any_encoding(monkeypatch):
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", stream)
    prepare_streams()
    stream.write("▷ Running … 東 \ud800 → ✓")
    stream.flush()
    assert written.getvalue() == rb"[>] Running ... \u6771 \ud800 -> [+]"
