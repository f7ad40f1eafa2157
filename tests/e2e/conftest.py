"""One stack for all files that harm workers: each test leaves it whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drills.stack import SHORT, Stack, running_stack

SETTINGS = SHORT | {
    "TASKSTATE_STREAM_GRACE_SECONDS": "0.3",
    "TASKSTATE_DRAIN_GRACE_SECONDS": "0.3",
    # The only replica is killed and started twice in a row, on a slow machine too, within one lease.
    "TASKSTATE_LEASE_TTL_SECONDS": "15",
}


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One replica, one scheduler, and a supervisor with four RQ workers."""
    with running_stack(SETTINGS, replicas=1, schedulers=1, workers=("default=4",)) as running:
        yield running
