"""`taskstate watch`: one task with its phases, or a board of many, until they have ended or Ctrl-C."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from taskstate.cli import options
from taskstate.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from taskstate.cli.board import Board
    from taskstate.cli.link import Link
    from taskstate.client import TaskStateClient
    from taskstate.task_watch import TaskWatch, WatchItem
    from taskstate.v1.task_pb2 import Task


def watch(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Tasks to watch until they have ended; without any, everything active."),
    ] = None,
    types: options.Type = None,
    queue: options.Queue = "",
    group: options.Group = "",
    from_revision: Annotated[
        int | None,
        typer.Option("--from-revision", min=0, help="Leave out what is there now; begin after this revision."),
    ] = None,
    as_json: options.AsJson = False,
    target: options.Target = None,
) -> None:
    """Show tasks live: one with its phases and bars, several as a board. Ctrl-C ends the view, not the tasks."""
    from taskstate.cli.output import connect, new_console
    from taskstate.cli.task_id import resolve

    with connect(target) as client:
        task_ids = [resolve(client, given) for given in ids or []]
        is_filtered = bool(types or queue or group or from_revision is not None)
        if len(task_ids) == 1 and not is_filtered and not as_json:
            follow_and_exit(client, task_ids[0])
        # Asked first, so that an unknown id or an absent service is told at once and not waited for.
        known = [client.get(task_id) for task_id in task_ids]
        if not known:
            client.page(page_size=1)
        items = client.watch(
            task_ids=task_ids,
            types=types or [],
            queue=queue,
            group=group,
            from_revision=from_revision,
            patience_s=_patience_s(),
        )
        try:
            if as_json:
                ended = _stream_json(client, items, set(task_ids))
            else:
                ended = show_board(items, new_console(), set(task_ids))
        except KeyboardInterrupt:
            say_goes_on(None, as_json=as_json)
        raise typer.Exit(_exit_code_of_all(list(ended.values())))


def follow_and_exit(client: TaskStateClient, task_id: str, known: Task | None = None) -> None:
    """Follows one task in text and ends the command with the code that tells how it ended."""
    from taskstate.cli.follow import follow_task
    from taskstate.cli.output import new_console

    try:
        task = follow_task(client, task_id, new_console(), known=known)
    except KeyboardInterrupt:
        say_goes_on(task_id, as_json=False)
    raise typer.Exit(_exit_code_of_all([task]))


def follow_json_and_exit(client: TaskStateClient, task_id: str) -> None:
    """Follows one task as a stream of JSON objects and ends the command with the code that tells how it ended."""
    try:
        ended = _stream_json(client, client.watch(task_ids=[task_id], patience_s=_patience_s()), {task_id})
    except KeyboardInterrupt:
        say_goes_on(task_id, as_json=True)
    raise typer.Exit(_exit_code_of_all(list(ended.values())))


def say_goes_on(task_id: str | None, *, as_json: bool) -> None:
    """Ends the command after Ctrl-C; says that this stopped nothing, on stderr."""
    from taskstate.cli import text

    if not as_json:
        again = "" if task_id is None else f" {text.short_id(task_id)}"
        subject = "The tasks go on" if task_id is None else "The task goes on"
        typer.echo(f"\n{subject}. See again: taskstate watch{again}", err=True)
    raise typer.Exit(ExitCode.INTERRUPTED)


def show_board(items: TaskWatch, console: Console, until_ended: set[str]) -> dict[str, Task]:
    """Shows the board until all the named tasks have ended, for ever if none is named; answers those that ended."""
    from taskstate.cli.board import Board
    from taskstate.cli.board_lines import BoardLines
    from taskstate.cli.board_view import BoardView
    from taskstate.cli.follow import end_at_sigterm
    from taskstate.cli.link import Link
    from taskstate.cli.output import is_live

    board, link = Board(), Link()
    if is_live(console):
        with end_at_sigterm(), BoardView(board, link, console):
            return _run_board(items, board, link, lambda _item, _notice: None, until_ended)
    lines = BoardLines(board, link, console)
    return _run_board(items, board, link, lines.take, until_ended)


def _run_board(
    items: TaskWatch,
    board: Board,
    link: Link,
    tell: Callable[[WatchItem, str], None],
    until_ended: set[str],
) -> dict[str, Task]:
    from taskstate.client import has_ended
    from taskstate.task_watch import WatchReset
    from taskstate.v1.task_service_pb2 import TaskChange

    ended: dict[str, Task] = {}
    for item in items:
        notice = link.take(item)
        if isinstance(item, WatchReset):
            board.forget()
        elif isinstance(item, TaskChange):
            board.take(item)
            if item.task.task_id in until_ended and has_ended(item.task):
                ended[item.task.task_id] = item.task
        tell(item, notice)
        if until_ended and until_ended <= ended.keys():
            break
    return ended


def _stream_json(client: TaskStateClient, items: TaskWatch, until_ended: set[str]) -> dict[str, Task]:
    from taskstate.cli.json_stream import print_watch, print_whole_result

    ended = print_watch(items, until_ended=until_ended)
    for task_id in until_ended:
        print_whole_result(client, ended[task_id])
    return ended


def _exit_code_of_all(tasks: list[Task]) -> ExitCode:
    from taskstate.v1.task_pb2 import TASK_STATE_SUCCEEDED

    return ExitCode.OK if all(task.state == TASK_STATE_SUCCEEDED for task in tasks) else ExitCode.UNHEALTHY


def _patience_s() -> float:
    from taskstate.cli.follow import PATIENCE_S

    return PATIENCE_S
