"""``python -m workers``: the settings of a supervisor, then its run."""

from __future__ import annotations

import argparse
import sys

from taskstate.worker import SettingsError, SupervisorSettings, run_supervisor

DEFAULT_TASKS = "workers.canary,workers.knowledge_base"
DEFAULT_QUEUES = "default=2,agent,processing,chat"


def main() -> int:
    """Run a supervisor with this deployment's tasks; answers the exit code, 2 for settings that are wrong."""
    parser = argparse.ArgumentParser(prog="python -m workers", description="Run a supervisor and its RQ workers.")
    parser.add_argument("--queues", metavar="Q[=N],...", help="queues, and RQ workers for each: default=2,agent")
    parser.add_argument("--tasks", metavar="MODULE,...", help="modules that register tasks")
    options = parser.parse_args()
    try:
        settings = SupervisorSettings.from_env(
            tasks=options.tasks,
            queues=options.queues,
            default_tasks=DEFAULT_TASKS,
            default_queues=DEFAULT_QUEUES,
        )
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    return run_supervisor(settings)


if __name__ == "__main__":
    sys.exit(main())
