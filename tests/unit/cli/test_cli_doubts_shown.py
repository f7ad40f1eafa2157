"""Doubts and stops in the live views and in lines: beside the state, with what comes next, and stage by stage."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from taskstate.cli.board import Board
from taskstate.cli.board_view import BoardView
from taskstate.cli.clock import ServerClock
from taskstate.cli.follow import Following
from taskstate.cli.follow_lines import FollowLines
from taskstate.cli.follow_view import FollowView
from taskstate.cli.link import Link
from taskstate.v1 import task_pb2 as pb
from taskstate.v1.task_service_pb2 import TaskChange

from tests.support.fake_task_service import T0_S, at, make_task

SUSPECT = {"liveness": pb.LIVENESS_SUSPECT, "heard_time": at(41), "suspect_until_time": at(43.6)}
UNRESPONSIVE = {"liveness": pb.LIVENESS_UNRESPONSIVE, "heard_time": at(2)}
CANCELLING = {"cancel": pb.Cancel(request_time=at(40), deliver_time=at(40.1), deadline_time=at(55))}


def console() -> Console:
    return Console(file=io.StringIO(), width=200, height=30, force_terminal=True, color_system=None)


def link() -> Link:
    return Link(ServerClock(monotonic=lambda: 0.0, wall=lambda: T0_S + 43))


def shown(renderable) -> str:
    target = console()
    with target.capture() as capture:
        target.print(renderable)
    return capture.get()


@pytest.mark.parametrize(
    ("fields", "badges", "sentence"),
    [
        (SUSPECT, "⚠ Suspect", "It has 0.6 s to come back."),
        (UNRESPONSIVE, "⏸ Unresponsive", "Not counted as dead."),
        (CANCELLING, "◧ Cancelling", "delivered, waiting for the task to stop. Over in 12 s in any case."),
        (
            SUSPECT | CANCELLING,
            "⚠ Suspect ◧ Cancelling",
            "It has 0.6 s to come back. Stop requested 3.0 s ago; delivered",
        ),
    ],
)
def test_a_board_shows_a_doubt_instead_of_the_tasks_own_words(fields, badges, sentence):
    board = Board()
    board.take(TaskChange(revision=10, task=make_task(1, message="all is well", **fields)))
    board.take(TaskChange(revision=10, task=make_task(2, message="really well")))
    lines = shown(BoardView(board, link(), console()).picture()).splitlines()
    doubted = next(line for line in lines if "00000001" in line)
    assert f"▷ Running {badges}" in doubted
    assert sentence in doubted
    assert "all is well" not in doubted
    assert any("really well" in line for line in lines)


def test_one_tasks_view_shows_the_receipt_until_and_after_the_end():
    view = FollowView(Following(make_task(1, **CANCELLING), link()), console())
    assert "Requested 3.0 s ago → Delivered +100 ms → Signalled not yet → Exit seen not yet" in shown(view.picture())
    receipt = pb.Cancel(request_time=at(40), exit_time=at(42), outcome=pb.CANCEL_OUTCOME_CONFIRMED)
    view = FollowView(Following(make_task(1, pb.TASK_STATE_CANCELLED, cancel=receipt), link()), console())
    assert "Signalled never → Exit seen +2.0 s" in shown(view.picture())
    assert "Requested" not in shown(FollowView(Following(make_task(1), link()), console()).picture())


def test_lines_tell_each_stage_of_a_stop_once():
    following = Following(make_task(1, revision=1), link())
    target = Console(file=io.StringIO(), width=200)
    lines = FollowLines(following, target)
    receipt = pb.Cancel(request_time=at(40), deadline_time=at(55))
    stages: list[dict] = [{}, {"deliver_time": at(41)}, {}, {"signal_time": at(42)}]
    for revision, stage in enumerate(stages, start=2):
        receipt.MergeFrom(pb.Cancel(**stage))
        before = following.task
        assert following.take(TaskChange(revision=revision, task=make_task(1, revision=revision, cancel=receipt)))
        lines.changed(before, None)
    told = [line.split(";", 1)[1].split(".")[0] for line in target.file.getvalue().splitlines()]
    assert told == [
        " not delivered yet",
        " delivered, waiting for the task to stop",
        " told to end, and killed if it does not",
    ]
