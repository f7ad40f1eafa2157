"""The words, icons and sentences for what a task is, the same as on the dashboard. Pure.

A state is always a word; icon and colour only repeat it. What is not known is said plainly, and an enumeration's value
of a newer service, unknown here, is shown as it was received.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taskstate.cli import text
from taskstate.v1 import task_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp


@dataclass(frozen=True, slots=True)
class Look:
    """How a state or a doubt looks: its word, its icon, its rich style."""

    word: str
    icon: str
    style: str


STATES: Final[dict[int, Look]] = {
    pb.TASK_STATE_PENDING: Look("Pending", "⏱", "bright_black"),
    pb.TASK_STATE_QUEUED: Look("Queued", "◔", "cyan"),
    pb.TASK_STATE_RUNNING: Look("Running", "▷", "bold blue"),
    pb.TASK_STATE_RETRYING: Look("Retrying", "↻", "yellow"),
    pb.TASK_STATE_SUCCEEDED: Look("Succeeded", "✓", "green"),
    pb.TASK_STATE_FAILED: Look("Failed", "✕", "bold red"),
    pb.TASK_STATE_CANCELLED: Look("Cancelled", "⊘", "bright_black"),
    pb.TASK_STATE_LOST: Look("Lost", "⬡", "bold magenta"),
}
# Doubts stand beside the state, never in its place: a suspect task is still running as far as anyone knows.
DOUBTS: Final[dict[int, Look]] = {
    pb.LIVENESS_SUSPECT: Look("Suspect", "⚠", "yellow"),
    pb.LIVENESS_UNRESPONSIVE: Look("Unresponsive", "⏸", "yellow"),
}
CANCELLING: Final = Look("Cancelling", "◧", "yellow")
PHASES: Final[dict[int, Look]] = {
    pb.PHASE_STATE_PENDING: Look("pending", "·", "bright_black"),
    pb.PHASE_STATE_RUNNING: Look("running", "▷", "blue"),
    pb.PHASE_STATE_DONE: Look("done", "✓", "green"),
    pb.PHASE_STATE_FAILED: Look("failed", "✕", "red"),
    pb.PHASE_STATE_SKIPPED: Look("skipped", "⊘", "bright_black"),
}
_REASONS: Final[dict[int, str]] = {
    pb.TASK_REASON_ERROR: "Error in the task",
    pb.TASK_REASON_TIMEOUT: "Ran past its limit",
    pb.TASK_REASON_STALLED: "No progress",
    pb.TASK_REASON_FORCE_CANCELLED: "Force cancelled by user",
    pb.TASK_REASON_WORKER_LOST: "Worker vanished",
    pb.TASK_REASON_WORKER_DRAINED: "Worker was stopped",
    pb.TASK_REASON_ENQUEUE_FAILED: "Could not be put in the queue",
    pb.TASK_REASON_DEPENDENCY_FAILED: "A task it needs did not succeed",
    pb.TASK_REASON_RESET: "Ended by a reset",
    pb.TASK_REASON_ADOPTED: "A late result was accepted",
}
_WAITS: Final[dict[int, str]] = {
    pb.WAIT_REASON_DISPATCH: "dispatch",
    pb.WAIT_REASON_TIME: "its time",
    pb.WAIT_REASON_DEPENDENCY: "another task",
    pb.WAIT_REASON_SLOT: "a free slot of its group",
    pb.WAIT_REASON_PREVIOUS_PROCESS: "its previous process to go",
    pb.WAIT_REASON_NO_WORKER: "a worker that knows its type",
    pb.WAIT_REASON_PAUSED: "its queue to be resumed",
}
_EVENT_KINDS: Final[dict[int, str]] = {
    pb.TASK_EVENT_KIND_CREATED: "accepted",
    pb.TASK_EVENT_KIND_WAITING: "waits",
    pb.TASK_EVENT_KIND_HANDED_OUT: "handed to the scheduler",
    pb.TASK_EVENT_KIND_QUEUED: "queued",
    pb.TASK_EVENT_KIND_STARTED: "started",
    pb.TASK_EVENT_KIND_PHASE: "phase",
    pb.TASK_EVENT_KIND_FINISHED: "finished",
    pb.TASK_EVENT_KIND_EXITED: "process exited",
    pb.TASK_EVENT_KIND_CANCEL_REQUESTED: "stop requested",
    pb.TASK_EVENT_KIND_CANCEL_ADVANCED: "stop advanced",
    pb.TASK_EVENT_KIND_SUSPECTED: "connection to the worker ended",
    pb.TASK_EVENT_KIND_RESUMED: "worker came back",
    pb.TASK_EVENT_KIND_LIVENESS: "signs of life changed",
    pb.TASK_EVENT_KIND_EXPIRED: "ended by the sweep",
    pb.TASK_EVENT_KIND_GIVEN_UP: "process given up",
    pb.TASK_EVENT_KIND_RELEASED: "handed back unstarted",
}


_TERM_GRACE_S: Final = 5.0
"""How long after the first signal of a stop its process is killed."""


def doubts(task: pb.Task) -> list[Look]:
    """The doubts to show beside the task's state, the gravest first."""
    looks = [look for look in [DOUBTS.get(task.liveness)] if look is not None]
    return [*looks, CANCELLING] if is_cancelling(task) else looks


