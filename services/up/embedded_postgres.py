"""PostgreSQL as a foreground child: make the cluster once, then give the command line that serves it.

This module starts nothing that lasts. `prepare()` runs initdb to its end; whoever calls it then starts `command()`
(the stack as a supervised part, the tests as a session's server) and asks `wait_until_ready()`.

It listens on 127.0.0.1 only and has no Unix socket: nothing is left in /tmp after a kill, and no path can be too long
for a socket. Every user of the machine can reach 127.0.0.1, so connections need the data folder's password.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from services.up.account import Account, launch_command
from services.up.data_folder import give_to
from services.up.problem import REFUSED, UNAVAILABLE, CannotStartError

USER = "taskstate"
_INITDB_TIMEOUT_S = 120
_LEFTOVER_TIMEOUT_S = 15
_PROBE_INTERVAL_S = 0.02


@dataclass(frozen=True)
class EmbeddedPostgres:
    """One cluster: `install` has bin/, lib/ and share/; `parent` is the existing folder in which `postgres/` lives."""

    install: Path
    parent: Path
    account: Account | None
    password: str
    port: int
    # Extra `name=value` server settings; the tests switch fsync off here.
    settings: tuple[str, ...] = ()

    @property
    def cluster(self) -> Path:
        """The cluster's folder."""
        return self.parent / "postgres"

    @property
    def environment(self) -> dict[str, str]:
        """Everything the server may see of our environment: PG* variables would change how it behaves."""
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

    def url(self, database: str) -> str:
        """Return the libpq URL of a database of this server."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def command(self) -> list[str]:
        """Return the command that serves the cluster in the foreground until SIGINT, and dies with its parent."""
        settings = (
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            "unix_socket_directories=",
            "log_line_prefix=%m [%p] ",
            *self.settings,
        )
        options = [word for setting in settings for word in ("-c", setting)]
        postgres = str(self.install / "bin" / "postgres")
        return launch_command([postgres, "-D", str(self.cluster), *options], self.account)

    def prepare(self) -> None:
        """Make the cluster if there is none yet, else see that it can be started. Blocks for about a second."""
        if (self.cluster / "PG_VERSION").is_file():
            self._refuse_other_version()
            wait_for_leftovers(self.cluster)
            _remove_stale_pid_file(self.cluster)
        else:
            self._make_cluster()

    def _make_cluster(self) -> None:
        """Run initdb beside the final place and rename: a cluster is there whole or not at all."""
        unfinished = self.parent / "postgres.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        give_to(self.account, unfinished)
        password_file = self.parent / "postgres.password"
        password_file.unlink(missing_ok=True)
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(self.password)
        give_to(self.account, password_file)
        options = ["--username", USER, "--pwfile", str(password_file), "--auth=scram-sha-256", "--no-instructions"]
        # The builtin provider sorts the same on every machine, whatever its C library.
        options += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        initdb = [str(self.install / "bin" / "initdb"), "-D", str(unfinished), *options]
        try:
            self._run_initdb(initdb)
        finally:
            password_file.unlink(missing_ok=True)
        unfinished.replace(self.cluster)

    def _run_initdb(self, command: list[str]) -> None:
        try:
            outcome = subprocess.run(
                launch_command(command, self.account),
                env=self.environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_INITDB_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CannotStartError(f"initdb did not end within {_INITDB_TIMEOUT_S} s.", UNAVAILABLE) from None
        if outcome.returncode != 0:
            cause = " ".join((outcome.stderr or outcome.stdout).split())[-300:]
            raise CannotStartError(f"PostgreSQL's cluster could not be made: {cause}", UNAVAILABLE)

    def _refuse_other_version(self) -> None:
        ours = subprocess.run(
            [str(self.install / "bin" / "postgres"), "--version"], capture_output=True, text=True, check=True
        ).stdout.split()[-1]
        theirs = (self.cluster / "PG_VERSION").read_text().strip()
        if ours.split(".")[0] != theirs:
            raise CannotStartError(
                f"{self.cluster} was made by PostgreSQL {theirs}, but {ours} is installed: move the folder away, or "
                "choose another data folder with --data-dir.",
                REFUSED,
            )

    def is_ready(self) -> bool:
        """Whether a connection can be made now. Blocks for at most 2 s."""
        try:
            psycopg2.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def wait_until_ready(self, is_running: Callable[[], bool], timeout_s: float = 60) -> bool:
        """Wait until a connection can be made; False if the server ended or the time ran out. Blocks."""
        give_up = time.monotonic() + timeout_s
        while time.monotonic() < give_up and is_running():
            if self.is_ready():
                return True
            time.sleep(_PROBE_INTERVAL_S)
        return False

    def ensure_database(self, name: str) -> None:
        """Create the database if it is missing. The server must be ready. May be repeated."""
        with closing(psycopg2.connect(self.url("postgres"), connect_timeout=5)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("select 1 from pg_database where datname = %s", (name,))
                if cursor.fetchone() is None:
                    cursor.execute(f'create database "{name}"')


def wait_for_leftovers(cluster: Path, processes: Path = Path("/proc")) -> None:
    """Wait until no process of an earlier server works in the cluster (its backends see its death within moments).

    Raises CannotStartError (exit code 4) if some are still there after 15 s: two servers on one cluster destroy it.
    """
    give_up = time.monotonic() + _LEFTOVER_TIMEOUT_S
    while left := list(_working_in(cluster, processes)):
        if time.monotonic() > give_up:
            raise CannotStartError(f"PostgreSQL is already running in {cluster} (pid {min(left)}).", REFUSED)
        time.sleep(_PROBE_INTERVAL_S)


def _working_in(folder: Path, processes: Path) -> Iterator[int]:
    """Pids of the processes whose working directory is the folder: a PostgreSQL process stays in its cluster."""
    wanted = folder.resolve()
    for process in _numbered(processes.iterdir()):
        try:
            if (process / "cwd").readlink() == wanted:
                yield int(process.name)
        except OSError:
            # It ended meanwhile, or belongs to another user, whose processes cannot work in our 0700 folder.
            continue


def _numbered(entries: Iterable[Path]) -> Iterator[Path]:
    return (entry for entry in entries if entry.name.isdigit())


def _remove_stale_pid_file(cluster: Path) -> None:
    """Remove the pid file that a killed server left.

    PostgreSQL does so itself unless the number now belongs to another living process, which is usual in a container
    whose processes start in the same order every time. We hold the data folder's lock and have just seen that nobody
    works in the cluster.
    """
    (cluster / "postmaster.pid").unlink(missing_ok=True)
