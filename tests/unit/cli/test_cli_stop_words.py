"""The words for a stop: its message, its receipt, and the sentences of the states it leads to."""

from __future__ import annotations

import pytest
from taskstate.cli import receipt, verdict_words, words
from taskstate.stop_message import stop_message
from taskstate.v1 import maintenance_service_pb2 as maintenance
from taskstate.v1 import task_pb2 as pb

from tests.support.fake_task_service import T0_S, at, make_task

NOW = T0_S + 43.0
CONFIRMED, UNCONFIRMED, TOO_LATE = (
    pb.CANCEL_OUTCOME_CONFIRMED,
    pb.CANCEL_OUTCOME_UNCONFIRMED,
    pb.CANCEL_OUTCOME_TOO_LATE,
)


def asked(**fields) -> pb.Cancel:
    return pb.Cancel(request_time=at(40), deadline_time=at(55), **fields)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (make_task(cancel=asked()), "Stop requested; over by 55."),
        (make_task(cancel=pb.Cancel(request_time=at(40))), "Stop requested."),
        (
            make_task(state=pb.TASK_STATE_FAILED, cancel=asked(force=True)),
            "Force cancelled; its process is being ended.",
        ),
        (
            make_task(state=pb.TASK_STATE_FAILED, cancel=asked(force=True, outcome=CONFIRMED)),
            "Force cancelled; no process was running.",
        ),
        (
            make_task(state=pb.TASK_STATE_CANCELLED, cancel=asked()),
            "Stopped; no attempt was running, and the process of the last one has yet to go.",
        ),
        (
            make_task(state=pb.TASK_STATE_CANCELLED, cancel=asked(outcome=CONFIRMED)),
            "Stopped; no attempt was running.",
        ),
        (
            pb.Task(state=pb.TASK_STATE_CANCELLED, cancel=asked(outcome=CONFIRMED)),
            "Stopped; it had not started.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_stop_says_what_happens_next(task, message):
    assert stop_message(task, lambda time: str(time.seconds - T0_S)) == message


@pytest.mark.parametrize(
    ("cancel", "line"),
    [
        (asked(), "Requested 3.0 s ago → Delivered not yet → Signalled not yet → Exit seen not yet"),
        (
            asked(deliver_time=at(40.1), signal_time=at(45)),
            "Requested 3.0 s ago → Delivered +100 ms → Signalled +5.0 s → Exit seen not yet",
        ),
        (
            asked(deliver_time=at(40.1), exit_time=at(41.5), outcome=CONFIRMED),
            "Requested 3.0 s ago → Delivered +100 ms → Signalled never → Exit seen +1.5 s",
        ),
        (
            asked(outcome=UNCONFIRMED),
            "Requested 3.0 s ago → Delivered never → Signalled never → Exit seen never",
        ),
    ],
)
def test_a_receipt_has_four_steps(cancel, line):
    assert receipt.receipt_line(cancel, NOW) == line
    rows = list(receipt.receipt_rows(cancel))
    assert [label for label, _ in rows[:4]] == ["Requested", "Delivered", "Signalled", "Exit seen"]
    assert rows[4][0] == ("Outcome" if cancel.outcome else "Over by")
    assert ("never" in line) == any(value == "never" for _, value in rows)


def test_every_outcome_and_verdict_of_the_api_has_words():
    for outcome in pb.CancelOutcome.values()[1:]:
        assert not dict(receipt.receipt_rows(asked(outcome=outcome)))["Outcome"].startswith("outcome ")
    assert dict(receipt.receipt_rows(asked(outcome=77)))["Outcome"] == "outcome 77"
    for verdict in maintenance.SweepVerdict.values()[1:]:
        item = maintenance.SweepItem(verdict=verdict)
        assert not verdict_words.look(verdict).word.startswith("Verdict")
        assert verdict_words.consequence(item) != "not known"
    assert verdict_words.consequence(maintenance.SweepItem(verdict=77)) == "not known"


@pytest.mark.parametrize(
    ("task", "consequence"),
    [
        (make_task(), "ends it as lost"),
        (make_task(retry_on_loss=True, max_attempts=2), "tries it again, attempt 2"),
        (make_task(retry_on_loss=True, max_attempts=1), "ends it as lost"),
        (make_task(retry_on_loss=True, max_attempts=2, cancel=asked()), "ends it as cancelled, unconfirmed"),
    ],
)
def test_what_becomes_of_an_expired_attempt(task, consequence):
    item = maintenance.SweepItem(verdict=maintenance.SWEEP_VERDICT_EXPIRED, task=task)
    assert verdict_words.consequence(item) == consequence


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (
            make_task(cancel=asked()),
            "Stop requested 3.0 s ago; not delivered yet. Over in 12 s in any case.",
        ),
        (
            make_task(cancel=asked(deliver_time=at(40))),
            "Stop requested 3.0 s ago; delivered, waiting for the task to stop. Over in 12 s in any case.",
        ),
        (
            make_task(cancel=asked(signal_time=at(38))),
            "Stop requested 3.0 s ago; being killed. Over in 12 s in any case.",
        ),
        (
            make_task(state=pb.TASK_STATE_CANCELLED, cancel=asked()),
            "Stopped on request. The exit was not seen yet.",
        ),
        (
            make_task(
                state=pb.TASK_STATE_FAILED, reason=pb.TASK_REASON_FORCE_CANCELLED, cancel=asked(force=True)
            ),
            "Ended with Force cancelled by user. Its process is being ended.",
        ),
        (
            make_task(
                state=pb.TASK_STATE_FAILED, reason=pb.TASK_REASON_FORCE_CANCELLED,
                cancel=asked(force=True, outcome=CONFIRMED, exit_time=at(41)),
            ),
            "Ended with Force cancelled by user. Its process has gone.",
        ),
        (
            make_task(
                state=pb.TASK_STATE_FAILED, reason=pb.TASK_REASON_FORCE_CANCELLED,
                cancel=asked(force=True, outcome=UNCONFIRMED),
            ),
            "Ended with Force cancelled by user. Its process was not seen to go.",
        ),
        (
            make_task(state=pb.TASK_STATE_FAILED, reason=pb.TASK_REASON_ERROR, cancel=asked(outcome=TOO_LATE)),
            "Ended with Error in the task.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_stop_in_the_sentence_of_its_state(task, sentence):
    assert words.state_sentence(task, NOW) == sentence
