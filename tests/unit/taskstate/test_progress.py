"""Phases and the one number, under any sequence of what a task may report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.taskstate import progress
from services.taskstate.model import PHASE_ENDED, Phase, PhaseState, Spec, Task, TaskState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TASK = Task(spec=Spec("00000000-0000-4000-8000-000000000001", "demo", NOW, 1), state=TaskState.RUNNING)

phase_ids = st.sampled_from(["a", "b", "c", "a.x", "a.y", "a.x.deep", "b.z", "c.q.deep"])
numbers = st.none() | st.floats(0, 2**53) | st.sampled_from([0.0, 1.0, 5.0, 10.0])
begins = st.tuples(st.just("begin"), phase_ids)
ends = st.tuples(st.just("end"), phase_ids, st.sampled_from(sorted(PHASE_ENDED)))
reports = st.tuples(st.just("report"), phase_ids, numbers, numbers)
said = st.lists(begins | ends | reports, max_size=25)
declarations = st.lists(st.tuples(phase_ids, st.just("")), unique=True, max_size=4)


def say(phases: tuple[Phase, ...], what: tuple, now: datetime) -> tuple[Phase, ...]:
    """The phases after one thing a task said."""
    match what:
        case ("begin", phase_id):
            return progress.begin(phases, phase_id, "", "begun", now)
        case ("end", phase_id, state):
            return progress.end(phases, phase_id, state, "", "", now)
        case ("report", phase_id, done, total):
            return progress.report(phases, phase_id, done, total, None)
    raise AssertionError(what)


def shown(phases: tuple[Phase, ...]) -> progress.TaskProgress:
    return progress.progress_of(Task(spec=TASK.spec, state=TaskState.RUNNING, phases=phases))


@settings(max_examples=150)
@given(declarations, said)
def test_nothing_falls_and_percent_stays_within_its_bounds(declared: list, whole: list):
    phases = progress.declared(declared)
    for number, what in enumerate(whole):
        later = say(phases, what, NOW + timedelta(seconds=number))
        was, is_now = shown(phases), shown(later)
        assert is_now.percent is None or 0 <= is_now.percent <= 100
        assert is_now.done >= was.done
        assert is_now.total is None or is_now.done <= is_now.total
        known = {phase.id: phase for phase in later}
        assert len(known) == len(later)
        for phase in phases:
            assert known[phase.id].done >= phase.done
            assert phase.state not in PHASE_ENDED or known[phase.id] == phase
        phases = later


@settings(max_examples=100)
@given(declarations, said, st.booleans())
def test_an_end_closes_all_that_runs(declared: list, whole: list, succeeded: bool):
    phases = progress.declared(declared)
    for what in whole:
        phases = say(phases, what, NOW)
    closed = progress.close(phases, succeeded, NOW + timedelta(hours=1))
    assert [phase.id for phase in closed] == [phase.id for phase in phases]
    for before, after in zip(phases, closed, strict=True):
        match before.state:
            case PhaseState.RUNNING:
                assert after.state is (PhaseState.DONE if succeeded else PhaseState.FAILED)
                assert after.end_time == NOW + timedelta(hours=1)
            case PhaseState.PENDING:
                assert after.state is (PhaseState.SKIPPED if succeeded else PhaseState.PENDING)
            case _:
                assert after == before
    assert progress.innermost_running(closed) == ""


@settings(max_examples=100)
@given(said)
def test_times_are_in_order_and_follow_from_the_state(whole: list):
    phases: tuple[Phase, ...] = ()
    for number, what in enumerate(whole):
        phases = say(phases, what, NOW + timedelta(seconds=number))
    for phase in phases:
        assert (phase.start_time is None) == (phase.state is PhaseState.PENDING)
        assert (phase.end_time is None) == (phase.state not in PHASE_ENDED)
        assert phase.end_time is None or phase.end_time >= phase.start_time


def test_sub_phases_stand_behind_their_parents_last_one():
    phases = progress.declared([("a", ""), ("b", "")])
    for phase_id in ("b.x", "a.x", "a.y", "a.x.deep", "a.z", "c", "unknown.x"):
        phases = progress.begin(phases, phase_id, "", "", NOW)
    assert [phase.id for phase in phases] == ["a", "a.x", "a.x.deep", "a.y", "a.z", "b", "b.x", "c", "unknown.x"]


@pytest.mark.parametrize(
    ("done", "total", "percent"),
    [
        (0, None, None),
        (7, None, None),
        (0, 10, 0.0),
        (1, 3, 33.3),
        (10, 10, 100.0),
        (12, 10, 100.0),
        (0, 0, 100.0),
        (2**53, 5e-324, 100.0),
    ],
)
def test_without_phases_it_is_the_count_the_task_reported(done: float, total: float | None, percent: float | None):
    task = Task(spec=TASK.spec, state=TaskState.RUNNING, done=done, total=total)
    assert progress.progress_of(task) == progress.TaskProgress(done, total, percent)


def test_a_task_that_succeeded_is_at_100_percent():
    for task in (Task(spec=TASK.spec, done=3.0, total=10.0), Task(spec=TASK.spec)):
        succeeded = Task(spec=task.spec, state=TaskState.SUCCEEDED, done=task.done, total=task.total)
        assert progress.progress_of(succeeded).percent == 100.0


def test_percent_is_the_mean_of_the_top_phases_shares_and_theirs_of_their_sub_phases():
    phases = progress.declared([("a", ""), ("b", ""), ("c", ""), ("d", "")])
    phases = progress.end(phases, "a", PhaseState.DONE, "", "", NOW)
    for phase_id in ("b", "b.x", "b.y", "b.y.deep", "b.y.deeper", "c"):
        phases = progress.begin(phases, phase_id, "", "", NOW)
    phases = progress.report(phases, "b", 9.0, 10.0, None)
    phases = progress.report(phases, "b.x", 1.0, 4.0, None)
    phases = progress.end(phases, "b.y.deep", PhaseState.SKIPPED, "", "", NOW)
    phases = progress.report(phases, "c", 3.0, None, None)
    # a: 1; b: the mean of b.x (1/4) and b.y (the mean of 1 and 0); c: its total is not known; d: has not begun.
    assert shown(phases) == progress.TaskProgress(1.0, 4.0, round(100 * (1 + (0.25 + 0.5) / 2) / 4, 1))


def test_the_innermost_running_phase_is_named():
    phases = progress.begin((), "a", "", "", NOW)
    phases = progress.begin(phases, "a.x", "", "", NOW)
    phases = progress.begin(phases, "b", "", "", NOW + timedelta(seconds=1))
    assert progress.innermost_running(phases) == "a.x"
    phases = progress.end(phases, "a.x", PhaseState.FAILED, "", "", NOW)
    assert progress.innermost_running(phases) == "b"


def test_a_name_is_the_declared_one_until_another_is_told():
    phases = progress.declared([("a", "Fetch"), ("b", "")])
    assert [phase.name for phase in phases] == ["Fetch", "b"]
    phases = progress.begin(progress.begin(phases, "a", "", "", NOW), "b", "Make", "", NOW)
    phases = progress.begin(phases, "b.media", "", "", NOW)
    assert [phase.name for phase in phases] == ["Fetch", "Make", "media"]


def test_a_phase_that_is_not_running_keeps_its_numbers():
    phases = progress.declared([("a", ""), ("b", "")])
    phases = progress.end(phases, "b", PhaseState.DONE, "", "", NOW)
    for phase_id in ("a", "b", "unknown"):
        assert progress.report(phases, phase_id, 5.0, 10.0, "more") == phases


def test_a_phase_that_is_done_has_done_all_it_counted_and_never_less_than_it_said():
    for done, total, expected in ((3.0, 10.0, 10.0), (12.0, 10.0, 12.0), (3.0, None, 3.0)):
        phases = progress.report(progress.begin((), "a", "", "", NOW), "a", done, total, None)
        assert progress.end(phases, "a", PhaseState.DONE, "", "", NOW)[0].done == expected
        assert progress.end(phases, "a", PhaseState.FAILED, "", "", NOW)[0].done == done


def test_more_phases_than_the_limit_are_refused():
    phases = progress.declared((f"p{n}", "") for n in range(progress.PHASES_MAX))
    with pytest.raises(progress.TooManyPhases):
        progress.begin(phases, "more", "", "", NOW)
    with pytest.raises(progress.TooManyPhases):
        progress.end(phases, "more", PhaseState.SKIPPED, "", "", NOW)
    assert len(progress.begin(phases, "p0", "", "", NOW)) == progress.PHASES_MAX
