"""One RQ worker process, as its supervisor sees it: started by exec, watched by a pidfd, killed when it must be."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from taskstate.worker import rq_worker_main
from taskstate.worker.leftovers import own_mark

if TYPE_CHECKING:
    from pathlib import Path

    from taskstate.worker.settings import SupervisorSettings


def rq_worker_environment(settings: SupervisorSettings, socket_path: Path, boot_id: str) -> dict[str, str]:
    """The environment of the RQ workers, which all that their tasks start inherits."""
    return os.environ | {
        rq_worker_main.ENV_SUPERVISOR_PID: str(os.getpid()),
        rq_worker_main.ENV_SOCKET: str(socket_path),
        rq_worker_main.ENV_BOOT_ID: boot_id,
        rq_worker_main.ENV_MARK: own_mark(),
        rq_worker_main.ENV_TASKS: ",".join(settings.tasks),
        rq_worker_main.ENV_REDIS_URL: settings.redis_url,
        rq_worker_main.ENV_LOG_LEVEL: settings.log_level,
        rq_worker_main.ENV_LOG_FORMAT: settings.log_format,
    }


class RqWorkerProcess:
    """A started RQ worker. Must be made in the main thread: its parent-death signal is tied to the thread that forks."""

    def __init__(self, queue: str, slot: int, environment: dict[str, str]) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("RQ workers are started from the main thread only")
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "taskstate.worker.rq_worker_main", "--queue", queue, "--slot", str(slot)],
            env=environment,
            stdin=subprocess.DEVNULL,
            # Its own group: a Ctrl-C at a terminal is for the supervisor alone, which then drains.
            process_group=0,
        )
        self.pid = self._popen.pid
        self._pidfd = os.pidfd_open(self.pid)

    async def ended(self) -> int:
        """Wait for its end and reap it; answers the exit code, negative for a signal."""
        if self._popen.returncode is None:
            died = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.add_reader(self._pidfd, died.set)
            try:
                await died.wait()
            finally:
                loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
        return self._popen.wait()

    def kill(self) -> None:
        """End it at once. Its work-horse dies with it. Harmless when it has ended."""
        self._popen.kill()
