from __future__ import annotations

import json

import pytest

from services.up.log_line import LogLine, parse, printable


def record(**fields: object) -> str:
    return json.dumps({"level": "INFO", "event": "listening", "message": "on port 1", **fields})


def test_a_record_gives_its_event() -> None:
    assert parse(record()) == LogLine(event="listening", shown=None)


@pytest.mark.parametrize("level", ["WARNING", "ERROR", "CRITICAL"])
def test_what_a_person_should_know_is_shown(level: str) -> None:
    assert parse(record(level=level, message="no broker")).shown == "no broker"


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert parse(record(level="ERROR", message="\x1b[2Jgone\n")).shown == "\\x1b[2Jgone"


def test_only_the_first_line_is_shown() -> None:
    assert parse(record(level="ERROR", message="refused\n\tIs the server running?\n")).shown == "refused"


def test_a_long_text_is_cut() -> None:
    assert len(printable("x" * 10_000)) == 300


@pytest.mark.parametrize(
    "line", ["", "{", "{}", "[1]", '{"event": 7}', '{"level": ["ERROR"]}', "LOG: checkpoint", "\x00", '{"a":' * 3000]
)
def test_any_other_line_is_only_kept(line: str) -> None:
    assert parse(line) == LogLine()


def test_a_panic_of_postgresql_is_shown() -> None:
    assert parse("2026 [1] PANIC:  could not write") == LogLine(shown="2026 [1] PANIC:  could not write")
