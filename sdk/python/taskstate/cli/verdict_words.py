"""The words for what a stale sweep thinks of a task and does with it. Pure."""

from __future__ import annotations

from typing import Final

from taskstate.cli.words import Look
from taskstate.v1 import maintenance_service_pb2 as pb

_VERDICTS: Final[dict[int, Look]] = {
    pb.SWEEP_VERDICT_EXPIRED: Look("Expired", "⬡", "bold magenta"),
    pb.SWEEP_VERDICT_CANCEL_OVER: Look("Cancel over", "⊘", "yellow"),
    pb.SWEEP_VERDICT_GIVE_UP: Look("Give up", "⊘", "bright_black"),
    pb.SWEEP_VERDICT_OVERDUE: Look("Overdue", "⏱", "cyan"),
    pb.SWEEP_VERDICT_SUSPECT: Look("Suspect", "⚠", "yellow"),
}
_CONSEQUENCES: Final[dict[int, str]] = {
    pb.SWEEP_VERDICT_CANCEL_OVER: "ends it as cancelled, unconfirmed",
    pb.SWEEP_VERDICT_GIVE_UP: "frees its slot",
    pb.SWEEP_VERDICT_OVERDUE: "nothing: it is alive",
    pb.SWEEP_VERDICT_SUSPECT: "nothing yet: it may come back",
}


def look(verdict: int) -> Look:
    """How a verdict looks; one of a newer service is shown as it was received."""
    return _VERDICTS.get(verdict) or Look(f"Verdict {int(verdict)}", "?", "")


def consequence(item: pb.SweepItem) -> str:
    """What the sweep does with the task, in words; "not known" for a verdict of a newer service."""
    if item.verdict == pb.SWEEP_VERDICT_EXPIRED:
        task = item.task
        if task.HasField("cancel") and not task.cancel.force and not task.cancel.outcome:
            return "ends it as cancelled, unconfirmed"
        is_tried_again = task.retry_on_loss and task.attempt < task.max_attempts
        return f"tries it again, attempt {task.attempt + 1}" if is_tried_again else "ends it as lost"
    return _CONSEQUENCES.get(item.verdict, "not known")
