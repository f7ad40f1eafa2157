"""The last word: results and errors within their limits, or a clear error instead."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from taskstate.task import Fatal
from taskstate.worker.outcome import BadResult, describe_error, encode_result, finish_with_error, parse_payload

plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | plain_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_text, inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(json_values, max_size=3))
def test_what_json_can_hold_comes_back(value: list[object]) -> None:
    assert json.loads(encode_result(value)) == value


@given(st.text(st.characters()))
def test_any_text_becomes_one_that_can_be_stored(text: str) -> None:
    [decoded] = json.loads(encode_result([text]).encode())
    assert not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in decoded)
    assert len(decoded) == len(text)


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth - 1):
        value = [value]
    return value


circular: list[object] = []
circular.append(circular)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (float("inf"), "Out of range"),
        ({1, 2}, "set is not JSON"),
        (b"bytes", "bytes is not JSON"),
        (circular, "Circular"),
        (nested(17), "deeper than 16"),
        ({1: "a", "1": "b"}, "become the same text"),
        ({(1, 2): 3}, "keys must be"),
        ("x" * 524287, "are the most"),
        pytest.param(10**5000, "not JSON", id="a huge number"),
    ],
)
def test_what_cannot_be_kept_is_said(result: object, words: str) -> None:
    with pytest.raises(BadResult, match=words):
        encode_result(result)


def test_the_limits_themselves_fit() -> None:
    assert encode_result(nested(16))
    assert len(encode_result("x" * 524286)) == 524288
    assert encode_result(None) == ""


class Spiteful(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_errors_are_described_whatever_they_do() -> None:
    described = describe_error(Spiteful())
    assert described.message == "(its text cannot be had: RuntimeError)"
    assert described.type.endswith("test_outcome.Spiteful")


def recurse(depth: int) -> None:
    if not depth:
        raise ValueError("ä" * 100_000)
    recurse(depth - 1)


def test_a_huge_error_fits_and_keeps_both_ends() -> None:
    try:
        recurse(3)
    except ValueError as error:
        described = describe_error(error)
    size = len((described.type + described.message + described.traceback).encode())
    assert size <= 64 * 1024
    assert described.message.endswith("…")
    assert described.traceback.startswith("Traceback")
    assert "cut here" in described.traceback


def test_fatal_is_final() -> None:
    assert finish_with_error(Fatal("x")).final
    assert not finish_with_error(ValueError("x")).final


@pytest.mark.parametrize("payload", ["[1]", "1", "{", "null"])
def test_a_payload_that_is_no_object_is_fatal(payload: str) -> None:
    with pytest.raises(Fatal, match="payload"):
        parse_payload(payload)


def test_a_payload_is_a_dict() -> None:
    assert parse_payload("") == {}
    assert parse_payload('{"a": [1]}') == {"a": [1]}
