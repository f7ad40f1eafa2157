"""The board holds what is active, tells what ended, and stays bounded."""

from __future__ import annotations

import io

from rich.console import Console
from taskstate.cli.board import ENDED_KEPT, Board
from taskstate.cli.board_view import BoardView
from taskstate.cli.clock import ServerClock
from taskstate.cli.link import Link
from taskstate.errors import TaskStateError
from taskstate.task_watch import WatchInterrupted, WatchReset
from taskstate.v1 import task_pb2 as pb
from taskstate.v1.task_service_pb2 import Checkpoint, TaskChange

from tests.support.fake_task_service import T0_S, at, make_task, transition


def row(task: pb.Task) -> TaskChange:
    return TaskChange(revision=task.revision, task=task)


def ended(number: int, state=pb.TASK_STATE_SUCCEEDED, revision: int = 11) -> TaskChange:
    return transition(make_task(number, state, revision=revision), pb.TASK_STATE_RUNNING).changes[0]


def test_only_a_higher_revision_replaces_a_row():
    board = Board()
    assert board.take(row(make_task(1, revision=10, message="new")))
    assert not board.take(row(make_task(1, revision=9, message="old")))
    assert [task.message for task in board.content().running] == ["new"]


def test_orders_are_fixed_and_an_end_leaves_the_active_rows():
    board = Board()
    for number in (3, 1, 2):
        board.take(row(make_task(number, start_time=at(number))))
    board.take(row(make_task(5, pb.TASK_STATE_QUEUED, create_time=at(5))))
    board.take(row(make_task(4, pb.TASK_STATE_RETRYING, create_time=at(4))))
    board.take(ended(1))
    content = board.content()
    assert [task.task_id[:8] for task in content.running] == ["00000002", "00000003"]
    assert [task.task_id[:8] for task in content.waiting] == ["00000004", "00000005"]
    assert [task.task_id[:8] for task in content.ended] == ["00000001"]
    assert content.counts[pb.TASK_STATE_SUCCEEDED] == 1
    assert content.counts[pb.TASK_STATE_RUNNING] == 2


def test_an_end_told_twice_after_a_resume_counts_once():
    board = Board()
    board.take(row(make_task(1)))
    board.take(ended(1))
    board.take(ended(1))
    assert board.content().counts[pb.TASK_STATE_SUCCEEDED] == 1


def test_the_board_is_bounded_and_says_so():
    board = Board(active_max=3)
    for number in range(10):
        board.take(row(make_task(number)))
    assert len(board.content().running) == 3
    assert board.content().is_full
    for number in range(3 * ENDED_KEPT):
        board.take(ended(number))
    assert len(board.content().ended) == ENDED_KEPT
    assert board.content().counts[pb.TASK_STATE_SUCCEEDED] == 3 * ENDED_KEPT
    board.forget()
    assert not board.content().is_full


def picture(board: Board, link: Link, width: int, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(BoardView(board, link, console).picture())
    return capture.get().splitlines()


def link_at(seconds: float) -> Link:
    clock = ServerClock(monotonic=lambda: 0.0, wall=lambda: T0_S + seconds)
    return Link(clock)


def test_the_picture_fits_any_width_and_height_and_counts_what_it_hides():
    board = Board()
    for number in range(60):
        board.take(row(make_task(number, message="m" * 300, name="n" * 150, progress=pb.Progress(done=1, percent=7))))
    for width in (60, 80, 120, 200):
        lines = picture(board, link_at(50), width, height=20)
        assert max(len(line) for line in lines) <= width
        assert len(lines) <= 20
        assert any("more" in line for line in lines)
        assert lines[-1].startswith("live · rev 0")
    assert "Running" in picture(board, link_at(50), 80)[0]


def test_the_empty_board_says_what_to_do():
    assert "taskstate run canary" in "\n".join(picture(Board(), link_at(0), 80))


def test_hostile_names_are_marks_in_the_picture():
    board = Board()
    board.take(row(make_task(1, name="\x1b[2Jx\u202e[red]", message="a\nb")))
    shown = "\n".join(picture(board, link_at(0), 120))
    assert "␛[2Jx\\u202e[red]" in shown
    assert "a␊b" in shown


def test_the_link_tells_a_loss_and_the_return_once_and_holds_its_time():
    now = [0.0]
    link = Link(ServerClock(monotonic=lambda: now[0], wall=lambda: 0.0))
    link.take(Checkpoint(revision=48190, server_time=at(0)))
    assert link.words() == "live · rev 48,190"
    lost = WatchInterrupted(TaskStateError("UNAVAILABLE", "", "gone"), 0.1)
    assert link.take(lost).startswith("Connection lost at ")
    now[0] = 12.0
    assert link.take(lost) == ""
    assert link.clock.now() == T0_S
    assert link.words().startswith("✕ Disconnected 12 s · shown as of ")
    assert link.take(Checkpoint(revision=48204, server_time=at(12))) == "Back. Nothing was missed."
    assert link.clock.now() == T0_S + 12
    link.take(lost)
    assert "Too far behind" in link.take(WatchReset("COMPACTED"))
    assert "Too far behind" in link.take(Checkpoint(revision=1, server_time=at(13)))
