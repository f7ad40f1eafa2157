"""The picture of one task: what the design draws, at every width, from the reports alone."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from taskstate.cli.clock import ServerClock
from taskstate.cli.follow import Following
from taskstate.cli.follow_view import FollowView, time_left
from taskstate.cli.link import Link
from taskstate.v1 import task_pb2 as pb

from tests.support.fake_task_service import T0_S, at, make_task

PHASES = [
    pb.Phase(id="initialization", state=pb.PHASE_STATE_DONE, start_time=at(1), end_time=at(1.4)),
    pb.Phase(id="fetch", state=pb.PHASE_STATE_DONE, start_time=at(1), end_time=at(13), done=310, total=310),
    pb.Phase(id="content", state=pb.PHASE_STATE_RUNNING, start_time=at(13), done=1204, total=1980),
    pb.Phase(id="content.cache", state=pb.PHASE_STATE_DONE),
    pb.Phase(id="content.media", state=pb.PHASE_STATE_RUNNING, message="figure-12.png", done=61, total=100),
    pb.Phase(id="synthesis", state=pb.PHASE_STATE_PENDING),
    pb.Phase(id="git_sync", name="git sync", state=pb.PHASE_STATE_PENDING),
]


def kb_refresh(**fields) -> pb.Task:
    return make_task(
        name="kb-refresh", attempt=2, max_attempts=3, phases=PHASES, phase="content.media", items_processed=1204,
        items_failed=3, progress=pb.Progress(done=2, total=5, percent=52), heard_time=at(60.2), **fields,
    )  # fmt: skip


def picture(task: pb.Task, width: int = 100, seconds: float = 61) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    clock = ServerClock(monotonic=lambda: 0.0, wall=lambda: T0_S + seconds)
    view = FollowView(Following(task, Link(clock)), console)
    with console.capture() as capture:
        console.print(view.picture())
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_picture_has_what_the_design_draws():
    lines = picture(kb_refresh())
    assert lines[0] == "▷ Running  kb-refresh 8f2c1a90   attempt 2 of 3   w-1"
    assert lines[1].split() == ["✓", "initialization", "0.4", "s"]
    assert lines[2].split() == ["✓", "fetch", "12", "s", "310"]
    assert lines[3].split()[:4] == ["▷", "content", "60", "%"]
    assert lines[3].endswith("1,204 of 1,980")
    assert "━" in lines[3]
    assert lines[4].split() == ["✓", "cache", "▷", "media", "61", "%"]
    assert lines[5].split()[0] == "media"
    assert lines[5].endswith("61 of 100  figure-12.png")
    assert lines[6].strip() == "· synthesis · git sync"
    assert lines[7].strip() == "1,204 items, 3 failed"
    assert lines[8].startswith("heard 0.8 s ago · live · rev 0")


@pytest.mark.parametrize("width", [60, 80, 131, 200])
def test_the_picture_fits_every_width(width):
    task = kb_refresh(worker=pb.Worker(worker_id="w" * 90))
    task.phases[4].message = "long " * 60
    lines = picture(task, width)
    assert len(lines) == 9
    assert max(len(line) for line in lines) <= width


def test_no_bar_and_no_percent_where_the_whole_is_not_known():
    lines = picture(make_task(progress=pb.Progress(done=1204), message="reading"))
    assert "1,204 done" in lines[1]
    assert "%" not in lines[1]
    assert "━" not in lines[1]


def test_a_doubt_stands_beside_the_state_with_its_sentence():
    lines = picture(make_task(liveness=pb.LIVENESS_UNRESPONSIVE))
    assert "▷ Running" in lines[0]
    assert "⏸ Unresponsive" in lines[0]
    assert "Not counted as dead" in lines[1]


def test_a_picture_after_the_end_names_the_next_commands_and_promises_nothing():
    task = make_task(
        state=pb.TASK_STATE_FAILED, error=pb.TaskError(type="builtins.ValueError", message="bad \x1b[31mred")
    )
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    view = FollowView(Following(task, Link(ServerClock(lambda: 0.0, lambda: T0_S + 61.0))), console)
    with view:
        view.ended()
    with console.capture() as capture:
        console.print(view.picture())
    shown = capture.get()
    assert "✕ Failed" in shown
    assert "Ended with ValueError: bad ␛[31mred." in shown
    assert "taskstate show 8f2c1a90" in shown
    assert "Ctrl-C" not in shown


@pytest.mark.parametrize(
    ("percent", "seconds", "expected"),
    [(None, 61, None), (4, 61, None), (50, 61, 60.0), (100, 61, None), (50, 3, None)],
)
def test_an_estimate_is_made_only_from_a_pace(percent, seconds, expected):
    task = make_task(progress=pb.Progress(percent=percent))
    assert time_left(task, T0_S + seconds) == expected
    task.phases.add(id="fetch", state=pb.PHASE_STATE_RUNNING)
    assert time_left(task, T0_S + seconds) is None


def test_the_estimate_says_what_it_is_made_from():
    lines = picture(make_task(progress=pb.Progress(done=50, total=100, percent=50)))
    assert lines[2].strip() == "about 1 min left (this run's pace)"


def test_a_stop_under_way_is_a_doubt_with_its_stage_and_deadline():
    cancel = pb.Cancel(request_time=at(49), deliver_time=at(49.1), deadline_time=at(64))
    lines = picture(make_task(cancel=cancel))
    assert "◧ Cancelling" in lines[0]
    assert lines[1].strip() == (
        "Stop requested 12 s ago; delivered, waiting for the task to stop. Over in 3.0 s in any case."
    )
