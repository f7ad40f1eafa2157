"""The knowledge base's own git repository: made, filled and read here, and no other is ever touched.

The location is always given (`GIT_DIR`, `GIT_WORK_TREE`), so git does not look for a repository in the folders above.
Inherited `GIT_*` variables and the user's and the system's configuration are shut out, so nobody's hooks, signing keys
or identity have a part in it, and nothing is written to them. There is no remote: nothing is pushed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Longest time one git command may take, in seconds.
COMMAND_TIMEOUT_S = 60.0

_IDENTITY = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "taskstate run_agent"), ("EMAIL", "run_agent@taskstate.invalid"))
}
_OPTIONS = (
    "commit.gpgSign=false",
    "core.hooksPath=/dev/null",
    "core.excludesFile=/dev/null",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "gc.auto=0",
    "init.defaultBranch=main",
    "safe.directory=*",
)


class GitError(RuntimeError):
    """A git command failed. The message holds what git said."""


@dataclass(frozen=True)
class CommitResult:
    """A commit, or why there is none."""

    #: Full id of the commit; None if nothing was committed.
    commit: str | None
    #: Why nothing was committed; empty otherwise.
    reason: str = ""
    #: How many files the commit changed.
    files_changed: int = 0


def find_git(environment: Mapping[str, str]) -> str | None:
    """Path of the git command, or None if there is none on PATH."""
    return shutil.which("git", path=environment.get("PATH", os.defpath))


class GitRepository:
    """The repository whose work tree is `root`."""

    def __init__(self, root: Path, git: str, environment: Mapping[str, str]) -> None:
        self._root = root
        self._git = git
        self._git_dir = root / ".git"
        # Present only while a run is at work in the repository; see `commit_all`.
        self._working = root / ".state" / "git_sync_running"
        inherited = {key: value for key, value in environment.items() if not key.startswith("GIT_")}
        self._environment = {
            **inherited,
            **_IDENTITY,
            "GIT_DIR": str(self._git_dir),
            "GIT_WORK_TREE": str(root),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }

    def commit_all(self, message: str) -> CommitResult:
        """Commit every change in the work tree. Safe to repeat; the caller holds the folder's lock. Raises GitError."""
        if self._git_dir.is_symlink() or (self._git_dir.exists() and not self._git_dir.is_dir()):
            return CommitResult(None, "the folder belongs to another git repository (.git is not a folder)")
        if self._working.exists():
            # The run that wrote this mark was killed while git held its lock files. The folder's lock is ours, so
            # nobody else is at work, and git would wait for these files for ever.
            for leftover in ("index.lock", "HEAD.lock", "config.lock", "refs/heads/main.lock"):
                (self._git_dir / leftover).unlink(missing_ok=True)
        self._working.parent.mkdir(exist_ok=True)
        self._working.touch()
        result = self._commit_all(message)
        self._working.unlink(missing_ok=True)
        return result

    def _commit_all(self, message: str) -> CommitResult:
        # Making a repository again that is there already changes nothing, and completes one that was half made.
        self._run("init", "--quiet", "--template=")
        self._run("add", "--all", "--", ".")
        changed = self._run("diff", "--cached", "--name-only", "-z").split("\0")
        count = sum(bool(name) for name in changed)
        if not count:
            return CommitResult(None, "nothing to commit: no file changed since the last run")
        self._run("commit", "--quiet", "--no-verify", "--message", message)
        return CommitResult(self._run("rev-parse", "HEAD").strip(), files_changed=count)

    def _run(self, *arguments: str) -> str:
        options = [part for option in _OPTIONS for part in ("-c", option)]
        try:
            done = subprocess.run(
                [self._git, *options, *arguments],
                cwd=self._root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GitError(f"git {arguments[0]}: {error}") from error
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise GitError(f"git {arguments[0]} ended with {done.returncode}: {said[:500]}")
        return done.stdout.decode("utf-8", "replace")
