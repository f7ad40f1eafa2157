"""Why `up` cannot start, said in one line, with the exit code that goes with it."""

from __future__ import annotations

STOPPED = 0
JOB_FAILED = 1
USAGE = 2
REFUSED = 4
UNAVAILABLE = 5


class CannotStartError(Exception):
    """The stack cannot start; the text is the one line shown to the user, without a traceback.

    Codes follow the command line's: 4 when the machine refuses (folder in use or unwritable, port in use), 5 when
    something that is needed is missing or does not get ready.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
