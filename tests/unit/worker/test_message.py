"""The message is its id."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from taskstate.worker.message import QueueMessage, parse_message


@given(st.uuids(), st.integers(1, 2**31 - 1))
def test_an_id_comes_back(task_id: uuid.UUID, dispatch: int) -> None:
    message = QueueMessage(str(task_id), dispatch)
    assert parse_message(message.job_id) == message
    assert parse_message(message.job_id.encode()) == message


@given(st.one_of(st.text(st.characters()), st.binary()))
def test_nothing_else_is_a_message(job_id: str | bytes) -> None:
    message = parse_message(job_id)
    assert message is None or message.job_id in (job_id, job_id.decode() if isinstance(job_id, bytes) else "")


@pytest.mark.parametrize("tail", ["", "_", "_0", "_01", "_-1", "_2147483648", "_1_1", "_1\n", "_١"])
def test_a_dispatch_is_a_plain_number_from_1(tail: str) -> None:
    assert parse_message(f"{uuid.UUID(int=1)}{tail}") is None
