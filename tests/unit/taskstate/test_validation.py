"""The door: each bad value is refused with its field named, each good one passes as it is."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from taskstate.v1 import task_pb2 as pb

from services.taskstate.api import validation
from services.taskstate.api.errors import ApiError
from services.taskstate.api.validation import Checker

ID = "0190b6f2-1c1e-7c5e-8d0e-2f6a3b9c4d5e"
STATES = (pb.TASK_STATE_PENDING, pb.TASK_STATE_FAILED)


def nested(depth: int) -> str:
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


Check = Callable[[Checker, Any], Any]
CHECKS: dict[str, Check] = {
    "task_id": lambda check, value: check.task_id("f", value),
    "optional_task_id": lambda check, value: check.task_id("f", value, required=False),
    "type_name": lambda check, value: check.type_name("f", value),
    "queue": lambda check, value: check.queue("f", value),
    "phase_id": lambda check, value: check.phase_id("f", value),
    "request_id": lambda check, value: check.request_id("f", value),
    "text": lambda check, value: check.text("f", value, 10),
    "required_text": lambda check, value: check.text("f", value, 10, required=True),
    "label": lambda check, value: check.label("f", value, 10),
    "bytes": lambda check, value: check.bytes_at_most("f", value, 10),
    "state": lambda check, value: check.one_of("f", value, STATES, pb.TaskState),
    "number": lambda check, value: check.number("f", value, 0, 100),
    "integer": lambda check, value: check.integer("f", value, 1, 2**53),
    "duration": lambda check, value: check.duration("f", Duration(seconds=value[0], nanos=value[1])),
    "timestamp": lambda check, value: check.timestamp("f", Timestamp(seconds=value[0], nanos=value[1])),
    "json": lambda check, value: check.json("f", value),
    "json_object": lambda check, value: check.json_object("f", value),
}

BAD: dict[str, list[Any]] = {
    "task_id": [
        "",
        "x",
        ID.upper(),
        ID.replace("-", ""),
        "{" + ID + "}",
        f"urn:uuid:{ID}",
        f" {ID}",
        f"{ID}\n",
        ID[:-1],
        ID + "0",
        ID.replace("0", "\u0660"),
        ID * 30_000,
        "\0" + ID[1:],
        "'; drop table task_spec; --",
    ],
    "optional_task_id": ["x", ID.upper()],
    "type_name": ["", "Run", "1run", "run-agent", "os system", "../x", "run\n", "ü", "a" * 65, "_run", "run\0"],
    "queue": ["Default", "-x", ".x", "a" * 65, "rq:queue:default", "a b", "default\n", "*"],
    "phase_id": ["", ".", "a.", ".a", "a..b", "A", "a-b", "a\n", "a.b.c.d.e.f.g.h.i", "a" * 129],
    "request_id": [" ", "a b", "ü", "a\n", "a\0", "\x7f", "a" * 129],
    "text": ["a" * 11, "a\0b", "\0"],
    "required_text": [""],
    "label": ["a" * 11, "a\0b", "a\nb", "a\tb", "\x1b[31m", "a\x7f"],
    "bytes": ["a" * 11, "ü" * 6, "a\0b"],
    "state": [0, 99, -1, pb.TASK_STATE_RUNNING],
    "number": [math.nan, math.inf, -math.inf, -0.1, 100.1, 1e308],
    "integer": [0, -1, 2**53 + 1, 2**63 - 1],
    "duration": [
        (0, 0),
        (-1, 0),
        (0, -1),
        (0, 999_999),
        (2**62, 0),
        (-(2**62), 0),
        (30 * 86400 + 1, 0),
        (5, -1),
        (0, 10**9),
        (0, 2**31 - 1),
    ],
    "timestamp": [(-1, 0), (0, -1), (0, 10**9), (2**62, 0), (-(2**62), 0), (253402214401, 0), (253402300800, 0)],
    "json": [
        "",
        " ",
        "x",
        "{",
        "[1,]",
        "{'a':1}",
        "NaN",
        "[Infinity]",
        '{"a":-Infinity}',
        '{"a":1,"a":2}',
        '[{"b":{"a":1,"\\u0061":2}}]',
        '"\\u0000"',
        '{"\\u0000":1}',
        '"\0"',
        '"\\ud800"',
        '["\\udc00\\ud800"]',
        '{"\\udfff":1}',
        '"tab\there"',
        "[" * 17 + "]" * 17,
        nested(17),
        "[" * 100_000,
        '{"a":' * 100_000,
        "]" * 1000 + "[" * 1016,
        "1e400",
        '{"a":[-1e999]}',
    ],
    "json_object": [
        "[]",
        "1",
        "null",
        '"{}"',
        "true",
        '{"a":1} {}',
        nested(17),
        '{"a":"' + "x" * 65536 + '"}',
        '{"a":' + "9" * 10**6 + "}",
    ],
}

GOOD: dict[str, list[Any]] = {
    "task_id": [ID, "00000000-0000-0000-0000-000000000000"],
    "optional_task_id": ["", ID],
    "type_name": ["a", "run_agent", "workers.canary.v2", "a" * 64],
    "queue": ["", "default", "0", "a-b_c.d", "a" * 64],
    "phase_id": ["a", "fetch.media", "0", "a.b.c.d.e.f.g.h", "a" * 128],
    "request_id": ["", "a", "!~", "a" * 128, ID],
    "text": ["", "a" * 10, "zwölf\n", "\U0001f600" * 10, "%_\\'\""],
    "required_text": ["a"],
    "label": ["", "a b", "ü" * 10, "%_\\'\""],
    "bytes": ["", "a" * 10, "ü" * 5],
    "state": list(STATES),
    "number": [0, -0.0, 100, 5e-324],
    "integer": [1, 2**53],
    "duration": [(0, 1_000_000), (1, 0), (30 * 86400, 0), (1, 999_999_999)],
    "timestamp": [(0, 0), (0, 999_999_999), (1_800_000_000, 5), (253402214400, 0)],
    "json": [
        "null",
        " [1, 2.5e3] ",
        '"\\u0061\\ud83d\\ude00"',
        '"[[[[[[[[[[[[[[[[[[["',
        '"\\"[[[[[[[[[[[[[[[[[[["',
        '{"a":{"a":1}}',
        "[" * 16 + "]" * 16,
        nested(16),
        "9" * 5000,
        "-" + "9" * 1_000_000,
        "1e308",
        '{"__proto__":1,"":2}',
    ],
    "json_object": [
        "",
        "{}",
        '{"a":[1,"ü",null]}',
        nested(16),
        '{"a":"' + "x" * 65528 + '"}',
        '{"a":' + "9" * 60_000 + "}",
    ],
}


def cases(table: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(name, value, id=f"{name}-{number}-{value!r:.24}".replace("/", "_"))
        for name, values in table.items()
        for number, value in enumerate(values)
    ]


@pytest.mark.parametrize(("name", "value"), cases(BAD))
def test_bad_values_are_refused_with_their_field(name: str, value: Any):
    check = Checker("outer.")
    began = time.process_time()
    CHECKS[name](check, value)
    assert time.process_time() - began < 0.5
    with pytest.raises(ApiError) as told:
        check.done()
    assert told.value.reason == "INVALID_FIELD"
    assert {field for field, _ in told.value.violations} == {"outer.f"}
    assert len(told.value.message) < 400


@pytest.mark.parametrize(("name", "value"), cases(GOOD))
def test_good_values_pass(name: str, value: Any):
    check = Checker()
    began = time.process_time()
    CHECKS[name](check, value)
    assert time.process_time() - began < 0.5
    check.done()


def test_every_check_has_good_and_bad_values():
    assert BAD.keys() == GOOD.keys() == CHECKS.keys()


def test_all_mistakes_are_told_at_once():
    check = Checker()
    check.task_id("task_id", "x")
    check.queue("queue", "X")
    check.integer("priority", 11, -10, 10)
    with pytest.raises(ApiError) as told:
        check.done()
    assert [field for field, _ in told.value.violations] == ["task_id", "queue", "priority"]
    assert told.value.message.endswith("(and 2 more)")
    assert told.value.metadata == {"field": "task_id"}


def test_what_passes_keeps_its_value():
    check = Checker()
    assert check.duration("f", Duration(seconds=1, nanos=500_000_000)) == 1.5
    assert check.duration("f", Duration(), low_s=0.0) == 0.0
    assert check.timestamp("f", Timestamp(seconds=1, nanos=1999)) == datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC)
    assert check.json_object("f", "") == "{}"
    assert check.json_object("f", ' {"b":1.0, "a":1e2}') == ' {"b":1.0, "a":1e2}'
    check.done()


@pytest.mark.parametrize(("asked", "size"), [(0, 50), (1, 1), (500, 500), (501, 500), (2**31 - 1, 500)])
def test_page_sizes_have_a_default_and_a_cap(asked: int, size: int):
    check = Checker()
    assert check.page_size(asked) == size
    check.done()


def test_a_negative_page_size_is_refused():
    check = Checker()
    check.page_size(-1)
    assert [field for field, _ in check.violations] == ["page_size"]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@settings(max_examples=80)
@given(st.dictionaries(st.just("a") | st.just("b"), values, max_size=2), st.booleans())
def test_any_json_of_ordinary_values_passes_and_can_be_read_by_everybody(value: dict, escaped: bool):
    text = json.dumps(value, ensure_ascii=escaped)
    check = Checker()
    assert check.json_object("f", text) == text
    check.done()


@settings(max_examples=150)
@given(st.text(st.sampled_from('[]{}":,\\u0aeE+-.1 \n'), max_size=30))
def test_what_passes_can_be_read_again_and_stored(text: str):
    check = Checker()
    check.json("f", text)
    if check.violations:
        return
    written = json.dumps(json.loads(text), allow_nan=False, ensure_ascii=False)
    assert "\0" not in written
    written.encode()


def test_a_result_of_the_greatest_size_is_checked_quickly():
    text = json.dumps([{"name": f"item {number}", "tags": ["a", "b"]} for number in range(11_000)])
    assert 450_000 < len(text) < validation.RESULT_BYTES_MAX
    check = Checker()
    began = time.process_time()
    check.json("result", text)
    assert time.process_time() - began < 0.5
    check.done()
