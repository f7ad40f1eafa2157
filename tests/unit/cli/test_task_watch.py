"""The watch resumes from the right place, starts over when it must, and gives up when it should. Scripted streams."""

from __future__ import annotations

import threading

import grpc
import pytest
from taskstate.errors import TaskStateError
from taskstate.task_watch import TaskWatch, WatchInterrupted, WatchReset
from taskstate.v1 import task_pb2
from taskstate.v1 import task_service_pb2 as pb

from tests.support.fake_task_service import make_task, progress, snapshot, transition


class ScriptedError(grpc.RpcError):
    """What grpc raises, as far as it is read."""

    def __init__(self, code: grpc.StatusCode, reason: str = "") -> None:
        super().__init__()
        self._code = code
        self._reason = reason

    def code(self):
        return self._code

    def details(self):
        return "scripted"

    def trailing_metadata(self):
        if not self._reason:
            return ()
        from google.protobuf import any_pb2
        from google.rpc import error_details_pb2, status_pb2

        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.ErrorInfo(reason=self._reason, domain="taskstate"))
        return (("grpc-status-details-bin", status_pb2.Status(details=[detail]).SerializeToString()),)


class Streams:
    """Opens one scripted stream after the other, and a clock that only `sleep` and streams move."""

    def __init__(self, *scripts) -> None:
        self.scripts = list(scripts)
        self.requests: list[pb.WatchTasksRequest] = []
        self.timeouts: list[float | None] = []
        self.slept: list[float] = []
        self.cancelled = 0
        self.now = 0.0

    def __call__(self, request, *, timeout):
        self.requests.append(request)
        self.timeouts.append(timeout)
        return Stream(self, self.scripts.pop(0))

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def watch(self, request=None, **options) -> TaskWatch:
        return TaskWatch(self, request or pb.WatchTasksRequest(), clock=lambda: self.now, sleep=self.sleep, **options)


class Stream:
    def __init__(self, streams: Streams, script) -> None:
        self._streams = streams
        self._steps = iter(script)

    def __next__(self):
        step = next(self._steps)
        if isinstance(step, grpc.RpcError):
            raise step
        if isinstance(step, float):
            self._streams.now += step
            return next(self)
        return step

    def cancel(self) -> None:
        self._streams.cancelled += 1


UNAVAILABLE = ScriptedError(grpc.StatusCode.UNAVAILABLE)


def cursors(streams: Streams) -> list[int | None]:
    return [request.from_revision if request.HasField("from_revision") else None for request in streams.requests]


def take(watch: TaskWatch, count: int) -> list:
    items = iter(watch)
    return [next(items) for _ in range(count)]


def kinds(items) -> list[str]:
    return [type(item).__name__ for item in items]


def test_resumes_from_the_last_transition_or_checkpoint_and_never_from_progress():
    running = make_task(revision=12)
    streams = Streams(
        [
            snapshot(make_task(revision=5), revision=10),
            transition(running, task_pb2.TASK_STATE_QUEUED),
            progress(make_task(revision=15)),
            UNAVAILABLE,
        ],
        [pb.WatchTasksResponse(checkpoint=pb.Checkpoint(revision=20)), UNAVAILABLE],
        [],
    )
    watch = streams.watch()
    items = take(watch, 7)
    assert kinds(items) == [
        "TaskChange", "Checkpoint", "TaskChange", "TaskChange", "WatchInterrupted", "Checkpoint", "WatchInterrupted",
    ]  # fmt: skip
    assert cursors(streams) == [None, 12]
    assert watch.cursor == 20


def test_a_given_cursor_is_where_it_begins():
    streams = Streams([transition(make_task(revision=31), task_pb2.TASK_STATE_QUEUED), UNAVAILABLE], [snapshot()])
    take(streams.watch(pb.WatchTasksRequest(from_revision=0, group="agent")), 3)
    assert cursors(streams) == [0, 31]
    assert {request.group for request in streams.requests} == {"agent"}


@pytest.mark.parametrize("reason", ["COMPACTED", "FUTURE_REVISION"])
def test_a_useless_cursor_starts_over_from_a_snapshot_and_says_so(reason):
    streams = Streams([ScriptedError(grpc.StatusCode.OUT_OF_RANGE, reason)], [snapshot(make_task())])
    items = take(streams.watch(pb.WatchTasksRequest(from_revision=3)), 3)
    assert items[0] == WatchReset(reason)
    assert kinds(items[1:]) == ["TaskChange", "Checkpoint"]
    assert cursors(streams) == [3, None]
    assert streams.slept == []


