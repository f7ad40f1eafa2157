"""The receipt of a stop in words: Requested, Delivered, Signalled, Exit seen, each with its time. Pure.

A step that was not reached says "not yet" while the stop is under way and "never" once it is over: nobody has to guess
whether a stop came through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taskstate.cli import text
from taskstate.cli.words import seconds_of
from taskstate.v1 import task_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEPS: Final = (("Delivered", "deliver_time"), ("Signalled", "signal_time"), ("Exit seen", "exit_time"))
_OUTCOMES: Final[dict[int, str]] = {
    pb.CANCEL_OUTCOME_CONFIRMED: "confirmed",
    pb.CANCEL_OUTCOME_UNCONFIRMED: "unconfirmed: nobody saw its process go; it can change nothing here any more",
    pb.CANCEL_OUTCOME_TOO_LATE: "too late: the task finished first",
}


def receipt_line(cancel: pb.Cancel, now: float) -> str:
    """The steps on one line: "Requested 3.0 s ago → Delivered +0.1 s → Signalled not yet → Exit seen not yet"."""
    asked = seconds_of(cancel.request_time)
    return " → ".join([f"Requested {text.age(now - asked)}", *(f"{name} {when}" for name, when in _steps(cancel))])


def receipt_rows(cancel: pb.Cancel) -> Iterator[tuple[str, str]]:
    """The steps as labels and values, with absolute times, the limit and the outcome."""
    force = "  by force" if cancel.force else ""
    yield "Requested", f"{_time(seconds_of(cancel.request_time))}{force}"
    for (name, field), (_, when) in zip(_STEPS, _steps(cancel), strict=True):
        yield name, f"{_time(seconds_of(getattr(cancel, field)))}  {when}" if cancel.HasField(field) else when
    if cancel.outcome:
        yield "Outcome", _OUTCOMES.get(cancel.outcome) or f"outcome {int(cancel.outcome)}"
    elif cancel.HasField("deadline_time"):
        yield "Over by", _time(seconds_of(cancel.deadline_time))


def _steps(cancel: pb.Cancel) -> Iterator[tuple[str, str]]:
    """Each step after the request, with its delay since the request."""
    asked = seconds_of(cancel.request_time)
    missing = "never" if cancel.outcome else "not yet"
    for name, field in _STEPS:
        reached = cancel.HasField(field)
        yield name, f"+{text.step(seconds_of(getattr(cancel, field)) - asked)}" if reached else missing


def _time(seconds: float) -> str:
    return text.absolute_time(seconds, with_ms=True)
