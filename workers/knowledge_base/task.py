"""The task type `run_agent`: the only module of this package that knows the SDK."""

from __future__ import annotations

import os
from typing import Any

from taskstate import Fatal, TaskContext, task

from workers.knowledge_base.pipeline import PHASES, run
from workers.knowledge_base.preferences import PreferencesError


@task(type="run_agent", queue="agent", timeout=3600, phases=PHASES)
def run_agent(context: TaskContext) -> dict[str, Any]:
    """Make or renew the knowledge base from the documentation that the installed distributions carry."""
    try:
        return run(context, context.payload, os.environ)
    except PreferencesError as error:
        # Another attempt would read the same preferences.
        raise Fatal(f"preferences: {error}") from error
