"""The context: what a task says becomes the right words, and what cannot be meant is refused where it is said."""

from __future__ import annotations

import timeit

import pytest
from taskstate.context import TaskContext
from taskstate.task import DeclaredPhase
from taskstate.v1 import task_pb2
from taskstate.worker.outgoing import Outgoing


def phases_of(outgoing: Outgoing) -> list[tuple[str, str, str]]:
    """Every phase change that waits: id, name, state."""
    return [
        (request.phase.phase_id, request.phase.name, task_pb2.PhaseState.Name(request.phase.state)[12:])
        for request in outgoing.take()
        if request.HasField("phase")
    ]


@pytest.fixture
def outgoing() -> Outgoing:
    return Outgoing()


@pytest.fixture
def context(outgoing: Outgoing) -> TaskContext:
    declared = [
        DeclaredPhase(id="fetch", name="Fetching"),
        DeclaredPhase(id="content", name="Content"),
        DeclaredPhase(id="content.media", name="Media files"),
    ]
    return TaskContext(declared_phases=declared, outgoing=outgoing)


def test_phases_nest_and_declared_ones_are_used(context: TaskContext, outgoing: Outgoing) -> None:
    with context.phase("fetch"):
        pass
    with context.phase("content"), context.phase("media"):
        pass
    with context.phase("content"), context.phase("content.media"):
        pass
    assert phases_of(outgoing) == [
        ("fetch", "Fetching", "RUNNING"),
        ("fetch", "Fetching", "DONE"),
        ("content", "Content", "RUNNING"),
        ("content.media", "Media files", "RUNNING"),
        ("content.media", "Media files", "DONE"),
        ("content", "Content", "DONE"),
        # A phase that is entered again is the same phase.
        ("content", "Content", "RUNNING"),
        ("content.media", "Media files", "RUNNING"),
        ("content.media", "Media files", "DONE"),
        ("content", "Content", "DONE"),
    ]


def test_a_new_phase_gets_an_id_from_its_name(context: TaskContext, outgoing: Outgoing) -> None:
    with context.phase("Git sync!"), context.phase("push_it"), context.phase("fetch"):
        pass
    assert phases_of(outgoing)[:3] == [
        ("git_sync", "Git sync!", "RUNNING"),
        ("git_sync.push_it", "Push it", "RUNNING"),
        ("git_sync.push_it.fetch", "Fetch", "RUNNING"),
    ]


def test_an_exception_fails_its_phases_and_goes_on(context: TaskContext, outgoing: Outgoing) -> None:
    def body() -> None:
        with context.phase("content"), context.phase("media"):
            raise KeyError("gone")

    with pytest.raises(KeyError):
        body()
    requests = [request.phase for request in outgoing.take() if request.HasField("phase")]
    assert [(phase.phase_id, phase.state, phase.message) for phase in requests[2:]] == [
        ("content.media", task_pb2.PHASE_STATE_FAILED, "KeyError: 'gone'"),
        ("content", task_pb2.PHASE_STATE_FAILED, "KeyError: 'gone'"),
    ]
    context.progress(1)
    assert outgoing.take()[0].progress.phase_id == ""


def test_a_phase_can_be_skipped_inside_and_without_its_body(context: TaskContext, outgoing: Outgoing) -> None:
    with context.phase("fetch") as phase:
        phase.skip("nothing new")
    context.phase("content").skip("not asked for")
    assert phases_of(outgoing) == [
        ("fetch", "Fetching", "RUNNING"),
        ("fetch", "Fetching", "SKIPPED"),
        ("content", "Content", "SKIPPED"),
    ]


def test_progress_is_of_the_innermost_phase(context: TaskContext, outgoing: Outgoing) -> None:
    context.progress(1, 3, "task")
    with context.phase("content"):
        context.progress(2, 4)
        with context.phase("media"):
            context.progress(3, 5)
        context.progress(4, 4)
    reports = [
        (request.progress.phase_id, request.progress.done)
        for request in outgoing.take()
        if request.HasField("progress")
    ]
    assert reports == [("", 1), ("content", 2), ("content.media", 3), ("content", 4)]


def test_track_reports_what_is_done(context: TaskContext, outgoing: Outgoing) -> None:
    seen = []
    for item in context.track("abc"):
        [request] = outgoing.take()
        seen.append((item, request.progress.done, request.progress.total))
    assert seen == [("a", 0, 3), ("b", 1, 3), ("c", 2, 3)]
    assert outgoing.take()[0].progress.done == 3
    list(context.track(iter([1, 2])))
    [last] = outgoing.take()
    assert last.progress.done == 2
    assert not last.progress.HasField("total")


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), 10**400, 2.0**54])
def test_progress_that_cannot_be_meant_is_refused(context: TaskContext, outgoing: Outgoing, value: float) -> None:
    with pytest.raises(ValueError, match="done"):
        context.progress(value)
    with pytest.raises(ValueError, match="total"):
        context.progress(1, value)
    assert outgoing.take() == []


@pytest.mark.parametrize("value", [-1, 1.5, True, "3", 2**54])
def test_items_that_cannot_be_meant_are_refused(context: TaskContext, value: object) -> None:
    with pytest.raises(ValueError, match="items processed"):
        context.items(processed=value)  # type: ignore[arg-type]


def test_a_task_has_a_bounded_number_of_phases(context: TaskContext) -> None:
    for number in range(61):
        with context.phase(f"n{number}"):
            pass
    with pytest.raises(ValueError, match="one too many"), context.phase("one more"):
        pass
    with context.phase("n7"):
        pass


@pytest.mark.parametrize("name", ["", "   ", "x" * 200])
def test_a_phase_needs_a_name_that_can_be_one(context: TaskContext, name: str) -> None:
    with pytest.raises(ValueError, match="phase"), context.phase(name):
        pass


def test_it_is_cancelled_when_told(context: TaskContext) -> None:
    assert not context.cancelled
    context.set_cancelled()
    assert context.cancelled


def test_progress_costs_microseconds(context: TaskContext) -> None:
    # The promise is a few; the bound leaves room for a machine that others use.
    seconds = min(timeit.repeat(lambda: context.progress(5, 10, "at it"), number=1000, repeat=5)) / 1000
    assert seconds < 50e-6
