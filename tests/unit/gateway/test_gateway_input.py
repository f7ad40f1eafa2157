"""The pure parts of reading: JSON, times, cursors, keys, settings."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.errors import RefusedError
from services.gateway.idempotency import request_id_of
from services.gateway.json_answer import encode_json
from services.gateway.json_body import DEPTH_MAX, parse_json_strictly
from services.gateway.openapi_30 import to_openapi_30
from services.gateway.query import last_event_id
from services.gateway.requests import CreateTask, StartAgent
from services.gateway.settings import GatewaySettings
from services.gateway.sse import sse_event
from services.gateway.times import parse_time

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), inner, max_size=4
    ),
    max_leaves=20,
)  # fmt: skip


@given(VALUES, st.booleans())
def test_whatever_is_json_is_read_as_it_was_written(value, ascii_only: bool):
    assert parse_json_strictly(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=60))
def test_no_bytes_are_our_fault(body: bytes):
    # Anything but a refusal would be a 500.
    with contextlib.suppress(RefusedError):
        parse_json_strictly(body)


@pytest.mark.parametrize(("depth", "is_read"), [(DEPTH_MAX, True), (DEPTH_MAX + 2, False), (5000, False)])
def test_nesting_has_a_bound(depth: int, is_read: bool):
    body = b"[" * depth + b"]" * depth
    if is_read:
        parse_json_strictly(body)
    else:
        with pytest.raises(RefusedError, match="deep"):
            parse_json_strictly(body)


@given(VALUES)
def test_an_event_is_one_line_of_data_whatever_it_holds(value):
    lines = sse_event("task", value, 7).decode().split("\n")
    assert lines[:2] == ["event: task", "id: 7"]
    assert lines[3:] == ["", ""]
    assert "\r" not in lines[2]
    assert json.loads(lines[2].removeprefix("data: ")) == value


def test_what_the_fast_encoder_refuses_is_written_all_the_same():
    value = {"big": 2**70, "half": "\ud800"}
    assert json.loads(encode_json(value)) == value


@pytest.mark.parametrize(
    ("text", "seconds", "nanos"),
    [
        ("1970-01-01T00:00:00Z", 0, 0),
        ("2027-01-15T08:00:00.123456789Z", 1_800_000_000, 123_456_000),
        ("2027-01-15t09:00:00+01:00", 1_800_000_000, 0),
        ("9999-12-31T23:59:59Z", 253_402_300_799, 0),
    ],
)
def test_times(text: str, seconds: int, nanos: int):
    time = parse_time(text)
    assert (time.seconds, time.nanos) == (seconds, nanos)


@given(st.text(max_size=40))
def test_no_text_is_a_wrong_time(text: str):
    with pytest.raises(ValueError, match="RFC 3339"):
        parse_time(text)


def test_cursors():
    assert last_event_id([]) is None
    assert last_event_id([""]) is None
    assert last_event_id(["0"]) == 0
    assert last_event_id([str(2**63 - 1)]) == 2**63 - 1
    for wrong in (["1", "1"], ["x"], ["-1"], [str(2**63)], ["1 2"]):
        with pytest.raises(RefusedError, match="Last-Event-ID"):
            last_event_id(wrong)


def test_keys():
    assert request_id_of("a", []) == request_id_of(None, ["a"]) == request_id_of("a", ["a"]) == "a"
    assert request_id_of(None, []) != request_id_of(None, [])
    for in_body, in_headers in (("a", ["b"]), (None, ["a", "a"]), (None, [""]), (None, ["a b"])):
        with pytest.raises(RefusedError):
            request_id_of(in_body, in_headers)


def test_small_time_outs_are_not_rounded_to_none():
    request = CreateTask(type="x", timeout_seconds=1e-9, stall_timeout_seconds=1.9999999).to_proto("k")
    assert request.timeout.nanos == 1000
    assert (request.stall_timeout.seconds, request.stall_timeout.nanos) == (2, 0)


def test_an_agent_start_is_of_the_agents_type_queue_and_group():
    request = StartAgent(preferences={"a": "ä"}).to_proto("k")
    assert (request.type, request.queue, request.group, request.payload) == ("run_agent", "agent", "agent", '{"a":"ä"}')


def test_the_older_spelling_of_the_description():
    newer = {
        "openapi": "3.1.0",
        "a": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}], "title": "A"},
        "b": {"anyOf": [{"$ref": "#/x"}, {"type": "null"}]},
        "c": {"anyOf": [{"type": "integer"}, {"type": "number"}, {"type": "null"}]},
        "d": {"const": False, "type": "boolean"},
        "e": [{"exclusiveMinimum": 0, "type": "number"}],
        "f": {"anyOf": [{"enum": ["x"], "type": "string"}, {"type": "null"}]},
    }
    assert to_openapi_30(newer) == {
        "openapi": "3.0.3",
        "a": {"type": "string", "maxLength": 5, "nullable": True, "title": "A"},
        "b": {"allOf": [{"$ref": "#/x"}], "nullable": True},
        "c": {"anyOf": [{"type": "integer"}, {"type": "number"}], "nullable": True},
        "d": {"enum": [False], "type": "boolean"},
        "e": [{"minimum": 0, "exclusiveMinimum": True, "type": "number"}],
        "f": {"enum": ["x", None], "type": "string", "nullable": True},
    }


def test_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TASKSTATE_CORS_ORIGINS", "https://a.example, http://localhost:5173")
    monkeypatch.setenv("TASKSTATE_ALLOWED_HOSTS", "Tasks.example,[::1]")
    settings = GatewaySettings()
    assert settings.cors_origins == ("https://a.example", "http://localhost:5173")
    assert settings.allowed_hosts == ("tasks.example", "[::1]")
    assert settings.bind_host == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cors_origins", "*"), ("cors_origins", "null"), ("cors_origins", "https://a.example/"),
        ("cors_origins", "a.example"), ("allowed_hosts", "*.a"), ("allowed_hosts", "a:80"), ("streams_max", 0),
        ("target", "a,,b"), ("receive_timeout_seconds", float("inf")),
    ],
)  # fmt: skip
def test_wrong_settings(name: str, value: object):
    with pytest.raises(ValueError, match=name):
        GatewaySettings(**{name: value})
