"""Where a command's words go: the console, JSON, and the one line that says what went wrong.

Two manners. *Live*: a terminal that can move its cursor gets icons, colours and ages that count on. *Plain*: everywhere
else (a pipe, a file, a dumb terminal, `NO_COLOR`, an encoding without the icons) words only, absolute times, one line
per change and no control sequences, so that the output can be kept and searched.
"""

from __future__ import annotations

import codecs
import contextlib
import getpass
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import typer

from taskstate.cli import text
from taskstate.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from taskstate.client import TaskStateClient
    from taskstate.errors import TaskStateError

WIDTH_MAX: Final = 200
_ASCII_WORDS: Final = {
    "…": "...", "→": "->", "·": "-", "━": "=", "─": "-", "╸": "-",
    "⏱": "[.]", "◔": "[=]", "▷": "[>]", "↻": "[~]", "✓": "[+]", "✕": "[x]", "⊘": "[/]", "⬡": "[?]", "⚠": "[!]", "⏸": "[!]",
    "◧": "[/]",
}  # fmt: skip
_ENCODING_FALLBACK: Final = "taskstate_ascii"


class CommandError(Exception):
    """A command cannot do what was asked; the message is for people and the code for scripts."""

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def prepare_streams() -> None:
    """Makes stdout and stderr write any text in any encoding: what it lacks becomes ASCII instead of an exception."""
    codecs.register_error(_ENCODING_FALLBACK, _ascii_words)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_ENCODING_FALLBACK)


def _ascii_words(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    words = (_ASCII_WORDS.get(c, c.encode("ascii", "backslashreplace").decode("ascii")) for c in lacking)
    return "".join(words), error.end


def new_console() -> Console:
    """The console for stdout. Neither markup nor highlighting: text is text."""
    from rich.console import Console

    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        # Nobody's screen ends here; a cut cell would only lose what somebody greps for.
        console.width = WIDTH_MAX
    console.width = min(console.width, WIDTH_MAX)
    return console


def is_live(console: Console) -> bool:
    """Whether the console is a terminal that may be painted on; see the module's docstring."""
    return (
        console.is_terminal
        and not console.is_dumb_terminal
        and not console.no_color
        and console.encoding.lower().startswith("utf")
    )


def takes_ctrl_c() -> bool:
    """Whether Ctrl-C on the terminal reaches this process, so that a view may promise what it does."""
    try:
        return os.tcgetpgrp(sys.stdout.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        # Stdout is no terminal, or no file at all.
        return False


def print_line(line: str, console: Console) -> None:
    """One line of words, neither wrapped nor cut. At once, so that whoever reads a pipe sees it when it happens."""
    console.out(line, highlight=False)
    console.file.flush()


def print_json(value: Any) -> None:
    """One JSON document. Non-ASCII is escaped, so that no text in it can act on a terminal."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
    sys.stdout.flush()


def print_json_line(value: Any) -> None:
    """One JSON object of a stream, on one line, at once."""
    sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def complain(message: str) -> None:
    """One line about what went wrong, on stderr."""
    print(f"taskstate: {message}", file=sys.stderr)


@contextlib.contextmanager
def connect(target: str | None) -> Iterator[TaskStateClient]:
    """A client for the body of a command. Errors of the service become one line and the exit code that fits."""
    # gRPC's own log lines on stderr repeat what the error says, in words nobody asked for.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from taskstate.client import TaskStateClient
    from taskstate.errors import TaskStateError

    try:
        client = TaskStateClient(target, actor=f"cli:{_user()}")
    except ValueError as error:
        complain(text.escape(str(error)))
        raise typer.Exit(ExitCode.USAGE) from error
    with client:
        try:
            yield client
        except CommandError as error:
            complain(str(error))
            raise typer.Exit(error.exit_code) from error
        except TaskStateError as error:
            from taskstate.cli.exit_codes import exit_code_of

            complain(error_message(error, client.target))
            raise typer.Exit(exit_code_of(error)) from error


def error_message(error: TaskStateError, target: str) -> str:
    """What went wrong, where, and what to do about it. Escaped, so one line."""
    where = text.escape(target)
    if error.reason == "DATABASE_UNAVAILABLE":
        return f"TaskState at {where} cannot reach its database; nothing was changed. Try again in a moment."
    if error.reason == "SHUTTING_DOWN":
        return f"TaskState at {where} is shutting down; nothing was changed. Try again in a moment."
    if error.code == "UNAVAILABLE" and not error.reason:
        return (
            f"no TaskState answers at {where}. Start one on this machine with `taskstate up`, "
            "or name another with --target HOST:PORT (TASKSTATE_TARGET)."
        )
    if error.code == "DEADLINE_EXCEEDED":
        return f"TaskState at {where} did not answer in time; it may be overloaded. Try again in a moment."
    if error.violations:
        return text.escape("; ".join(f"{field}: {description}" for field, description in error.violations))
    label = error.reason or error.code
    return text.escape(f"{error.message} ({label})")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a uid that has no name.
        return f"uid-{os.getuid()}"
