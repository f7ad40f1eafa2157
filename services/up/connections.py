"""Where the running stack's servers are, in a file that only its owner can read: for a worker started beside it.

The embedded Redis has a port and a password that nobody chose, so `taskstate worker` could not reach it otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

FILE_NAME = "connections.env"


def write_connections(folder: Path, settings: Mapping[str, str]) -> None:
    """Write the settings, a line each, whole or not at all."""
    fresh = folder / f"{FILE_NAME}.new"
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.writelines(f"{name}={value}\n" for name, value in settings.items())
    fresh.replace(folder / FILE_NAME)


def remove_connections(folder: Path) -> None:
    """Forget them: what they name is about to end. Idempotent."""
    (folder / FILE_NAME).unlink(missing_ok=True)
