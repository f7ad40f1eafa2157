"""`taskstate stale`: what the stale sweep would do now, to which task, and on what evidence. Changes nothing."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Final

import typer

from taskstate.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.text import Text

    from taskstate.v1.maintenance_service_pb2 import SweepItem

_COLUMNS: Final = ("Verdict", "Task", "Worker", "Heard", "What a sweep does", "Why")
_TASK_WIDTH_MAX: Final = 40
_WORKER_WIDTH_MAX: Final = 24


def stale(
    max_age: Annotated[
        str | None,
        typer.Option("--max-age", metavar="TIME", help="Also tasks that are alive and run longer: 90, 30s, 5m, 1h."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many at most.")] = 500,
    as_json: options.AsJson = False,
    target: options.Target = None,
) -> None:
    """List the tasks a stale sweep would look at now, with its verdict and the evidence. Changes nothing."""
    from taskstate.cli.output import connect, new_console, print_json, print_line
    from taskstate.json_view import sweep_item_view

    max_age_s = None if max_age is None else options.seconds_from_text(max_age)
    with connect(target) as client:
        # One more than is shown tells whether there are more.
        found = list(islice(client.plan_sweep(max_age_s, page_size=min(limit + 1, 500)), limit + 1))
    items = sorted(found[:limit], key=_started)
    if as_json:
        print_json({"items": [sweep_item_view(item) for item in items], "is_complete": len(found) <= limit})
        return
    console = new_console()
    if not items:
        print_line("Nothing is stale.", console)
        return
    _print_table(items, console)
    if len(found) > limit:
        print_line(f"The first {limit:,} are shown, and there are more: --limit", console)


def _started(item: SweepItem) -> tuple[int, int, str]:
    """The longest running first."""
    start = item.task.start_time
    return (start.seconds, start.nanos, item.task_id)


def _print_table(items: Sequence[SweepItem], console: Console) -> None:
    from rich.text import Text

    from taskstate.cli.clock import ServerClock
    from taskstate.cli.columns import aligned
    from taskstate.cli.output import is_live, print_line

    now, live = ServerClock().now(), is_live(console)
    rows = [[Text(column, "bold") for column in _COLUMNS], *(_row(item, now, live) for item in items)]
    for line in aligned(rows, width_max={1: _TASK_WIDTH_MAX, 2: _WORKER_WIDTH_MAX}):
        if live:
            console.print(line, no_wrap=True, overflow="ellipsis")
        else:
            # Whole, however long: there is no edge to cut it at.
            print_line(line.plain, console)


def _row(item: SweepItem, now: float, live: bool) -> list[Text]:
    from rich.text import Text

    from taskstate.cli import text, verdict_words, words

    task, look = item.task, verdict_words.look(item.verdict)
    heard = text.ABSENT
    if task.HasField("heard_time"):
        at = words.seconds_of(task.heard_time)
        heard = text.when(at, now) if live else text.absolute_time(at)
    return [
        Text(f"{look.icon} {look.word}" if live else look.word, look.style),
        Text(f"{text.short_id(item.task_id)} {words.task_label(task)}"),
        Text(text.escape(task.worker.worker_id) or text.ABSENT),
        Text(heard),
        Text(verdict_words.consequence(item)),
        Text(text.escape(item.why)),
    ]
