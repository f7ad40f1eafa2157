"""`-p` and `--payload` become the JSON object that is meant, or a message that says what would be right."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from taskstate.cli.payload import build_payload


@pytest.mark.parametrize(
    ("whole", "pairs", "expected"),
    [
        (None, [], None),
        ('{"a":  1}', [], '{"a":  1}'),
        (None, ["seconds=5", "mode=sleep"], {"seconds": 5, "mode": "sleep"}),
        (None, ["a=true", "b=null", "c=[1,2]", 'd={"e":0.5}', "f=", "g=x=y", "h=NaN"],
         {"a": True, "b": None, "c": [1, 2], "d": {"e": 0.5}, "f": "", "g": "x=y", "h": "NaN"}),
        ('{"a": 1, "b": 2}', ["b=3"], {"a": 1, "b": 3}),
        (None, ["n=123456789012345678901234567890"], {"n": 123456789012345678901234567890}),
    ],
)  # fmt: skip
def test_pairs_are_laid_over_the_whole(whole, pairs, expected):
    built = build_payload(whole, pairs)
    if expected is None:
        assert built == ""
    elif isinstance(expected, str):
        assert built == expected
    else:
        assert json.loads(built) == expected


@pytest.mark.parametrize(
    ("whole", "pairs", "complaint"),
    [
        ("{", [], "no JSON"),
        ("[1]", [], "must be a JSON object"),
        ('{"a": NaN}', [], "NaN is no JSON"),
        ("[" * 100_000, [], "nested too deeply"),
        (None, ["seconds"], "must be key=value"),
        (None, ["=5"], "must be key=value"),
    ],
)
def test_a_wrong_payload_is_named(whole, pairs, complaint):
    with pytest.raises(ValueError, match=complaint):
        build_payload(whole, pairs)


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(lambda key: "=" not in key), st.text())
def test_any_value_that_is_no_json_is_the_text_it_is(key, value):
    try:
        json.loads(value)
    except ValueError:
        assert json.loads(build_payload(None, [f"{key}={value}"])) == {key: value}
