"""`taskstate logs`: what a task logged, and with --follow what it goes on to log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from taskstate.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from taskstate.client import TaskStateClient
    from taskstate.v1.task_pb2 import LogLevel, LogLine

POLL_INTERVAL_S: Final = 0.5
_PAGE_SIZE: Final = 500


def logs(
    task_id: options.TaskId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines until the task has ended.")
    ] = False,
    attempt: Annotated[int, typer.Option("--attempt", min=0, help="Only this attempt; 0 for all.")] = 0,
    level: Annotated[str, typer.Option("--level", help="Only this grave or graver: debug, info, warning, ...")] = "",
    after: Annotated[
        int, typer.Option("--after", min=0, metavar="SEQUENCE", help="Only lines after this sequence (see --json).")
    ] = 0,
    as_json: options.AsJson = False,
    target: options.Target = None,
) -> None:
    """Print the lines a task logged, oldest first."""
    from taskstate.cli.output import complain, connect
    from taskstate.cli.task_id import resolve
    from taskstate.cli.watch import say_goes_on
    from taskstate.json_view import log_level_from_text
    from taskstate.v1.task_pb2 import LOG_LEVEL_UNSPECIFIED

    try:
        min_level = log_level_from_text(level) if level else LOG_LEVEL_UNSPECIFIED
    except ValueError as error:
        raise typer.BadParameter(f"--level {error}") from error
    with connect(target) as client:
        whole_id = resolve(client, task_id)
        lines = read_lines(client, whole_id, follow=follow, attempt=attempt, min_level=min_level, after=after)
        printed = 0
        try:
            for line in lines:
                _print(line, as_json=as_json)
                printed += 1
        except KeyboardInterrupt:
            say_goes_on(whole_id, as_json=as_json)
    if not printed and not as_json:
        complain("no log lines match" if attempt or level or after else "the task wrote no log lines yet")


def read_lines(
    client: TaskStateClient,
    task_id: str,
    *,
    follow: bool,
    attempt: int,
    min_level: LogLevel,
    after: int,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[LogLine]:
    """The lines so far; with `follow`, asks again twice a second until the task has ended and all was read."""
    from taskstate.client import has_ended

    while True:
        # Asked before the lines: what was logged before the end is then surely among them.
        is_last = not follow or has_ended(client.get(task_id))
        for line in client.logs(
            task_id, after_sequence=after, attempt=attempt, min_level=min_level, page_size=_PAGE_SIZE
        ):
            after = max(after, line.sequence)
            yield line
        if is_last:
            return
        sleep(POLL_INTERVAL_S)


def _print(line: LogLine, *, as_json: bool) -> None:
    from taskstate.cli.output import print_json_line
    from taskstate.json_view import log_view

    if as_json:
        print_json_line(log_view(line))
        return
    # A line that holds line ends stays recognizable as one: what follows the first is set in.
    first, *rest = format_line(line)
    typer.echo(first)
    for continued in rest:
        typer.echo(continued)


def format_line(line: LogLine) -> list[str]:
    """The line as text: time, attempt, level, text; continued lines are set in. Escaped."""
    from taskstate.cli import text, words
    from taskstate.v1.task_pb2 import LogLevel

    moment = text.absolute_time(words.seconds_of(line.time)) if line.HasField("time") else text.ABSENT
    known = line.level in LogLevel.values()
    level = LogLevel.Name(line.level).removeprefix("LOG_LEVEL_") if known else str(int(line.level))
    first, *rest = text.escape_lines(line.text)
    return [f"{moment} #{line.attempt} {level:<8} {first}", *(f"    {continued}" for continued in rest)]
