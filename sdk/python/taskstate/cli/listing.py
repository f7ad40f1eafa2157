"""`taskstate ls` and `taskstate history`: tables of tasks, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from taskstate.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from taskstate.v1.task_pb2 import Task, TaskState
    from taskstate.v1.task_service_pb2 import ListTasksResponse

_NUMBERS: Final = frozenset({"Progress", "Took", "Items"})
_TASK_WIDTH_MAX: Final = 40
_TYPE_WIDTH_MAX: Final = 24

_State = Annotated[
    list[str] | None,
    typer.Option("--state", help="Only this state: pending, running, failed, lost, ...; may be repeated."),
]
_JobType = Annotated[str, typer.Option("--job-type", help="Only this job type.")]
_Text = Annotated[str, typer.Option("--text", help="Only tasks whose name, type, id or message contains this.")]
_Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Created at or after: 2026-11-23T14:00, or 7d for a week.")
]
_Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Created before.")]
_Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="How many at most.")]
_PageToken = Annotated[str, typer.Option("--page-token", help="Go on where a former list ended.")]


def ls(
    states: _State = None,
    is_all: Annotated[bool, typer.Option("--all", "-a", help="In any state, not only active ones.")] = False,
    types: options.Type = None,
    queue: options.Queue = "",
    group: options.Group = "",
    job_type: _JobType = "",
    containing: _Text = "",
    since: _Since = None,
    until: _Until = None,
    limit: _Limit = 50,
    page_token: _PageToken = "",
    as_json: options.AsJson = False,
    target: options.Target = None,
) -> None:
    """List tasks, newest first: the active ones unless --state or --all says otherwise."""
    from taskstate.cli.output import new_console, print_json
    from taskstate.json_view import ACTIVE_STATES, task_view

    page = _page(
        target,
        states=_wanted_states(states, [] if is_all else sorted(ACTIVE_STATES)),
        conditions=_conditions(types, queue, group, job_type, containing, since, until, limit, page_token),
    )
    if as_json:
        tasks = [task_view(task) for task in page.tasks]
        print_json({"tasks": tasks, "next_page_token": page.next_page_token, "revision": str(page.revision)})
        return
    console = new_console()
    if not page.tasks:
        is_filtered = any([states, is_all, types, queue, group, job_type, containing, since, until, page_token])
        _say_nothing(console, "Nothing is running or waiting. Start a task: taskstate run canary", is_filtered)
        return
    _print_table(console, ["State", "Task", "Type", "Progress", "Created", "Standing"], page.tasks)
    _print_rest(console, page)


def history(
    states: _State = None,
    types: options.Type = None,
    queue: options.Queue = "",
    group: options.Group = "",
    job_type: _JobType = "",
    containing: _Text = "",
    since: _Since = None,
    until: _Until = None,
    limit: _Limit = 50,
    page_token: _PageToken = "",
    as_json: options.AsJson = False,
    target: options.Target = None,
) -> None:
    """List tasks that have ended, newest first, with how long they took and how they ended."""
    from taskstate.cli.output import new_console, print_json
    from taskstate.client import TERMINAL_STATES
    from taskstate.json_view import history_view

    page = _page(
        target,
        states=_wanted_states(states, sorted(TERMINAL_STATES)),
        conditions=_conditions(types, queue, group, job_type, containing, since, until, limit, page_token)
        | {"with_total_count": True},
    )
    if as_json:
        document = {
            "jobs": [history_view(task) for task in page.tasks],
            "total_count": page.total_count,
            "next_page_token": page.next_page_token,
            "revision": str(page.revision),
        }
        print_json(document)
        return
    console = new_console()
    if not page.tasks:
        is_filtered = any([states, types, queue, group, job_type, containing, since, until, page_token])
        _say_nothing(console, "No task has ended yet. Run one: taskstate run canary --follow", is_filtered)
        return
    _print_table(console, ["State", "Task", "Type", "Ended", "Took", "Items", "How"], page.tasks)
    _print_rest(console, page)


def _wanted_states(given: Sequence[str] | None, default: Sequence[TaskState]) -> list[TaskState]:
    from taskstate.json_view import state_from_text

    try:
        return [state for word in given for state in state_from_text(word)] if given else list(default)
    except ValueError as error:
        raise typer.BadParameter(f"--state {error}") from error


def _conditions(
    types: list[str] | None,
    queue: str,
    group: str,
    job_type: str,
    containing: str,
    since: str | None,
    until: str | None,
    limit: int,
    page_token: str,
) -> dict[str, Any]:
    return {
        "types": types or [],
        "queue": queue,
        "group": group,
        "job_type": job_type,
        "text": containing,
        "since": None if since is None else options.time_from_text(since),
        "until": None if until is None else options.time_from_text(until),
        "page_size": limit,
        "page_token": page_token,
    }


def _page(target: str | None, *, states: list[TaskState], conditions: dict[str, Any]) -> ListTasksResponse:
    from taskstate.cli.output import connect

    with connect(target) as client:
        return client.page(states=states, **conditions)


def _say_nothing(console: Console, when_empty: str, is_filtered: bool) -> None:
    from taskstate.cli.output import print_line

    print_line("No task matches." if is_filtered else when_empty, console)


def _print_table(console: Console, columns: list[str], tasks: Sequence[Task]) -> None:
    from rich.text import Text

    from taskstate.cli import words
    from taskstate.cli.clock import ServerClock
    from taskstate.cli.columns import aligned
    from taskstate.cli.output import is_live, print_line

    now, live = ServerClock().now(), is_live(console)
    rows = [[Text(column, "bold") for column in columns]]
    for task in tasks:
        look = words.state_look(task.state)
        state = Text(f"{look.icon} {look.word}" if live else look.word, look.style)
        for doubt in words.doubts(task):
            state.append(f" {doubt.icon} {doubt.word}" if live else f", {doubt.word}", doubt.style)
        rows.append([state, *(Text(_cell(column, task, now, live)) for column in columns[1:])])
    right = {columns.index(column) for column in _NUMBERS.intersection(columns)}
    for line in aligned(rows, right=right, width_max={1: _TASK_WIDTH_MAX, 2: _TYPE_WIDTH_MAX}):
        if live:
            console.print(line, no_wrap=True, overflow="ellipsis")
        else:
            # Whole, however long: there is no edge to cut it at.
            print_line(line.plain, console)


def _cell(column: str, task: Task, now: float, live: bool) -> str:
    from taskstate.cli import text, words
    from taskstate.cli.follow_lines import items_words

    if column == "Task":
        return f"{text.short_id(task.task_id)} {text.escape(task.name)}".rstrip()
    if column == "Type":
        return text.escape(task.type)
    if column == "Progress":
        return text.percent(task.progress.percent) if task.progress.HasField("percent") else text.ABSENT
    if column in {"Created", "Ended"}:
        at = words.seconds_of(task.end_time if column == "Ended" else task.create_time)
        if column == "Ended" and not task.HasField("end_time"):
            return text.ABSENT
        return text.when(at, now) if live else text.absolute_time(at)
    if column == "Took":
        ran = words.ran_s(task, now)
        return text.ABSENT if ran is None else text.duration(ran)
    if column == "Items":
        return items_words(task) or text.ABSENT
    return words.state_sentence(task, now)


def _print_rest(console: Console, page: ListTasksResponse) -> None:
    from taskstate.cli import text
    from taskstate.cli.output import print_line

    total = f" of {text.count(page.total_count)}" if page.HasField("total_count") else ""
    if page.next_page_token:
        shown = f"{len(page.tasks)}{total} shown"
        print_line(f"{shown}; the next ones: --page-token {page.next_page_token}", console)
    elif total:
        print_line(f"{len(page.tasks)}{total} shown", console)
