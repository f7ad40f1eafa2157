"""The worker side: a supervisor, its RQ workers, and the work-horses they fork.

Three kinds of process, each of which can do only what it must:

- The *supervisor* (``supervisor``, composed of ``session``, ``outbox``, ``local_server``, ``horse_table``, ``stopping``,
  ``rq_worker_process``, ``drain``, ``leftovers``) alone holds a gRPC channel. It starts RQ workers by exec, sees every
  death, and kills. It never imports a task and never touches Redis.
- An *RQ worker* (``rq_worker_main``, ``rq_worker``, ``pop``) takes messages from one queue and forks a work-horse for each.
  It imports the tasks, and never grpc. It reports every exit with what the operating system told about it.
- A *work-horse* (``work_horse``, ``outgoing``, ``sender``, ``interruption``) runs one attempt. It asks its supervisor to
  start, reports through it, says its last word, and ends. It never touches Redis and never imports grpc.

They speak the messages of ``taskstate/v1/work_horse.proto`` on a Unix socket (``frames``). ``process`` holds what the
kernel is asked for: parent-death signals, subreaping, pidfds, process groups. ``docs/workers.md`` tells the whole.

Importing this package alone imports neither grpc nor rq; ``run_supervisor`` imports what it needs when it is called.
"""

from __future__ import annotations

import os

from taskstate.worker.settings import SettingsError, SupervisorSettings, parse_queues

__all__ = ["SettingsError", "SupervisorSettings", "parse_queues", "run_supervisor"]


def run_supervisor(settings: SupervisorSettings) -> int:
    """Run a supervisor until it is told to stop (SIGTERM or SIGINT); call it in the main thread.

    Returns the process's exit code: 0 after a drain, 2 when the tasks cannot be imported.
    """
    # gRPC's core writes lines of its own form to stderr, for example when TaskState restarts, which would stand between
    # our JSON lines. It reads this when it is loaded, which the next line does.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from taskstate.worker.supervisor import main

    return main(settings)