def is_cancelling(task: pb.Task) -> bool:
    """Whether a request to stop the task is under way."""
    if task.state != pb.TASK_STATE_RUNNING or not task.HasField("cancel"):
        return False
    return task.cancel.outcome == pb.CANCEL_OUTCOME_UNSPECIFIED


def cancel_stage(task: pb.Task) -> int:
    """How far a request to stop the task is: 0 none, 1 asked, 2 delivered, 3 signalled."""
    if not task.HasField("cancel"):
        return 0
    return 3 if task.cancel.HasField("signal_time") else 2 if task.cancel.HasField("deliver_time") else 1


def state_look(state: int) -> Look:
    """How a state looks."""
    return STATES.get(state) or Look(f"State {int(state)}", "?", "")


def phase_look(state: int) -> Look:
    """How a phase's state looks."""
    return PHASES.get(state) or Look(f"state {int(state)}", "?", "")


def reason_words(reason: int) -> str:
    """A reason in words; empty for none."""
    return _REASONS.get(reason) or (f"Reason {int(reason)}" if reason else "")


def wait_words(wait_reason: int) -> str:
    """What a task waits for, in words; empty for nothing."""
    return _WAITS.get(wait_reason) or (f"wait reason {int(wait_reason)}" if wait_reason else "")


def event_words(event: pb.TaskEvent) -> str:
    """What happened, in words: the states where they changed, else the kind."""
    before, after = getattr(event, "from"), event.to
    if before and before != after:
        return f"{state_look(before).word} → {state_look(after).word}"
    return _EVENT_KINDS.get(event.kind) or f"event {int(event.kind)}"


def task_label(task: pb.Task) -> str:
    """What to call a task: its name, else its type. Escaped."""
    return text.escape(task.name or task.type)


def seconds_of(timestamp: Timestamp) -> float:
    """The timestamp in seconds since 1970."""
    return timestamp.seconds + timestamp.nanos / 1e9


def ran_s(task: pb.Task, now: float) -> float | None:
    """How long the newest attempt has run, or ran; None before the first start."""
    if not task.HasField("start_time"):
        return None
    end = seconds_of(task.end_time) if task.HasField("end_time") else now
    return max(0.0, end - seconds_of(task.start_time))


def state_sentence(task: pb.Task, now: float) -> str:
    """Where the task stands: a sentence, or one for each doubt. `now`: the service's time, seconds since 1970. Escaped."""
    if task.state == pb.TASK_STATE_PENDING:
        return f"Accepted. Waiting for {_waiting_for(task, now)}."
    if task.state == pb.TASK_STATE_QUEUED:
        return f"In queue {text.escape(task.queue)}."
    if task.state == pb.TASK_STATE_RUNNING:
        return _running_sentence(task, now)
    if task.state == pb.TASK_STATE_RETRYING:
        return f"Attempt {task.attempt} failed: {error_words(task)}. {_retry_words(task, now)}"
    if task.state == pb.TASK_STATE_SUCCEEDED:
        ran = ran_s(task, now)
        return "Finished." if ran is None else f"Finished in {text.duration(ran)}."
    if task.state == pb.TASK_STATE_FAILED:
        return f"Ended with {error_words(task)}.{_forced_words(task)}"
    if task.state == pb.TASK_STATE_CANCELLED:
        return f"Stopped on request. {_exit_words(task)}"
    if task.state == pb.TASK_STATE_LOST:
        return f"The worker vanished. The outcome is not known.{_signal_words(task)}"
    return f"{state_look(task.state).word}, which this version does not know."


