"""The output folder: where it is, that it is ours, and that nobody else writes into it at the same time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from workers.knowledge_base import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Everything that is derived, or of no interest to a reader, lies in this folder, which git does not see.
STATE_FOLDER = ".state"
_MARKER = "knowledge_base.json"
_GITIGNORE = f"# What the next run can make again.\n/{STATE_FOLDER}/\n{files.TEMPORARY_PREFIX}*\n"


class WorkspaceError(RuntimeError):
    """The output folder cannot be used. The message says why and what would help."""


class Workspace:
    """The folders and files of one knowledge base."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / STATE_FOLDER
        self.records = self.state / "documents"
        self.search_index = self.state / "search.sqlite3"
        self.marker = self.state / _MARKER

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """Prepare the folder and hold its lock; gives how many half-written files of killed runs were removed.

        Raises WorkspaceError if the folder holds something else, cannot be written, or is in use by another run. The
        lock belongs to the process: the system frees it when the process ends in whatever way.
        """
        try:
            self._claim()
            handle = os.open(self.state / "run.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise WorkspaceError(f"cannot write to the output folder {self.root}: {error.strerror}") from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise WorkspaceError(
                    f"another run is writing to {self.root}; wait for it, or choose another output_dir"
                ) from error
            yield files.remove_leftovers(self.root)
        finally:
            os.close(handle)

    def _claim(self) -> None:
        if self.root.exists() and not self.root.is_dir():
            raise WorkspaceError(f"output folder {self.root} is not a folder")
        # A run makes, replaces and removes files and makes a git repository: never in a folder of somebody else's.
        if not self.marker.exists() and self.root.is_dir() and any(self.root.iterdir()) and not self._half_made():
            raise WorkspaceError(
                f"output folder {self.root} holds files that are not a knowledge base;"
                " choose an empty or a new folder as output_dir"
            )
        self.state.mkdir(parents=True, exist_ok=True)
        files.write_text(self.marker, json.dumps({"made_by": "taskstate run_agent", "layout": 1}) + "\n")
        files.write_text(self.root / ".gitignore", _GITIGNORE)

    def _half_made(self) -> bool:
        """Whether a run was killed between making the folder and marking it."""
        return all(entry.name == STATE_FOLDER for entry in self.root.iterdir()) and all(
            entry.name.startswith(files.TEMPORARY_PREFIX) for entry in self.state.iterdir()
        )


def output_folder(chosen: Path | None, environment: Mapping[str, str]) -> Path:
    """The output folder: the preference, else TASKSTATE_KNOWLEDGE_BASE_DIR, else a folder in TASKSTATE_DATA_DIR."""
    if chosen is not None:
        return chosen.absolute()
    configured = environment.get("TASKSTATE_KNOWLEDGE_BASE_DIR", "").strip()
    if configured:
        return Path(configured).expanduser().absolute()
    data_dir = environment.get("TASKSTATE_DATA_DIR", "").strip() or ".taskstate"
    return (Path(data_dir).expanduser() / "knowledge_base").absolute()
