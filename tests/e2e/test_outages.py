"""The outage drills with short settings, on one stack of two replicas and two schedulers; see tests/drills."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drills import outages
from tests.drills.stack import SHORT, Stack, running_stack

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One stack for all drills of this file: each leaves it whole."""
    with running_stack(SHORT, workers=("default=4",)) as running:
        yield running


def test_taskstate_stopped_as_in_a_rollout(stack: Stack) -> None:
    assert outages.stop_taskstate(stack, 5) >= 8


def test_taskstate_killed_twice(stack: Stack) -> None:
    assert outages.kill_taskstate_twice(stack, 6) >= 8


def test_postgres_away_for_longer_than_the_lease(stack: Stack) -> None:
    assert outages.postgres_away(stack, away_s=5, seconds=8) >= 8


def test_redis_away(stack: Stack) -> None:
    assert outages.redis_away(stack, away_s=1, seconds=3) >= 8
