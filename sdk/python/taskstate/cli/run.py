"""`taskstate run`: create a task, and follow it if asked to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from taskstate.cli import options

if TYPE_CHECKING:
    from taskstate.v1.task_service_pb2 import CreateTaskResponse

_POLICY: Final = "Policy (the type decides what is left out)"

_TypeName = Annotated[str, typer.Argument(metavar="TYPE", help="What to run, for example canary.")]
_Pairs = Annotated[
    list[str] | None,
    typer.Option("-p", "--param", metavar="KEY=VALUE", help="One key of the input; JSON or text; may be repeated."),
]
_Payload = Annotated[
    str | None,
    typer.Option("--payload", metavar="JSON", help="The whole input; @FILE reads a file and - standard input."),
]
_Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show it live until it has ended.")]
_Name = Annotated[str, typer.Option("--name", help="A name, for people.")]
_Queue = Annotated[str, typer.Option("--queue", help="The queue to carry it.")]
_Group = Annotated[str, typer.Option("--group", help="A group whose limit it obeys.")]
_RequestId = Annotated[
    str, typer.Option("--request-id", help="Idempotency key: a second run with it answers the first one's task.")
]
_JobType = Annotated[str, typer.Option("--job-type", help="How it came to be, in your words.")]
_Priority = Annotated[
    int, typer.Option("--priority", min=-10, max=10, help="Larger goes first.", rich_help_panel=_POLICY)
]
_Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        parser=options.seconds_from_text,
        metavar="TIME",
        help="Longest time of one attempt: 90, 5m, 2h.",
        rich_help_panel=_POLICY,
    ),
]
_StallTimeout = Annotated[
    float | None,
    typer.Option(
        "--stall-timeout",
        parser=options.seconds_from_text,
        metavar="TIME",
        help="Longest time without progress.",
        rich_help_panel=_POLICY,
    ),
]
_MaxAttempts = Annotated[
    int | None,
    typer.Option("--max-attempts", min=1, max=100, help="How often to try in all.", rich_help_panel=_POLICY),
]
_RetryOnLoss = Annotated[
    bool | None,
    typer.Option(
        "--retry-on-loss/--no-retry-on-loss", help="Try again if the worker vanishes.", rich_help_panel=_POLICY
    ),
]
_NotBefore = Annotated[
    str | None,
    typer.Option(
        "--not-before",
        metavar="TIME",
        help="Not to run before: 2026-11-23T14:00, or 10m from now.",
        rich_help_panel=_POLICY,
    ),
]


def run(
    type_: _TypeName,
    pairs: _Pairs = None,
    payload: _Payload = None,
    follow: _Follow = False,
    name: _Name = "",
    queue: _Queue = "",
    group: _Group = "",
    request_id: _RequestId = "",
    job_type: _JobType = "",
    priority: _Priority = 0,
    timeout: _Timeout = None,
    stall_timeout: _StallTimeout = None,
    max_attempts: _MaxAttempts = None,
    retry_on_loss: _RetryOnLoss = None,
    not_before: _NotBefore = None,
    as_json: options.AsJson = False,
    target: options.Target = None,
) -> None:
    """Create a task of TYPE and print it; with --follow, show it until it has ended (exit 0 only if it succeeded)."""
    from taskstate.cli.output import connect
    from taskstate.cli.payload import build_payload
    from taskstate.client import create_request

    try:
        payload_text = build_payload(_read(payload), pairs or [])
        request = create_request(
            type_,
            request_id=request_id or None,
            queue=queue,
            group=group,
            name=name,
            job_type=job_type,
            trigger_source="cli",
            priority=priority,
            timeout=timeout,
            stall_timeout=stall_timeout,
            max_attempts=max_attempts,
            retry_on_loss=retry_on_loss,
            not_before=None if not_before is None else options.later_from_text(not_before),
        )
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    request.payload = payload_text
    with connect(target) as client:
        answer = client.submit(request)
        if follow:
            from taskstate.cli.watch import follow_and_exit, follow_json_and_exit

            if as_json:
                follow_json_and_exit(client, answer.task.task_id)
            follow_and_exit(client, answer.task.task_id, answer.task)
        _print(answer, as_json=as_json)


def _read(payload: str | None) -> str | None:
    """The payload's text; from a file or from standard input where the option says so."""
    if payload == "-":
        return sys.stdin.read()
    if payload is not None and payload.startswith("@"):
        return Path(payload[1:]).read_text(encoding="utf-8")
    return payload


def _print(answer: CreateTaskResponse, *, as_json: bool) -> None:
    from taskstate.cli import text, words
    from taskstate.cli.clock import ServerClock
    from taskstate.cli.output import new_console, print_json, print_line
    from taskstate.json_view import task_view

    task = answer.task
    if as_json:
        print_json(task_view(task))
        return
    console = new_console()
    existed = "It existed already. " if answer.existed else ""
    sentence = f"{existed}{words.state_sentence(task, ServerClock().now())}"
    print_line(f"{words.state_look(task.state).word} {words.task_label(task)} {task.task_id}: {sentence}", console)
    if console.is_terminal:
        print_line(f"See it run: taskstate watch {text.short_id(task.task_id)}", console)
