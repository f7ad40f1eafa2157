"""`python -m services.taskstate`: serve. `python -m services.taskstate migrate`: bring the database to this version."""

from __future__ import annotations

import argparse
import logging
import sys

from services.runtime.logs import configure_logging
from services.runtime.serving import run
from services.runtime.settings import load_settings
from services.runtime.telemetry import configure_telemetry
from services.taskstate.migrations.run import MigrationFailed, migrate
from services.taskstate.service import serve
from services.taskstate.settings import TaskStateSettings


def main() -> None:
    """Entry of the process."""
    parser = argparse.ArgumentParser(prog="python -m services.taskstate", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["serve", "migrate"], default="serve")
    command = parser.parse_args().command
    settings = load_settings(TaskStateSettings)
    configure_logging("taskstate", settings.log_level, settings.log_format)
    configure_telemetry("taskstate", settings.traces)
    if command == "migrate":
        logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)  # It tells its own workings.
        try:
            revision = migrate(settings.database_url)
        except MigrationFailed as error:
            raise SystemExit(f"cannot migrate: {error}") from error
        logging.getLogger(__name__).info(
            "the database is at migration %s", revision, extra={"event": "migrated", "migration": revision}
        )
        sys.exit(0)
    run(lambda: serve(settings))


if __name__ == "__main__":
    main()
