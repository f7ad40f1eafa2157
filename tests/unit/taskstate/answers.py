"""An outcome in a few words, for tables and for counting which were seen."""

from __future__ import annotations

from services.taskstate.command import Accepted, Outcome


def answer_of(outcome: Outcome) -> str:
    """A refusal's reason, "no-op", "hot" (progress: no event), or "STATE KIND" for a transition."""
    if not isinstance(outcome, Accepted):
        return outcome.reason
    if outcome.no_op:
        return "no-op"
    return "hot" if outcome.event is None else f"{outcome.task.state} {outcome.event.kind}"
