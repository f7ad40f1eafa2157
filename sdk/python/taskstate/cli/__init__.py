"""The `taskstate` command, on the API alone: what it does, any client can do.

``app`` lists the commands; each lives in its own file (``run``, ``listing``, ``show``, ``watch``, ``logs``, ``up``,
``worker``). Pure text is made in ``text`` and ``words``, and reaches the screen through ``output`` alone. One task is
shown by ``follow`` (painted by ``follow_view``, or printed by ``follow_lines``), many by ``board`` (``board_view``,
``board_lines``); both read the resuming watch of ``taskstate.task_watch``.

Importing this package imports nothing slow: gRPC and rich's tables are loaded by the command that needs them.
"""

from __future__ import annotations


def main() -> None:
    """The entry point of the `taskstate` command; ends the process with one of ``exit_codes.ExitCode``."""
    from taskstate.cli.app import app
    from taskstate.cli.output import prepare_streams

    prepare_streams()
    app()
