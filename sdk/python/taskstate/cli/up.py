"""`taskstate up`: everything on this machine, by handing over to the repository's `services.up`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from taskstate.cli.exit_codes import ExitCode

_MODULE = "services.up"


def up(context: typer.Context) -> None:
    """Start everything on this machine: database, Redis, services, a worker. Options: taskstate up --help."""
    checkout = find_checkout()
    if checkout is None:
        from taskstate.cli.output import complain

        complain(
            "`up` needs the services, which the installed package does not carry: run it in a checkout of the "
            "repository, or name a running TaskState with --target"
        )
        raise typer.Exit(ExitCode.REFUSED)
    paths = [str(checkout), *filter(None, [os.environ.get("PYTHONPATH")])]
    sys.stdout.flush()
    # Replaced rather than started, so that signals and the exit code are those of `up` itself.
    os.execve(  # noqa: S606
        sys.executable,
        [sys.executable, "-m", _MODULE, *context.args],
        os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )


def find_checkout() -> Path | None:
    """The checkout that holds the services: the working directory, else the one this package is installed from."""
    for folder in (Path.cwd(), *Path(__file__).resolve().parents):
        if folder.joinpath(*_MODULE.split("."), "__main__.py").is_file():
            return folder
    return None
