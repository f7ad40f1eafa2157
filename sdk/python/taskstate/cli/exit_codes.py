"""What the exit codes mean. Scripts branch on them, so they never change their meaning."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from taskstate.errors import TaskStateError


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    """Done; a task that was followed succeeded."""
    UNHEALTHY = 1
    """A task that was followed ended otherwise, or something is not as it should be."""
    USAGE = 2
    """The command line or a value in it is wrong. Nothing was changed."""
    NOT_FOUND = 3
    """No such task. It may have been purged."""
    REFUSED = 4
    """The service, or this machine, said no; the message says why. Nothing was changed."""
    UNAVAILABLE = 5
    """The service or its database did not answer. The same command may succeed later."""
    INTERRUPTED = 130
    """Ctrl-C; a task that was followed goes on."""


_BY_CODE: Final = {
    "INVALID_ARGUMENT": ExitCode.USAGE,
    "OUT_OF_RANGE": ExitCode.USAGE,
    "NOT_FOUND": ExitCode.NOT_FOUND,
    "ALREADY_EXISTS": ExitCode.REFUSED,
    "FAILED_PRECONDITION": ExitCode.REFUSED,
    "ABORTED": ExitCode.REFUSED,
    "RESOURCE_EXHAUSTED": ExitCode.REFUSED,
    "PERMISSION_DENIED": ExitCode.REFUSED,
    "UNAUTHENTICATED": ExitCode.REFUSED,
    "UNIMPLEMENTED": ExitCode.REFUSED,
    "UNAVAILABLE": ExitCode.UNAVAILABLE,
    "DEADLINE_EXCEEDED": ExitCode.UNAVAILABLE,
}


def exit_code_of(error: TaskStateError) -> ExitCode:
    """The exit code for an error of the service; a code that is not listed, such as INTERNAL, is UNHEALTHY."""
    return _BY_CODE.get(error.code, ExitCode.UNHEALTHY)
