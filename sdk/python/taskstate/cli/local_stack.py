"""Where the stack of `taskstate up` runs on this machine, as it tells in its data folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taskstate.cli.up import find_checkout

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE_NAME: Final = "connections.env"
_DEFAULT_FOLDER: Final = ".taskstate"


def local_connections(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The settings to reach the running stack's Redis and TaskState; empty if none runs here, or for another user."""
    if environ.get("TASKSTATE_DATA_DIR"):
        folder = Path(environ["TASKSTATE_DATA_DIR"])
    else:
        folder = (find_checkout() or Path.cwd()) / _DEFAULT_FOLDER
    try:
        lines = (folder / _FILE_NAME).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if line.startswith("TASKSTATE_") and "=" in line)
