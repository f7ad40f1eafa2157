"""Runs of the knowledge base over a sample of the distributions that are installed here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tests.support.recording_context import RecordingContext
from workers.knowledge_base.pipeline import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from workers.knowledge_base.sources import InstalledLibrary

#: A dozen of this repository's own dependencies.
_NAMES = "alembic click coverage fastapi h11 httpx hypothesis pluggy pydantic rich rq sqlalchemy"
SAMPLE = tuple(_NAMES.split())
#: A dozen that are read quickly, for runs that are repeated.
_LIGHT_NAMES = (
    "anyio click h11 httpx iniconfig packaging pluggy pytest-asyncio starlette typer typing_extensions uvicorn"
)
LIGHT_SAMPLE = tuple(_LIGHT_NAMES.split())


def run_sample(
    root: Path,
    context: RecordingContext | None = None,
    *,
    library: InstalledLibrary | None = None,
    environment: Mapping[str, str] | None = None,
    **preferences: Any,
) -> dict[str, Any]:
    """One run into `root`: over `library`, or over the sample of what is installed."""
    payload = {"output_dir": str(root), **preferences}
    if library is None:
        payload.setdefault("include", list(SAMPLE))
    surroundings = os.environ if environment is None else environment
    return run(context or RecordingContext(), payload, surroundings, library=library)
