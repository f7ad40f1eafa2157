"""Page tokens continue the request they were made for, and no other."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from taskstate.v1 import task_pb2 as pb
from taskstate.v1 import task_service_pb2 as service_pb

from services.taskstate.api import page_token
from services.taskstate.api.errors import ApiError

REQUEST = service_pb.ListTasksRequest(queue="default", group="agent", types=["a", "b"], page_size=10)
PLACE_MAX = 2**63 - 1


@pytest.mark.parametrize("place", [0, 1, 12345, 2**53 + 1, PLACE_MAX])
def test_a_token_brings_its_place_back(place: int):
    assert page_token.read(REQUEST, page_token.make(REQUEST, place)) == place


def test_no_token_is_no_place():
    assert page_token.read(REQUEST, "") is None


def test_a_token_fits_into_a_link():
    token = page_token.make(REQUEST, PLACE_MAX)
    assert token.isascii()
    assert not set(token) & set("+/=&?# ")


def test_the_page_may_change_its_size_and_its_count_on_the_way():
    token = page_token.make(REQUEST, 7)
    later = service_pb.ListTasksRequest()
    later.CopyFrom(REQUEST)
    later.page_size = 500
    later.page_token = token
    later.with_total_count = True
    assert page_token.read(later, token) == 7


@pytest.mark.parametrize(
    "other",
    [
        {"queue": "other"},
        {"group": ""},
        {"types": ["b"]},
        {"states": [pb.TASK_STATE_FAILED]},
        {"order": service_pb.TASK_ORDER_OLDEST_FIRST},
        {"text": "x"},
    ],
    ids=str,
)
def test_a_token_of_another_filter_is_refused(other: dict):
    changed = service_pb.ListTasksRequest()
    changed.CopyFrom(REQUEST)
    changed.MergeFrom(service_pb.ListTasksRequest(**other))
    for name, value in other.items():
        if not value:
            changed.ClearField(name)
    refused(changed, page_token.make(REQUEST, 7))


def test_a_token_of_another_call_is_refused():
    refused(service_pb.ListTaskEventsRequest(), page_token.make(service_pb.ListTasksRequest(), 7))


def test_pages_by_id_continue_after_a_task_and_begin_below_all():
    task_id = "0190b6f2-1c1e-7c5e-8d0e-2f6a3b9c4d5e"
    assert page_token.read_id(REQUEST, page_token.make_id(REQUEST, task_id)) == task_id
    assert page_token.read_id(REQUEST, "") == page_token.FIRST_ID < task_id


def test_a_token_of_the_other_kind_is_refused():
    refused(REQUEST, page_token.make_id(REQUEST, page_token.FIRST_ID))
    with pytest.raises(ApiError):
        page_token.read_id(REQUEST, page_token.make(REQUEST, 7))


GOOD = page_token.make(REQUEST, 7)


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "null",
        "ü",
        "\ud800",
        "A" * 10_000,
        GOOD[:-1],
        GOOD[:-4],
        f"{GOOD[:5]}!{GOOD[5:]}",
        f" {GOOD}",
        GOOD + "AAAA",
        GOOD.swapcase(),
        "A" + GOOD[1:-8] + "A" * 8,
        base64.urlsafe_b64encode(b"\0" * 16).decode(),
        base64.urlsafe_b64encode(b"\xff" * 16).decode(),
    ],
)
def test_a_token_that_was_not_given_is_refused(token: str):
    refused(REQUEST, token)


@settings(max_examples=80)
@given(st.text(max_size=40) | st.binary(max_size=20).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_other_text_is_refused_and_never_an_error_of_ours(token: str):
    if token:
        refused(REQUEST, token)


def refused(request: service_pb.ListTasksRequest | service_pb.ListTaskEventsRequest, token: str) -> None:
    with pytest.raises(ApiError) as told:
        page_token.read(request, token)
    assert told.value.reason == "INVALID_PAGE_TOKEN"
    assert [field for field, _ in told.value.violations] == ["page_token"]
