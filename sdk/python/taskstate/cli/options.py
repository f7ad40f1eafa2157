"""Options that several commands share, and how their values are read. Nothing here imports gRPC: `--help` is fast."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, TypeAlias

import typer

_UNITS_S: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_SECONDS_MAX: Final = 100 * 365 * 86400
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")


def seconds_from_text(value: str) -> float:
    """Reads a length of time: "90", "30s", "5m", "1.5h", "2d"."""
    match = _SPAN.fullmatch(value.strip().lower())
    unit = match[2] or "s" if match else ""
    if match is None or unit not in _UNITS_S:
        raise typer.BadParameter(f"{value!r} is no length of time; give for example 90, 30s, 5m, 2h or 7d")
    seconds = float(match[1]) * _UNITS_S[unit]
    if seconds > _SECONDS_MAX:
        raise typer.BadParameter(f"{value!r} is longer than a century")
    return seconds


def time_from_text(value: str) -> datetime:
    """Reads a time: "2026-11-23T14:00", with a zone or local; a length of time means so long ago ("2h", "7d")."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        if _SPAN.fullmatch(value.strip().lower()) is None:
            raise typer.BadParameter(
                f"{value!r} is no time; give for example 2026-11-23T14:00, or 2h for two hours ago"
            ) from None
        return datetime.now(UTC) - timedelta(seconds=seconds_from_text(value))
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise typer.BadParameter(f"{value!r} is outside of the calendar") from None


def later_from_text(value: str) -> datetime:
    """Reads a time to come: as ``time_from_text``, but a length of time means from now."""
    if _SPAN.fullmatch(value.strip().lower()) is not None:
        return datetime.now(UTC) + timedelta(seconds=seconds_from_text(value))
    return time_from_text(value)


Target: TypeAlias = Annotated[
    str | None,
    typer.Option("--target", metavar="HOST:PORT", help="Where TaskState listens.", envvar="TASKSTATE_TARGET"),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
TaskId: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", help="The task's id, or at least its first 4 characters.")
]
Type: TypeAlias = Annotated[list[str] | None, typer.Option("--type", help="Only this type; may be repeated.")]
Queue: TypeAlias = Annotated[str, typer.Option("--queue", help="Only this queue.")]
Group: TypeAlias = Annotated[str, typer.Option("--group", help="Only this group.")]
