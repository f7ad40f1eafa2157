"""Every state has its sentence, nothing unknown breaks the reader, and nothing hostile comes through."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from taskstate.cli import follow_lines, show, words
from taskstate.v1 import task_pb2 as pb

from tests.support.fake_task_service import T0_S, at, make_task

NOW = T0_S + 43.0


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (make_task(state=pb.TASK_STATE_PENDING), "Accepted. Waiting for dispatch."),
        (
            make_task(state=pb.TASK_STATE_PENDING, wait_reason=pb.WAIT_REASON_TIME, due_time=at(85)),
            "Accepted. Waiting for its time, in 42 s.",
        ),
        (
            make_task(state=pb.TASK_STATE_PENDING, wait_reason=pb.WAIT_REASON_TIME, due_time=at(1)),
            "Accepted. Waiting for its time, due now.",
        ),
        (
            make_task(state=pb.TASK_STATE_PENDING, wait_reason=pb.WAIT_REASON_SLOT),
            "Accepted. Waiting for a free slot of its group.",
        ),
        (make_task(state=pb.TASK_STATE_QUEUED), "In queue default."),
        (make_task(heard_time=at(42)), "Attempt 1 of 1 on w-1, heard 1.0 s ago."),
        (
            make_task(liveness=pb.LIVENESS_SUSPECT),
            "Connection to the worker ended, heard 42 s ago. It has a short grace to come back.",
        ),
        (
            make_task(liveness=pb.LIVENESS_UNRESPONSIVE),
            "The process is there, but its code has not reported, heard 42 s ago. Not counted as dead.",
        ),
        (
            make_task(
                state=pb.TASK_STATE_RETRYING, max_attempts=3, due_time=at(85),
                error=pb.TaskError(type="builtins.ValueError", message="no."),
            ),
            "Attempt 1 failed: ValueError: no. Next, attempt 2 of 3, in 42 s.",
        ),
        (
            make_task(state=pb.TASK_STATE_RETRYING, max_attempts=3, wait_reason=pb.WAIT_REASON_PREVIOUS_PROCESS),
            "Attempt 1 failed: no reason given. Next, attempt 2 of 3, waits for its previous process to go.",
        ),
        (
            make_task(liveness=pb.LIVENESS_SUSPECT, heard_time=at(41), suspect_until_time=at(44.5)),
            "Connection to the worker ended, heard 2.0 s ago. It has 1.5 s to come back.",
        ),
        (
            make_task(cancel=pb.Cancel(request_time=at(40), signal_time=at(42), deadline_time=at(42))),
            "Stop requested 3.0 s ago; told to end, and killed if it does not. Over now in any case.",
        ),
        (
            make_task(
                state=pb.TASK_STATE_CANCELLED, cancel=pb.Cancel(outcome=pb.CANCEL_OUTCOME_CONFIRMED, exit_time=at(41))
            ),
            "Stopped on request. Exit seen.",
        ),
        (make_task(state=pb.TASK_STATE_SUCCEEDED), "Finished in 41 s."),
        (make_task(state=pb.TASK_STATE_FAILED, reason=pb.TASK_REASON_STALLED), "Ended with No progress."),
        (make_task(state=pb.TASK_STATE_CANCELLED), "Stopped on request. The exit was not confirmed."),
        (make_task(state=pb.TASK_STATE_LOST), "The worker vanished. The outcome is not known."),
        (
            make_task(state=pb.TASK_STATE_LOST, exit=pb.ProcessExit(signal=9, peak_memory_bytes=4 * 2**20)),
            "The worker vanished. The outcome is not known. Its process ended with signal 9, peak memory 4.0 MiB.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_state_has_its_sentence(task, sentence):
    assert words.state_sentence(task, NOW) == sentence


def test_every_value_of_the_api_has_words():
    for state in pb.TaskState.values()[1:]:
        assert words.state_look(state).word
        assert words.state_sentence(make_task(state=state), NOW)
    assert all(not words.state_look(state).word.startswith("State") for state in pb.TaskState.values()[1:])
    assert all(not words.reason_words(reason).startswith("Reason") for reason in pb.TaskReason.values())
    assert all(not words.wait_words(wait).startswith("wait reason") for wait in pb.WaitReason.values())
    kinds = [pb.TaskEvent(kind=kind) for kind in pb.TaskEventKind.values()[1:]]
    assert all(not words.event_words(event).startswith("event") for event in kinds)
    assert all(not words.phase_look(state).word.startswith("state") for state in pb.PhaseState.values()[1:])


def test_values_of_a_newer_service_are_shown_as_received():
    task = make_task(state=77, reason=78, wait_reason=79, phases=[pb.Phase(id="a", state=80)])
    assert words.state_look(77).word == "State 77"
    assert words.reason_words(78) == "Reason 78"
    assert "State 77" in words.state_sentence(task, NOW)
    assert list(show.task_lines(task, NOW, with_traceback=False))


hostile_text = st.text(st.characters(exclude_categories=("Cs",), min_codepoint=0), max_size=20) | st.sampled_from(
    ["\x1b[2J", "a\r\nb", "\u202e", "\x9b1m", "[bold red]x[/]"]
)


@given(name=hostile_text, message=hostile_text, phase=hostile_text, error=hostile_text)
def test_no_text_of_a_task_acts_on_the_terminal(name, message, phase, error):
    task = make_task(
        name=name,
        type=name or "t",
        message=message,
        queue=message,
        phase=phase,
        phases=[pb.Phase(id=phase, name=phase, message=message, state=pb.PHASE_STATE_FAILED)],
        error=pb.TaskError(type=error, message=message, traceback=error),
        worker=pb.Worker(worker_id=error, host=name),
        payload=message,
        result=error,
    )
    event = pb.TaskEvent(kind=pb.TASK_EVENT_KIND_CREATED, message=message, actor=name, time=at(1))
    shown = [
        *show.task_lines(task, NOW, with_traceback=True),
        *show.event_lines([event, event]),
        *follow_lines.phase_lines(pb.Task(), task),
        follow_lines.progress_words(task),
        *(words.state_sentence(make_task(state=state, queue=name, error=task.error), NOW) for state in words.STATES),
    ]
    assert not [c for line in shown for c in line if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
