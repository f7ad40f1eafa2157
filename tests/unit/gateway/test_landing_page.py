"""The landing page keeps in step with the API: every state and every doubt has its word, its shape and its tint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from taskstate.json_view import STATE_TEXTS
from taskstate.v1 import task_pb2 as pb

import services.gateway

STATIC = Path(services.gateway.__file__).parent / "static"
SCRIPT, PAGE, STYLE = ((STATIC / name).read_text() for name in ("landing.js", "index.html", "landing.css"))
STATES = [text for text in STATE_TEXTS if text.islower()]
TINTS = re.findall(r"--([a-z]+): (#[0-9a-f]+); --[a-z]+-bg: (#[0-9a-f]+)", STYLE)


def words_of(enumeration: EnumTypeWrapper, prefix: str) -> set[str]:
    return {name.removeprefix(prefix) for name, number in enumeration.items() if number}


DOUBTS = sorted({word.lower() for word in words_of(pb.Liveness, "LIVENESS_")} - {"live"} | {"cancelling"})


def keys_of(constant: str) -> set[str]:
    """The keys of one of the script's tables, those of the first level."""
    table = re.search(rf"^const {constant} = \{{(.*?)\}};$", SCRIPT, re.DOTALL | re.MULTILINE)
    assert table is not None, constant
    return set(re.findall(r"(?:^|[{,])\s*([A-Za-z_]+): [\"{]", table[1].replace("\n", "")))


def test_the_tables_of_words_are_those_of_the_api():
    assert keys_of("WORDS") == set(STATES)
    assert keys_of("DOUBTS") >= set(DOUBTS)
    assert keys_of("REASONS") == words_of(pb.TaskReason, "TASK_REASON_")
    assert keys_of("WAITS") == {word.lower() for word in words_of(pb.WaitReason, "WAIT_REASON_")}
    assert keys_of("EXITS") <= {word.lower() for word in words_of(pb.CancelOutcome, "CANCEL_OUTCOME_")}


@pytest.mark.parametrize("name", [*STATES, *DOUBTS])
def test_each_has_a_shape_of_its_own(name: str):
    shapes = dict(re.findall(r'<symbol id="i-([a-z]+)"[^>]*>(.*?)</symbol>', PAGE))
    assert [other for other, shape in shapes.items() if shape == shapes[name]] == [name]


@pytest.mark.parametrize("name", STATES)
def test_each_state_has_a_tint_of_its_own_in_the_light_and_in_the_dark(name: str):
    own = [tint for state, *tint in TINTS if state == name]
    others = [colour for state, *tint in TINTS if state in STATES and state != name for colour in tint]
    assert len(own) == 2
    assert not {colour for tint in own for colour in tint}.intersection(others)
    assert f".{name} {{" in STYLE
