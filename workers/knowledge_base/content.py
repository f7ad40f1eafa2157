"""The content_processing phase: four steps, each for all documents, each skipping what an earlier run has done.

A step keeps the key of its input in the document's record. Equal key: the result still holds. So a step runs again
when its input changed, when a step before it gave something else, when it never got to this document, or by force.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workers.knowledge_base import files, item_page, sources
from workers.knowledge_base.media import extract_media
from workers.knowledge_base.model import Record
from workers.knowledge_base.record_store import key_of
from workers.knowledge_base.shelf import Shelf

if TYPE_CHECKING:
    from pathlib import Path

    from workers.knowledge_base.language import LanguageModel
    from workers.knowledge_base.preferences import Preferences
    from workers.knowledge_base.record_store import RecordStore
    from workers.knowledge_base.run_context import RunContext
    from workers.knowledge_base.sources import Source
    from workers.knowledge_base.steps import StepCounts, StepRunner

#: Raised when a step would give another result for the same input.
_MEDIA_VERSION = 1

SUB_PHASES = ("cache", "media", "llm", "kb_item")


class ContentProcessing:
    """The four steps over one set of records. `records` is changed in place, by slug."""

    def __init__(
        self,
        *,
        root: Path,
        context: RunContext,
        preferences: Preferences,
        steps: StepRunner,
        store: RecordStore,
        records: dict[str, Record],
        model: LanguageModel,
    ) -> None:
        self._root = root
        self._context = context
        self._preferences = preferences
        self._steps = steps
        self._store = store
        self._records = records
        self._model = model

    def cache(self, sources_by_slug: dict[str, Source]) -> StepCounts:
        """Read in full what is new or changed; keep it in its record."""
        with_docstrings = not self._preferences.skip_docstrings

        def work(entry: tuple[str, Source]) -> bool:
            slug, source = entry
            old = self._records.get(slug)
            # Reading with and without docstrings gives different documents from the same files.
            fingerprint = source.fingerprint if with_docstrings else key_of(source.fingerprint, "no docstrings")
            if old is not None and old.document.fingerprint == fingerprint and not self._preferences.forced("cache"):
                return False
            document = replace(sources.read_document(source, with_docstrings=with_docstrings), fingerprint=fingerprint)
            # The old results stay until their steps see that their keys are outdated; so does the page they point to.
            self._keep(replace(old, document=document) if old is not None else Record(slug=slug, document=document))
            return True

        return self._steps.each("cache", list(sources_by_slug.items()), lambda entry: entry[1].name, work)

    def media(self) -> StepCounts:
        """Find and classify links, images and badges. No network."""

        def work(record: Record) -> bool:
            key = key_of(_MEDIA_VERSION, record.document.fingerprint)
            if record.media_key == key and not self._preferences.forced("media"):
                return False
            self._keep(replace(record, media=extract_media(record.document), media_key=key))
            return True

        return self._steps.each("media", self._selected(), _name, work)

    def llm(self) -> StepCounts:
        """Summary, keywords and category by the language model.

        The key leaves the corpus out: one more distribution shifts every weight a little, and must not cost an
        analysis of all others. `force_llm` weighs everything anew.
        """
        selected = self._selected()
        keys = {record.slug: key_of(self._model.name, record.document.fingerprint) for record in selected}
        forced = self._preferences.forced("llm")
        if forced or any(record.analysis_key != keys[record.slug] for record in selected):
            self._context.progress(0, len(selected), "counting the terms of all documents")
            self._model.prepare([record.document for record in selected])

        def work(record: Record) -> bool:
            if record.analysis_key == keys[record.slug] and not forced:
                return False
            analysis = self._model.analyse(record.document)
            self._keep(replace(record, analysis=analysis, analysis_key=keys[record.slug]))
            return True

        return self._steps.each("llm", selected, _name, work)

    def kb_item(self) -> StepCounts:
        """Write the pages. A page that would be the same is left as it is; one that moved leaves no copy behind."""
        selected = self._selected()
        shelf = Shelf(selected)
        processed = 0

        def work(record: Record) -> bool:
            nonlocal processed
            path = shelf.path(record)
            page = item_page.render(record, shelf)
            written = files.write_text(files.inside(self._root, path), page, force=self._preferences.forced("kb_item"))
            if record.item_path and record.item_path != path:
                files.inside(self._root, record.item_path).unlink(missing_ok=True)
            if record.item_path != path:
                self._keep(replace(record, item_path=path))
            processed += 1
            self._context.items(processed=processed, failed=len(self._steps.failures))
            return written

        return self._steps.each("kb_item", selected, _name, work)

    def forget_missing(self, found: set[str]) -> int:
        """Remove records and pages of distributions that are no longer installed; answers how many."""
        missing = [slug for slug in self._records if slug not in found]
        for slug in missing:
            record = self._records.pop(slug)
            if record.item_path:
                files.inside(self._root, record.item_path).unlink(missing_ok=True)
            self._store.remove(slug)
            self._context.log.info("%s is no longer installed; its page is removed", record.document.name)
        return len(missing)

    def _keep(self, record: Record) -> None:
        self._store.save(record)
        self._records[record.slug] = record

    def _selected(self) -> list[Record]:
        """The records that no step of this run has failed for, from A to Z."""
        kept = [record for record in self._records.values() if record.document.name not in self._steps.failures]
        return sorted(kept, key=lambda record: (record.document.name.lower(), record.slug))


def _name(record: Record) -> str:
    return record.document.name
