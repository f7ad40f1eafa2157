"""A Redis-compatible server as a foreground child, with an append-only file so that queues survive a restart.

Like `embedded_postgres.py`: it gives the command line and tells when the server answers; others start and stop it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

from services.up.account import Account, launch_command
from services.up.data_folder import give_to

_PROBE_INTERVAL_S = 0.02


@dataclass(frozen=True)
class EmbeddedRedis:
    """One server: `program` is redis-server or valkey-server, `folder` an existing folder of its account."""

    program: Path
    folder: Path
    account: Account | None
    password: str
    port: int
    append_only: bool = True

    @property
    def environment(self) -> dict[str, str]:
        """Everything the server may see of our environment."""
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

    def url(self, database: int = 0) -> str:
        """Return the URL of one of the server's 16 databases."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Write the configuration: in a file, because everyone on the machine can read a command line."""
        configuration = self.folder / "redis.conf"
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            "protected-mode yes",
            f"requirepass {self.password}",
            f'dir "{self.folder}"',
            f"appendonly {'yes' if self.append_only else 'no'}",
            # The append-only file is the copy that counts; snapshots beside it would only cost.
            'save ""',
            "daemonize no",
        ]
        configuration.unlink(missing_ok=True)
        descriptor = os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write("\n".join(lines) + "\n")
        give_to(self.account, configuration)

    def command(self) -> list[str]:
        """Return the command that serves in the foreground until SIGTERM, and dies with its parent.

        `appendonly` is given here too, where a process list shows it.
        """
        append_only = "yes" if self.append_only else "no"
        server = [str(self.program), str(self.folder / "redis.conf"), "--appendonly", append_only]
        return launch_command(server, self.account)

    def is_ready(self) -> bool:
        """Whether the server answers PING now, its data loaded. Blocks for at most 2 s."""
        client = redis.Redis(
            host="127.0.0.1", port=self.port, password=self.password, socket_timeout=2, socket_connect_timeout=2
        )
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def wait_until_ready(self, is_running: Callable[[], bool], timeout_s: float = 60) -> bool:
        """Wait until the server answers; False if it ended or the time ran out. Blocks."""
        give_up = time.monotonic() + timeout_s
        while time.monotonic() < give_up and is_running():
            if self.is_ready():
                return True
            time.sleep(_PROBE_INTERVAL_S)
        return False
