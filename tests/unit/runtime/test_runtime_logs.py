"""Log lines: one JSON object each, whatever is in them."""

import json
import logging

import pytest
from opentelemetry import trace

from services.runtime.logs import JsonFormatter, TextFormatter, configure_logging
from services.runtime.telemetry import new_tracer_provider


@pytest.fixture
def restored_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def record_of(message, *args, exc_info=None, **extra):
    return logging.getLogger("sample").makeRecord(
        "sample", logging.WARNING, __file__, 1, message, args, exc_info, extra=extra
    )


def test_json_line_has_the_fixed_keys_and_the_extras():
    record = record_of("task %s ended", "t-1", event="ended", task_id="t-1", attempt=2)
    record.created = 1_700_000_000.25
    assert json.loads(JsonFormatter("gateway").format(record)) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "WARNING",
        "service": "gateway",
        "logger": "sample",
        "event": "ended",
        "message": "task t-1 ended",
        "task_id": "t-1",
        "attempt": 2,
    }


def test_json_line_stays_one_line_and_keeps_the_traceback():
    error = ValueError("two\nlines")
    record = record_of("a\nb\u2028\x1b[31m", exc_info=(ValueError, error, None), odd={1, 2})
    line = JsonFormatter("gateway").format(record)
    assert "\n" not in line
    assert "\u2028" not in line
    fields = json.loads(line)
    assert fields["event"] == "log"
    assert fields["message"] == "a\nb\u2028\x1b[31m"
    assert fields["exception"].endswith("ValueError: two\nlines")
    assert fields["odd"] == "{1, 2}"


def test_text_line_passes_no_control_characters_to_the_terminal():
    line = TextFormatter("up").format(record_of("name: %s", "x\x1b[2J\r\ny", event="e", port=5))
    assert line.endswith("WARNING up: name: x\\x1b[2J\\r\\ny port=5")
    assert line.isprintable()


@pytest.mark.parametrize("traces", ["off", "log"])
def test_lines_written_inside_a_span_carry_its_trace_id(traces):
    tracer = new_tracer_provider("sample", traces).get_tracer("sample")
    formatter = JsonFormatter("sample")
    with tracer.start_as_current_span("work") as span:
        inside = json.loads(formatter.format(record_of("x")))
    assert inside["trace_id"] == trace.format_trace_id(span.get_span_context().trace_id)
    assert "trace_id" not in json.loads(formatter.format(record_of("x")))


@pytest.mark.usefixtures("restored_logging")
def test_a_span_is_a_log_line_if_asked_for(capsys):
    configure_logging("sample", "INFO", "json")
    for traces in ("off", "log"):
        with new_tracer_provider("sample", traces).get_tracer("sample").start_as_current_span(f"work {traces}"):
            pass
    (span,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (span["event"], span["span"]) == ("span", "work log")
    assert span["duration_ms"] >= 0
    assert len(span["span_id"]) == 16


@pytest.mark.usefixtures("restored_logging")
def test_configuring_twice_writes_each_line_once(capsys):
    configure_logging("sample", "INFO", "json")
    configure_logging("sample", "WARNING", "text")
    logging.getLogger("x").info("hidden")
    logging.getLogger("x").warning("shown")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("WARNING sample: shown")