def test_a_snapshot_that_broke_off_is_void():
    half = pb.WatchTasksResponse(changes=[pb.TaskChange(revision=5, task=make_task(revision=5))])
    streams = Streams([half, UNAVAILABLE], [snapshot()])
    items = take(streams.watch(), 4)
    assert kinds(items) == ["TaskChange", "WatchInterrupted", "WatchReset", "Checkpoint"]
    assert items[2].reason == "INCOMPLETE_SNAPSHOT"
    assert cursors(streams) == [None, None]


def test_pauses_grow_and_start_anew_after_a_word_from_the_service():
    streams = Streams(*([[UNAVAILABLE]] * 8), [snapshot(), UNAVAILABLE], [snapshot()])
    take(streams.watch(), 11)
    assert all(later >= earlier / 2 for earlier, later in zip(streams.slept[:7], streams.slept[1:8], strict=True))
    assert max(streams.slept) <= 5.0
    assert streams.slept[7] >= 2.5
    assert streams.slept[8] <= 0.2


@pytest.mark.parametrize(
    "error",
    [
        UNAVAILABLE,
        ScriptedError(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"),
        ScriptedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "SLOW_WATCHER"),
        ScriptedError(grpc.StatusCode.INTERNAL),
        ScriptedError(grpc.StatusCode.CANCELLED),
    ],
    ids=["away", "shutdown", "slow", "reset by the transport", "cancelled by the server"],
)
def test_what_may_pass_is_tried_again(error):
    assert kinds(take(Streams([error], [snapshot()]).watch(), 2)) == ["WatchInterrupted", "Checkpoint"]


def test_a_stream_that_ends_quietly_is_opened_again():
    assert kinds(take(Streams([], [snapshot()]).watch(), 2)) == ["WatchInterrupted", "Checkpoint"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED"),
        (grpc.StatusCode.INTERNAL, "INTERNAL"),
        (grpc.StatusCode.OUT_OF_RANGE, "COMPACTED"),
    ],
)
def test_what_will_not_pass_is_raised(code, reason):
    with pytest.raises(TaskStateError) as raised:
        take(Streams([ScriptedError(code, reason)]).watch(), 1)
    assert raised.value.code == code.name


def test_patience_counts_from_the_last_word():
    scripts = [[snapshot(), 3.0, snapshot(), UNAVAILABLE], *([[UNAVAILABLE]] * 50)]
    streams = Streams(*scripts)
    with pytest.raises(TaskStateError, match="scripted"):
        take(streams.watch(patience_s=10.0), 60)
    assert 13.0 <= streams.now < 13.0 + 5.0


def test_the_timeout_is_for_everything_and_is_a_timeout_error():
    streams = Streams([snapshot(), 4.0, UNAVAILABLE], [7.0, ScriptedError(grpc.StatusCode.DEADLINE_EXCEEDED)])
    with pytest.raises(TimeoutError, match="10 s"):
        take(streams.watch(timeout_s=10.0), 3)
    assert streams.timeouts[0] == 10.0
    assert streams.timeouts[1] == pytest.approx(6.0 - streams.slept[0])


def test_a_reader_who_stops_ends_the_call():
    streams = Streams([snapshot(), snapshot()])
    items = iter(streams.watch())
    next(items)
    items.close()
    assert streams.cancelled == 1


def test_a_silent_stream_is_cancelled_and_opened_again():
    cancelled = threading.Event()

    class Silent:
        def __next__(self):
            assert cancelled.wait(10)
            raise ScriptedError(grpc.StatusCode.CANCELLED)

        def cancel(self) -> None:
            cancelled.set()

    streams = iter([Silent(), Stream(Streams(), [snapshot()])])
    watch = TaskWatch(
        lambda _request, *, timeout: next(streams), pb.WatchTasksRequest(), silence_limit_s=0.02, sleep=lambda _s: None
    )
    items = take(watch, 2)
    assert isinstance(items[0], WatchInterrupted)
    assert isinstance(items[1], pb.Checkpoint)
