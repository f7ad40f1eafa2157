"""Writes docs/settings.md from the settings classes, so that names, defaults and meanings are those of the code.

Run from the root: `.venv/bin/python -m scripts.settings_page`.
"""

import json
from pathlib import Path

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from services.gateway.settings import GatewaySettings
from services.runtime.settings import ENV_PREFIX, ServiceSettings
from services.scheduler.settings import SchedulerSettings
from services.taskstate.settings import TaskStateSettings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
PARTS: dict[str, type[ServiceSettings]] = {
    "services.taskstate": TaskStateSettings,
    "services.scheduler": SchedulerSettings,
    "services.gateway": GatewaySettings,
}

HEAD = """# Settings of the services

Written by `python -m scripts.settings_page` from the code; do not edit. Settings are environment variables, read once at the
start. Mistakes are reported all together, one line each, and the process ends with code 2 before it has opened anything.
What `make up` itself reads, and how it passes these on, is in [running.md](running.md).

Where two names are given, the first wins.
"""

TAIL = """
## python -m workers, taskstate worker

The SDK reads these itself, so that it needs no settings library; `--tasks` and `--queues` win over them.

| variable | default | meaning |
|---|---|---|
| `TASKSTATE_TASKS` | the tasks shipped here | modules that register tasks, comma-separated |
| `TASKSTATE_QUEUES` | `default` | queues, each with its number of RQ workers: `default=2,agent` |
| `TASKSTATE_TARGET` | `127.0.0.1:50051` | TaskState's address, several separated by commas |
| `TASKSTATE_REDIS_URL` | `redis://127.0.0.1:6379/0` | the Redis that holds RQ's queues |
| `TASKSTATE_WORKER_ID` | the host's name | name of this worker; may come back after a restart |
| `TASKSTATE_DRAIN_GRACE_SECONDS` | `30` | how long running attempts may go on after SIGTERM |
| `TASKSTATE_LOG_LEVEL`, `TASKSTATE_LOG_FORMAT` | as above | as above |
"""


def variables(name: str, field: FieldInfo) -> list[str]:
    """The environment variables of a field, the winning one first."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [f"{ENV_PREFIX}{name}".upper()]


def row(name: str, field: FieldInfo) -> str:
    """One line of a table."""
    names = ", ".join(f"`{variable}`" for variable in variables(name, field))
    return f"| {names} | {default_of(field)} | {field.description} |"


def default_of(field: FieldInfo) -> str:
    """The default, as it would be written in the environment."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    text = json.dumps(value) if isinstance(value, dict | tuple) else str(value)
    return f"`{text}`"


def page() -> str:
    """The whole page."""
    lines = [HEAD, "## All of them", "", "| variable | default | meaning |", "|---|---|---|"]
    common = ServiceSettings.model_fields
    lines += [row(name, field) for name, field in common.items()]
    for module, settings in PARTS.items():
        lines += ["", f"## python -m {module}", "", "| variable | default | meaning |", "|---|---|---|"]
        # What a service has in common with all others is shown again only where its default differs.
        lines += [
            row(name, field)
            for name, field in settings.model_fields.items()
            if name not in common or default_of(field) != default_of(common[name])
        ]
    return "\n".join(lines) + "\n" + TAIL


if __name__ == "__main__":
    PAGE.write_text(page())
