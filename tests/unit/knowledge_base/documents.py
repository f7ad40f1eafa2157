"""Documents and records for tests, with every field that a test does not name filled in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from workers.knowledge_base.model import Document, Record

_PLAIN = Document(
    name="lock-smith",
    version="1.0",
    summary="",
    description="",
    description_format="markdown",
    license="MIT",
    requires_python=">=3.11",
    fingerprint="f" * 64,
)


def document(**fields: Any) -> Document:
    return replace(_PLAIN, **fields)


def record(slug: str, **fields: Any) -> Record:
    return Record(slug=slug, document=document(**{"name": slug, **fields}))
