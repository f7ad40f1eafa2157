"""The unprivileged account that the embedded servers run under when `up` runs as root.

PostgreSQL refuses to run as root, and looks its user up in the password file, so a made-up uid does not work either:
`nobody` exists everywhere. An ordinary user runs the servers directly, and no account is needed.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from services.up.problem import REFUSED, UNAVAILABLE, CannotStartError

LAUNCHER = Path(__file__).with_name("launch.py")
_PROBE_TIMEOUT_S = 10


@dataclass(frozen=True)
class Account:
    """A user to switch to: name, uid, and its primary group (supplementary groups are dropped)."""

    name: str
    uid: int
    gid: int


def account_for(existing: Path) -> Account | None:
    """Return the account to run servers under, or None to run them as ourselves.

    `existing` is a server's folder of an earlier start: as root we go on as its owner, so that a folder first used by
    an ordinary user stays usable for that user.
    """
    if os.geteuid() != 0:
        _refuse_foreign(existing)
        return None
    owner = _owner(existing)
    try:
        entry = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    except KeyError:
        who = f"uid {owner}, the owner of {existing}," if owner else "The user 'nobody'"
        raise CannotStartError(f"{who} is not in the password file, so PostgreSQL cannot run.", UNAVAILABLE) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _owner(folder: Path) -> int:
    """Uid of the folder's owner; 0 if there is no such folder."""
    try:
        return folder.stat().st_uid
    except FileNotFoundError:
        return 0


def _refuse_foreign(existing: Path) -> None:
    if existing.exists() and existing.stat().st_uid != os.geteuid():
        raise CannotStartError(
            f"{existing} belongs to another user: run as that user, or choose another data folder with --data-dir.",
            REFUSED,
        )


def launch_command(command: list[str], account: Account | None) -> list[str]:
    """Wrap a command so that it runs as `account` (None: as we are) and is killed by the kernel when we die.

    The kernel ties this to the *thread* that starts the process: start it from the main thread.
    """
    who = f"{account.uid}:{account.gid}" if account else "-"
    return [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), who, *command]


def can_run(account: Account | None, command: list[str]) -> bool:
    """Whether the account can run this command to success. It is tried: permission bits do not tell the whole truth."""
    if account is None:
        return True
    try:
        outcome = subprocess.run(
            command,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return outcome.returncode == 0


def can_reach(account: Account | None, folder: Path) -> bool:
    """Whether the account can enter the folder."""
    return can_run(account, ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)])
