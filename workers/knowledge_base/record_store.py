"""The records on disk: one JSON file for each document, written in one step, so that a killed run loses at most one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

from workers.knowledge_base import files
from workers.knowledge_base.model import Analysis, Document, Link, MediaItem, ModuleDoc, Record

if TYPE_CHECKING:
    import logging
    from pathlib import Path

#: Records of another layout are read again from the source instead of being migrated: they are a cache.
LAYOUT = 1


class RecordStore:
    """Reads and writes the records below one folder. Not for two processes at once: the workspace holds a lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> dict[str, Record]:
        """All readable records by slug. One that cannot be read is logged and forgotten, so it is made again."""
        records: dict[str, Record] = {}
        for path in sorted(self._folder.glob("*.json")):
            try:
                record = from_json(json.loads(path.read_bytes()))
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("record %s is not readable and is made again: %s", path.name, error)
                continue
            if record.slug == path.stem:
                records[record.slug] = record
        return records

    def save(self, record: Record) -> None:
        """Write one record. Safe to repeat."""
        self._folder.mkdir(parents=True, exist_ok=True)
        files.write_text(self._folder / f"{record.slug}.json", json.dumps(to_json(record), indent=1))

    def remove(self, slug: str) -> None:
        """Forget one record; nothing happens if there is none."""
        (self._folder / f"{slug}.json").unlink(missing_ok=True)


def to_json(record: Record) -> dict[str, Any]:
    """The record as plain JSON values."""
    return {"layout": LAYOUT, **dataclasses.asdict(record)}


def from_json(data: Any) -> Record:
    """The record from what `to_json` gave. Raises ValueError, KeyError or TypeError if it is anything else."""
    if not isinstance(data, dict) or data.pop("layout", None) != LAYOUT:
        raise ValueError("not a record of this layout")
    raw = data.pop("document")
    document = Document(
        **{
            **raw,
            "links": tuple(Link(**each) for each in raw["links"]),
            "module_docs": tuple(ModuleDoc(**each) for each in raw["module_docs"]),
            **{name: tuple(raw[name]) for name in ("classifiers", "keywords", "requires")},
        }
    )
    media = tuple(MediaItem(**each) for each in data.pop("media"))
    raw_analysis = data.pop("analysis")
    analysis = None
    if raw_analysis is not None:
        sequences = {name: tuple(raw_analysis[name]) for name in ("sentences", "keywords", "category_evidence")}
        analysis = Analysis(**{**raw_analysis, **sequences})
    return Record(document=document, media=media, analysis=analysis, **data)


def key_of(*parts: object) -> str:
    """A key for the input of a step: equal inputs, equal keys."""
    material = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(material.encode("utf-8", "surrogatepass")).hexdigest()
