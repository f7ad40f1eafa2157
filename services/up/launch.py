"""Start one program so that it dies with its parent: `python -I -S launch.py PARENT_PID UID:GID|- PROGRAM ARGUMENT...`.

A program of its own rather than a `preexec_fn`, because `up` has threads (gRPC, log files), and Python code that runs
between fork and exec in a process with threads can hang for ever. It imports nothing of ours: it has to start fast
and, as root, to load everything before it gives up the right to read the interpreter's own folder.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
COULD_NOT_LAUNCH = 126


def main(arguments: list[str]) -> int:
    """Change the user if asked, tie our life to the parent's, and become PROGRAM. Returns only if that failed."""
    parent, account, command = int(arguments[0]), arguments[1], arguments[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if account != "-":
        uid, gid = (int(part) for part in account.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After the change of user, which clears the setting.
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        print(f"launch: prctl: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        return COULD_NOT_LAUNCH
    # A parent that died before the line above sends no signal any more: look once ourselves.
    if os.getppid() != parent:
        return COULD_NOT_LAUNCH
    # Python ignores these two, and an ignored signal stays ignored across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execv(command[0], command)  # noqa: S606 - becoming that program, without a shell, is the purpose
    except OSError as error:
        print(f"launch: {command[0]}: {error.strerror}", file=sys.stderr)
    return COULD_NOT_LAUNCH


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
