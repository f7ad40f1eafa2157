"""From what a person types to a task's id: the whole id, or its beginning where that is enough to tell tasks apart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from taskstate.cli import text
from taskstate.cli.exit_codes import ExitCode
from taskstate.cli.output import CommandError

if TYPE_CHECKING:
    from taskstate.client import TaskStateClient

_WHOLE: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BEGINNING: Final = re.compile(r"[0-9a-f][0-9a-f-]{3,35}")
_PAGE_SIZE: Final = 500
_PAGES_MAX: Final = 4
_EXAMPLES_MAX: Final = 3


def resolve(client: TaskStateClient, given: str) -> str:
    """The id of the task that is meant. Asks the service only for an id that was not given whole.

    Raises CommandError: USAGE for what cannot be an id or fits several tasks, NOT_FOUND for the beginning of none.
    """
    wanted = given.strip().removeprefix("#").lower()
    if _WHOLE.fullmatch(wanted):
        return wanted
    if not _BEGINNING.fullmatch(wanted):
        raise CommandError(
            f"{text.cut(text.escape(given), 60)!r} is no task id; give the whole id, or at least its first 4 characters",
            ExitCode.USAGE,
        )
    matches = _beginning_with(client, wanted)
    if not matches:
        raise CommandError(f"no task's id begins with {wanted}; it may have been purged", ExitCode.NOT_FOUND)
    if len(matches) > 1:
        shown = ", ".join(matches[:_EXAMPLES_MAX]) + (", …" if len(matches) > _EXAMPLES_MAX else "")
        raise CommandError(f"several tasks' ids begin with {wanted}: {shown}; give more of it", ExitCode.USAGE)
    return matches[0]


def _beginning_with(client: TaskStateClient, wanted: str) -> list[str]:
    """Ids that begin so. The service's text search also finds names and messages, hence the second look and the bound."""
    matches: list[str] = []
    page_token = ""
    for _ in range(_PAGES_MAX):
        page = client.page(text=wanted, page_size=_PAGE_SIZE, page_token=page_token)
        matches += [task.task_id for task in page.tasks if task.task_id.startswith(wanted)]
        page_token = page.next_page_token
        if not page_token or len(matches) > _EXAMPLES_MAX:
            return matches
    raise CommandError(f"too many tasks mention {wanted}; give more of the id", ExitCode.USAGE)