def error_words(task: pb.Task) -> str:
    """The error's last word, else the reason, in words. Escaped."""
    if task.HasField("error") and (task.error.type or task.error.message):
        kind = task.error.type.removeprefix("builtins.")
        return text.escape(f"{kind}: {task.error.message}" if task.error.message else kind).rstrip(".")
    return reason_words(task.reason) or text.escape(task.message) or "no reason given"


def _running_sentence(task: pb.Task, now: float) -> str:
    heard = text.age(now - seconds_of(task.heard_time)) if task.HasField("heard_time") else "not yet"
    sentences = []
    if task.liveness == pb.LIVENESS_SUSPECT:
        sentences.append(f"Connection to the worker ended, heard {heard}. {_grace_words(task, now)}")
    elif task.liveness == pb.LIVENESS_UNRESPONSIVE:
        sentences.append(f"The process is there, but its code has not reported, heard {heard}. Not counted as dead.")
    if is_cancelling(task):
        sentences.append(_cancelling_sentence(task.cancel, now))
    if sentences:
        return " ".join(sentences)
    return f"Attempt {task.attempt} of {task.max_attempts} on {text.escape(task.worker.worker_id)}, heard {heard}."


def _cancelling_sentence(cancel: pb.Cancel, now: float) -> str:
    asked = text.age(now - seconds_of(cancel.request_time))
    if cancel.HasField("signal_time"):
        signalled_s = now - seconds_of(cancel.signal_time)
        stage = "being killed" if signalled_s >= _TERM_GRACE_S else "told to end, and killed if it does not"
    elif cancel.HasField("deliver_time"):
        stage = "delivered, waiting for the task to stop"
    else:
        stage = "not delivered yet"
    if not cancel.HasField("deadline_time"):
        return f"Stop requested {asked}; {stage}."
    return f"Stop requested {asked}; {stage}. Over {_until(cancel.deadline_time, now)} in any case."


def _grace_words(task: pb.Task, now: float) -> str:
    if not task.HasField("suspect_until_time"):
        return "It has a short grace to come back."
    left = seconds_of(task.suspect_until_time) - now
    return f"It has {text.duration(left)} to come back." if left > 0 else "Its grace is over."


def _until(moment: Timestamp, now: float) -> str:
    left = seconds_of(moment) - now
    return f"in {text.duration(left)}" if left > 0 else "now"


def _waiting_for(task: pb.Task, now: float) -> str:
    words = wait_words(task.wait_reason) or "dispatch"
    if task.wait_reason == pb.WAIT_REASON_TIME and task.HasField("due_time"):
        return f"{words}, {due_words(task, now)}"
    return words


def due_words(task: pb.Task, now: float) -> str:
    """When the task is due: "in 42 s", "due now"; never a negative time."""
    left = seconds_of(task.due_time) - now
    return f"in {text.duration(left)}" if left > 0 else "due now"


def _retry_words(task: pb.Task, now: float) -> str:
    following = f"attempt {task.attempt + 1} of {task.max_attempts}"
    if task.wait_reason not in (pb.WAIT_REASON_TIME, pb.WAIT_REASON_UNSPECIFIED):
        return f"Next, {following}, waits for {wait_words(task.wait_reason)}."
    return f"Next, {following}, {due_words(task, now)}." if task.HasField("due_time") else f"Next: {following}."


def _forced_words(task: pb.Task) -> str:
    """What has become of the process of a task that was ended by force."""
    if not task.HasField("cancel") or not task.cancel.force or not task.attempt:
        return ""
    if task.cancel.outcome == pb.CANCEL_OUTCOME_UNSPECIFIED:
        return " Its process is being ended."
    return " Its process has gone." if task.cancel.HasField("exit_time") else " Its process was not seen to go."


def _exit_words(task: pb.Task) -> str:
    if not task.attempt:
        return "It had not started."
    if task.HasField("cancel") and task.cancel.outcome == pb.CANCEL_OUTCOME_UNSPECIFIED:
        return "The exit was not seen yet."
    seen = task.HasField("exit") or task.cancel.outcome == pb.CANCEL_OUTCOME_CONFIRMED
    return "Exit seen." if seen else "The exit was not confirmed."


def _signal_words(task: pb.Task) -> str:
    if not task.HasField("exit"):
        return ""
    peak = f", peak memory {text.binary_size(task.exit.peak_memory_bytes)}" if task.exit.peak_memory_bytes else ""
    cause = f"signal {task.exit.signal}" if task.exit.signal else f"exit code {task.exit.exit_code}"
    return f" Its process ended with {cause}{peak}."
