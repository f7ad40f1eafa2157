"""`taskstate cancel`: ask to stop tasks, each with its own outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from taskstate.cli import options
from taskstate.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.timestamp_pb2 import Timestamp
    from rich.console import Console

    from taskstate.client import TaskStateClient
    from taskstate.v1.task_pb2 import Task

_IDS_MAX: Final = 1000


class Outcome(NamedTuple):
    """What became of one request; `task` is None where it was refused."""

    task_id: str
    task: Task | None
    reason: str
    message: str
    exit_code: ExitCode


def cancel(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The tasks: whole ids, or their beginnings.")],
    force: Annotated[
        bool, typer.Option("--force", help="Mark them failed at once, and end their processes after that.")
    ] = False,
    as_json: options.AsJson = False,
    target: options.Target = None,
) -> None:
    """Ask to stop tasks. A running one is told, then its process is ended; it is over within 15 s in any case."""
    from taskstate.cli.output import connect, new_console

    if len(ids) > _IDS_MAX:
        raise typer.BadParameter(f"at most {_IDS_MAX} tasks at a time")
    outcomes: list[Outcome] = []
    with connect(target) as client:
        console = new_console()
        # All ids first: where one cannot be read, nothing is stopped.
        for task_id, absent in _resolved(client, ids):
            is_away = bool(outcomes) and outcomes[-1].exit_code == ExitCode.UNAVAILABLE
            outcome = _not_asked(task_id) if is_away else absent or _cancel_one(client, task_id, force)
            outcomes.append(outcome)
            if not as_json:
                _say(outcome, console)
    if as_json:
        _print_json(outcomes)
    elif len(outcomes) == 1 and outcomes[0].task is not None:
        _say_where_to_look(outcomes[0].task, console)
    raise typer.Exit(max(outcome.exit_code for outcome in outcomes))


def _resolved(client: TaskStateClient, ids: Sequence[str]) -> list[tuple[str, Outcome | None]]:
    """The ids that are meant, each once, in the order given; with an outcome where no task has such an id."""
    from taskstate.cli.output import CommandError
    from taskstate.cli.task_id import resolve

    found: dict[str, Outcome | None] = {}
    for given in ids:
        try:
            found.setdefault(resolve(client, given), None)
        except CommandError as error:
            if error.exit_code != ExitCode.NOT_FOUND:
                raise
            found[given] = Outcome(given, None, "TASK_NOT_FOUND", str(error), ExitCode.NOT_FOUND)
    return list(found.items())


def _cancel_one(client: TaskStateClient, task_id: str, force: bool) -> Outcome:
    from taskstate.cli.exit_codes import exit_code_of
    from taskstate.cli.output import error_message
    from taskstate.errors import TaskStateError
    from taskstate.stop_message import stop_message

    try:
        task = client.cancel(task_id, force=force)
    except TaskStateError as error:
        message = error_message(error, client.target)
        return Outcome(task_id, None, error.reason or error.code, message, exit_code_of(error))
    return Outcome(task_id, task, "", stop_message(task, _local_time), ExitCode.OK)


def _not_asked(task_id: str) -> Outcome:
    """The outcome of what comes after a service that did not answer: to wait for each anew would take minutes."""
    return Outcome(task_id, None, "NOT_ASKED", "not asked, as TaskState did not answer before", ExitCode.UNAVAILABLE)


def _local_time(time: Timestamp) -> str:
    from taskstate.cli import text, words

    return text.clock_time(words.seconds_of(time))


def _say(outcome: Outcome, console: Console) -> None:
    from taskstate.cli import text, words
    from taskstate.cli.output import complain, print_line

    if outcome.task is None:
        complain(f"{text.short_id(outcome.task_id)}: {outcome.message}")
    else:
        print_line(f"{words.task_label(outcome.task)} {text.short_id(outcome.task_id)} {outcome.message}", console)


def _say_where_to_look(task: Task, console: Console) -> None:
    from taskstate.cli import text
    from taskstate.cli.output import print_line
    from taskstate.client import has_ended
    from taskstate.v1.task_pb2 import CANCEL_OUTCOME_UNSPECIFIED

    if not has_ended(task):
        print_line(f"See it end: taskstate watch {text.short_id(task.task_id)}", console)
    elif task.cancel.outcome == CANCEL_OUTCOME_UNSPECIFIED:
        print_line(f"See whether it went: taskstate show {text.short_id(task.task_id)}", console)


def _print_json(outcomes: Sequence[Outcome]) -> None:
    from taskstate.cli.output import print_json
    from taskstate.json_view import task_view

    accepted = sum(outcome.task is not None for outcome in outcomes)
    results = [
        {
            "task_id": outcome.task_id,
            "success": outcome.task is not None,
            "reason": outcome.reason or None,
            "message": outcome.message,
            "task": None if outcome.task is None else task_view(outcome.task),
        }
        for outcome in outcomes
    ]
    counts = {"accepted": accepted, "refused": len(outcomes) - accepted}
    print_json({"success": accepted == len(outcomes), "results": results, "counts": counts})
