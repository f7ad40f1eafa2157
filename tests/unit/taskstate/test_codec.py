"""Every field of a task to JSON and back, and events' changes folded into a task again."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.taskstate import codec
from services.taskstate.model import Phase, ProcessExit, Spec, Task, TaskError, Worker

TASK = Task(spec=Spec("00000000-0000-4000-8000-000000000001", "demo", datetime(2026, 1, 1, tzinfo=UTC), 1))

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
numbers = st.floats(0, 2**53, allow_nan=False)
counts = st.integers(0, 2**53)
times = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - given below.

SIMPLE: dict[type, st.SearchStrategy[Any]] = {
    str: texts,
    int: counts,
    float: numbers,
    bool: st.booleans(),
    datetime: times,
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of an annotated type, as far as the model uses types."""
    if get_origin(hint) in (Union, UnionType):
        return st.one_of(*(st.none() if part is type(None) else values_of(part) for part in get_args(hint)))
    if get_origin(hint) is tuple:
        return st.lists(values_of(get_args(hint)[0]), max_size=3).map(tuple)
    if hint in SIMPLE:
        return SIMPLE[hint]
    return st.from_type(hint) if not hasattr(hint, "__dataclass_fields__") else instances_of(hint)


def instances_of(kind: type) -> st.SearchStrategy[Any]:
    """Any value of a dataclass of the model."""
    parts = {name: values_of(hint) for name, hint in get_type_hints(kind).items()}
    if kind is Phase:
        parts["id"] = st.sampled_from(["fetch", "fetch.media"])  # Never empty: the door sees to it.
    return st.builds(kind, **parts)


FIELDS = {name: values_of(hint) for name, hint in get_type_hints(Task).items() if name != "spec"}


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_each_field_comes_back_as_it_was(name: str):
    @settings(max_examples=15)
    @given(FIELDS[name])
    def check(value: Any) -> None:
        back = codec.decode(name, through_json(codec.encode(value)))
        assert back == value
        assert type(back) is type(value)

    check()


@settings(max_examples=40)
@given(st.data(), st.sets(st.sampled_from(sorted(FIELDS)), max_size=5))
def test_changes_fold_into_the_task_they_came_from(data: st.DataObject, names: set[str]):
    changed = {name: data.draw(FIELDS[name], name) for name in sorted(names)}
    told = through_json(codec.encode_changes(changed))
    assert told.keys() == names - codec.EVENT_LEFT_OUT
    assert codec.fold(TASK, told) == replace(TASK, **{name: changed[name] for name in told})


def test_what_is_absent_takes_no_room():
    assert codec.encode(Phase("a", "")) == {"id": "a", "state": "PENDING", "done": 0.0}
    assert codec.encode(Worker("w", "h", 7, "b")) == {
        "worker_id": "w",
        "host": "h",
        "pid": 7,
        "boot_id": "b",
        "queues": [],
        "horse_pid": 0,
    }


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("phases", [{"id": "a", "state": "DONE"}], (Phase("a", "", codec.PhaseState.DONE),)),
        ("worker", {"pid": 7}, Worker("", "", 7, "")),
        ("exit", {}, ProcessExit()),
        ("error", {}, TaskError("", "")),
    ],
)
def test_what_an_older_version_wrote_can_be_read(name: str, value: Any, expected: Any):
    assert codec.decode(name, value) == expected


def test_every_named_field_exists():
    names = {item.name for item in fields(Task)}
    for listed in (codec.HOT_FIELDS, codec.EVENT_LEFT_OUT, codec.CREATED_FIELDS, codec.POLICY_FIELDS):
        assert set(listed) <= names
