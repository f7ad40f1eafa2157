"""Frames: whatever is packed comes out again, however the bytes are cut; a bad length is refused before it costs memory."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from taskstate.v1 import work_horse_pb2, worker_service_pb2
from taskstate.worker.frames import FRAME_BYTES_MAX, BlockingConnection, FrameError, Unpacker, pack, parse, read_frame

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
requests = st.one_of(
    st.builds(
        lambda text, number: work_horse_pb2.LocalRequest(
            progress=worker_service_pb2.ReportProgress(phase_id=text, done=number, message=text)
        ),
        texts,
        st.floats(allow_nan=False),
    ),
    st.builds(lambda text: work_horse_pb2.LocalRequest(finish=worker_service_pb2.FinishAttempt(result=text)), texts),
    st.just(work_horse_pb2.LocalRequest(sign_of_life=work_horse_pb2.SignOfLife())),
    st.just(work_horse_pb2.LocalRequest()),
)


@given(st.lists(requests, max_size=8), st.lists(st.integers(1, 50), min_size=1))
def test_frames_survive_any_cut(messages: list[work_horse_pb2.LocalRequest], cuts: list[int]) -> None:
    stream = b"".join(pack(message) for message in messages)
    unpacker, bodies, turn = Unpacker(), [], 0
    while stream:
        size = cuts[turn % len(cuts)]
        bodies += unpacker.feed(stream[:size])
        stream, turn = stream[size:], turn + 1
    assert [parse(work_horse_pb2.LocalRequest, body) for body in bodies] == messages


@given(st.lists(requests, max_size=8))
async def test_the_reader_of_the_supervisor_agrees(messages: list[work_horse_pb2.LocalRequest]) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"".join(pack(message) for message in messages))
    reader.feed_eof()
    assert [parse(work_horse_pb2.LocalRequest, await read_frame(reader)) for _ in messages] == messages
    with pytest.raises(asyncio.IncompleteReadError):
        await read_frame(reader)


@pytest.mark.parametrize("length", [FRAME_BYTES_MAX + 1, 2**32 - 1])
async def test_a_length_beyond_the_bound_is_refused(length: int) -> None:
    head = struct.pack(">I", length)
    with pytest.raises(FrameError, match=str(length)):
        Unpacker().feed(head)
    reader = asyncio.StreamReader()
    reader.feed_data(head)
    with pytest.raises(FrameError):
        await read_frame(reader)


def test_a_message_beyond_the_bound_is_not_packed() -> None:
    with pytest.raises(FrameError):
        pack(worker_service_pb2.FinishAttempt(result="x" * FRAME_BYTES_MAX))


def test_bytes_that_are_no_message_are_told() -> None:
    with pytest.raises(FrameError, match="LocalRequest"):
        parse(work_horse_pb2.LocalRequest, b"\xff\xff\xff")


def test_a_blocking_connection_gives_messages_one_by_one_and_then_the_end() -> None:
    here, there = socket.socketpair()
    connection = BlockingConnection(here)
    orders = [work_horse_pb2.PopOrder(allowed=True), work_horse_pb2.PopOrder(allowed=False)]
    there.sendall(b"".join(pack(order) for order in orders))
    there.close()
    assert connection.receive(work_horse_pb2.PopOrder) == orders[0]
    assert connection.has_frame
    assert connection.receive(work_horse_pb2.PopOrder) == orders[1]
    with pytest.raises(EOFError):
        connection.receive(work_horse_pb2.PopOrder)
    connection.close()
