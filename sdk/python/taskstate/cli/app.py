"""The `taskstate` command: what commands there are. Each is in its own file, and imports what is slow when it runs."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from taskstate.cli.cancel import cancel
from taskstate.cli.listing import history, ls
from taskstate.cli.logs import logs
from taskstate.cli.run import run
from taskstate.cli.show import show
from taskstate.cli.stale import stale
from taskstate.cli.up import up
from taskstate.cli.watch import watch
from taskstate.cli.worker import worker

app = typer.Typer(
    name="taskstate",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 ok, 1 a followed task ended badly, 2 usage, 3 not found, 4 refused, 5 unavailable, "
        "130 interrupted (the task goes on)."
    ),
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"taskstate {version('taskstate')}")
        raise typer.Exit


@app.callback()
def _options(
    target: Annotated[
        str | None, typer.Option("--target", metavar="HOST:PORT", help="Where TaskState listens (TASKSTATE_TARGET).")
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """The truth about background jobs, from the terminal."""
    if target is not None:
        # One process speaks to one TaskState; every command reads this variable, wherever the option stood.
        os.environ["TASKSTATE_TARGET"] = target


app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})(up)
app.command()(run)
app.command("ls")(ls)
app.command()(history)
app.command()(show)
app.command()(watch)
app.command()(logs)
app.command()(cancel)
app.command()(stale)
app.command()(worker)
