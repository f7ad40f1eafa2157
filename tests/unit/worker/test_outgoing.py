"""What an attempt has to say: the newest progress, every phase in its place, log lines within their bounds."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from taskstate.v1 import task_pb2, work_horse_pb2
from taskstate.worker import outgoing as module
from taskstate.worker.outgoing import Outgoing


def told(requests: list[work_horse_pb2.LocalRequest]) -> list[tuple[object, ...]]:
    """The messages in short."""
    words: list[tuple[object, ...]] = []
    for request in requests:
        match request.WhichOneof("body"):
            case "progress":
                words.append((request.progress.phase_id, request.progress.done))
            case "phase":
                words.append((request.phase.phase_id, task_pb2.PhaseState.Name(request.phase.state)[12:]))
            case "logs":
                words.append(tuple(line.text for line in request.logs.lines))
    return words


def test_a_newer_progress_replaces_an_older_one() -> None:
    outgoing = Outgoing()
    outgoing.progress("", 1, 10, "one")
    outgoing.items(3, None)
    outgoing.progress("", 2, None, None)
    [request] = outgoing.take()
    assert (request.progress.done, request.progress.total, request.progress.message) == (2, 10, "one")
    assert request.progress.items_processed == 3
    assert not request.progress.HasField("items_failed")
    assert outgoing.take() == []


def test_what_was_said_before_a_phase_change_stays_before_it() -> None:
    outgoing = Outgoing()
    outgoing.phase("a", "A", "running", "")
    outgoing.progress("a", 1, 2, None)
    outgoing.progress("a", 2, 2, None)
    outgoing.phase("a", "A", "done", "")
    outgoing.progress("", 7, None, None)
    assert told(outgoing.take()) == [("a", "RUNNING"), ("a", 2), ("a", "DONE"), ("", 7)]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("progress"), st.sampled_from("ab"), st.integers(0, 99)),
            st.tuples(st.just("phase"), st.sampled_from("ab"), st.sampled_from(["running", "done"])),
            st.just(("take",)),
        )
    )
)
def test_the_last_word_about_each_phase_is_always_said_and_changes_keep_their_order(
    steps: list[tuple[object, ...]],
) -> None:
    outgoing = Outgoing()
    requests: list[work_horse_pb2.LocalRequest] = []
    for step in steps:
        match step:
            case ("progress", phase, done):
                outgoing.progress(str(phase), float(str(done)), None, None)
            case ("phase", phase, state):
                outgoing.phase(str(phase), "", state, "")  # type: ignore[arg-type]
            case _:
                requests += outgoing.take()
    requests += outgoing.take()
    changes = [(step[1], str(step[2]).upper()) for step in steps if step[0] == "phase"]
    assert [word for word in told(requests) if isinstance(word[1], str)] == changes
    for phase in "ab":
        given_numbers = [step[2] for step in steps if step[0] == "progress" and step[1] == phase]
        said = [word[1] for word in told(requests) if word[0] == phase and not isinstance(word[1], str)]
        assert said[-1:] == given_numbers[-1:]


def test_phase_changes_beyond_the_bound_are_reduced_to_the_newest_of_each() -> None:
    outgoing = Outgoing()
    for number in range(module.ORDERED_MAX):
        outgoing.phase(f"p{number % 3}", "", "running", str(number))
    outgoing.phase("p0", "", "done", "last")
    requests = outgoing.take()
    assert len(requests) == 3
    assert told(requests)[-1] == ("p0", "DONE")


def test_log_lines_are_numbered_and_cut_into_batches() -> None:
    outgoing = Outgoing(attempt=2)
    for number in range(1500):
        outgoing.log(task_pb2.LOG_LEVEL_INFO, 1.5, f"line {number}", "a.b")
    batches = [request.logs for request in outgoing.take()]
    assert [len(batch.lines) for batch in batches] == [1000, 500]
    lines = [line for batch in batches for line in batch.lines]
    assert [line.sequence for line in lines] == [2 << 32 | n for n in range(1, 1501)]
    assert lines[0].time.ToMilliseconds() == 1500
    assert lines[0].attempt == 2


def test_large_lines_go_in_several_messages_that_fit_a_frame() -> None:
    outgoing = Outgoing()
    for _ in range(200):
        outgoing.log(task_pb2.LOG_LEVEL_INFO, 0, "ä" * 10_000, "a")
    batches = outgoing.take()
    assert len(batches) > 1
    assert max(batch.ByteSize() for batch in batches) <= 1024 * 1024
    assert {len(line.text.encode()) for batch in batches for line in batch.logs.lines} <= {8191, 8192}


def test_dropped_lines_are_counted_in_the_last_one() -> None:
    outgoing = Outgoing()
    for _ in range(module.LOG_LINES_MAX + 5):
        outgoing.log(task_pb2.LOG_LEVEL_INFO, 0, "x", "a")
    lines = [line for request in outgoing.take_last(9.0) for line in request.logs.lines]
    assert len(lines) == module.LOG_LINES_MAX
    assert lines[-1].text.startswith("6 log lines were dropped")
    assert lines[-1].sequence == (1 << 32) + module.LOG_LINES_MAX


def test_unsent_lines_are_bounded_by_bytes() -> None:
    outgoing = Outgoing()
    for _ in range(1000):
        outgoing.log(task_pb2.LOG_LEVEL_INFO, 0, "x" * 8000, "a")
    lines = [line for request in outgoing.take_last(0) for line in request.logs.lines]
    assert len(lines) == module.UNSENT_LOG_BYTES_MAX // 8000 + 1
    assert f"{1000 - len(lines) + 1} log lines were dropped" in lines[-1].text


def test_it_wakes_the_sender_once_until_it_takes() -> None:
    wakes: list[int] = []
    outgoing = Outgoing(wake=lambda: wakes.append(1))
    for number in range(100):
        outgoing.progress("", number, None, None)
    assert len(wakes) == 1
    outgoing.take()
    outgoing.items(1, 1)
    assert len(wakes) == 2


def test_after_the_last_word_and_in_a_forked_child_nothing_is_accepted() -> None:
    ways: list[Callable[[Outgoing], object]] = [lambda o: o.take_last(0), lambda o: o.forget_after_fork()]
    for close in ways:
        outgoing = Outgoing(wake=lambda: None)
        outgoing.progress("", 1, None, None)
        close(outgoing)
        outgoing.progress("", 2, None, None)
        outgoing.items(1, 1)
        outgoing.phase("a", "A", "running", "")
        outgoing.log(task_pb2.LOG_LEVEL_INFO, 0, "x", "a")
        assert outgoing.take() == []
