"""The decorator registers what can be meant, and says what cannot."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from taskstate import TaskContext, task
from taskstate.task import _registry, find_task


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """What a test registers is forgotten."""
    before = dict(_registry)
    yield
    _registry.clear()
    _registry.update(before)


def test_a_function_is_registered_and_stays_callable() -> None:
    @task(
        type="made.up",
        queue="agent",
        timeout=timedelta(minutes=2),
        max_attempts=3,
        retry_on_loss=True,
        stall_timeout=5,
        phases=["fetch_all", ("fetch_all.media", "Pictures")],
    )
    def made_up(context: TaskContext) -> int:
        """Does things.

        Slowly.
        """
        return int(context.payload["n"]) + 1

    assert made_up(TaskContext(payload={"n": 1})) == 2
    definition = find_task("made.up")
    assert definition is not None
    assert (definition.queue, definition.timeout_s, definition.stall_timeout_s) == ("agent", 120, 5)
    assert (definition.max_attempts, definition.retry_on_loss) == (3, True)
    assert [(phase.id, phase.name) for phase in definition.phases] == [
        ("fetch_all", "Fetch all"),
        ("fetch_all.media", "Pictures"),
    ]
    assert definition.description == "Does things."


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"type": "Bad"}, "a task type must match"),
        ({"type": "os.system()"}, "a task type must match"),
        ({"queue": "Bad Queue"}, "the queue of task type x"),
        ({"timeout": 0}, "timeout of task type x"),
        ({"timeout": float("nan")}, "timeout of task type x"),
        ({"stall_timeout": timedelta(days=31)}, "stall_timeout of task type x"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": True}, "max_attempts"),
        ({"retry_on_loss": True}, "needs max_attempts"),
        ({"phases": ["A"]}, "an id must match"),
        ({"phases": ["a", "a"]}, "declared twice"),
        ({"phases": ["a.b"]}, "comes before its parent"),
        ({"phases": [("a", "")]}, "printable characters"),
        ({"phases": [("a", "x\n")]}, "printable characters"),
        ({"phases": [f"p{n}" for n in range(65)]}, "64 are the most"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        task(**{"type": "x", **wrong})(lambda context: None)
    assert find_task("x") is None


def test_a_coroutine_function_is_refused() -> None:
    async def wrong(context: TaskContext) -> None:
        pass

    with pytest.raises(TypeError, match="plain function"):
        task(type="x")(wrong)


def test_a_type_belongs_to_one_function() -> None:
    def first(context: TaskContext) -> None:
        pass

    def second(context: TaskContext) -> None:
        pass

    task(type="x")(first)
    task(type="x")(first)
    with pytest.raises(ValueError, match="already registered"):
        task(type="x")(second)
