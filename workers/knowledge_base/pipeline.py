"""The run itself: seven phases in order, and the summary that it returns.

Everything from outside comes in as an argument (the context, the environment, the library to read, the language model,
the clock), so a test drives the whole run in a folder of its own.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from workers.knowledge_base import files, names, page, readme, search_index, synthesis
from workers.knowledge_base.categories import BY_ID, Category
from workers.knowledge_base.content import SUB_PHASES, ContentProcessing
from workers.knowledge_base.git_repository import GitRepository, find_git
from workers.knowledge_base.language import ExtractiveModel, LanguageModel
from workers.knowledge_base.preferences import parse_preferences
from workers.knowledge_base.record_store import RecordStore
from workers.knowledge_base.shelf import Shelf
from workers.knowledge_base.sources import InstalledLibrary, Source, describe, fetch
from workers.knowledge_base.steps import StepCounts, StepRunner
from workers.knowledge_base.workspace import Workspace, output_folder

if TYPE_CHECKING:
    import importlib.metadata
    from collections.abc import Callable, Mapping

    from workers.knowledge_base.model import Record
    from workers.knowledge_base.preferences import Preferences
    from workers.knowledge_base.run_context import PhaseHandle, RunContext

#: The phases with their names for people, in the order in which they run; `task` declares them.
PHASES: tuple[tuple[str, str], ...] = (
    ("initialization", "Initialization"),
    ("fetch", "Fetch"),
    ("content_processing", "Content processing"),
    ("content_processing.cache", "Cache"),
    ("content_processing.media", "Media"),
    ("content_processing.llm", "Language model"),
    ("content_processing.kb_item", "Knowledge base items"),
    ("synthesis", "Synthesis"),
    ("embeddings", "Embeddings (lexical index)"),
    ("readme", "Readme"),
    ("git_sync", "Git sync"),
)

#: Most failures that the summary names; all are counted.
_FAILURES_SHOWN = 20


class NothingFetchedError(RuntimeError):
    """There is nothing to work on: fetching was skipped and no earlier run has fetched anything."""


class EveryDocumentFailedError(RuntimeError):
    """Not one document came through: the cause is not in the documents (a full disk, a model that is away)."""


def run(
    context: RunContext,
    payload: object,
    environment: Mapping[str, str],
    *,
    library: InstalledLibrary | None = None,
    model: LanguageModel | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Make or renew the knowledge base; answers a summary that JSON can hold.

    Raises PreferencesError, WorkspaceError, NothingFetchedError, EveryDocumentFailedError or GitError, and
    RunCancelledError when the context is cancelled. The run may be repeated at any time, after any end: it does what is
    missing.
    """
    started = clock()
    with contextlib.ExitStack() as held:
        with context.phase("initialization"):
            preferences, unknown = parse_preferences(payload)
            if unknown:
                context.log.warning("unknown preferences are ignored: %s", ", ".join(sorted(unknown))[:500])
            workspace = Workspace(output_folder(preferences.output_dir, environment))
            context.progress(0, 2, f"opening {workspace.root}")
            leftovers = held.enter_context(workspace.opened())
            if leftovers:
                context.log.info("removed %s that a killed run left half written", page.plural(leftovers, "file"))
            context.progress(1, 2, "loading what earlier runs have read")
            pipeline = Pipeline(
                context, preferences, environment, workspace, library or InstalledLibrary(), model or ExtractiveModel()
            )
            known = pipeline.load()
            context.progress(2, 2, f"{page.plural(known, 'document')} known from earlier runs")
        summary = pipeline.run()
    summary["duration_seconds"] = round(clock() - started, 3)
    context.log.info(
        "knowledge base of %s in %s at %s",
        page.plural(summary["documents"], "document"),
        page.plural(len(summary["categories"]), "category"),
        summary["output_dir"],
    )
    return summary


class Pipeline:
    """One run over an opened workspace. Not reusable."""

    def __init__(
        self,
        context: RunContext,
        preferences: Preferences,
        environment: Mapping[str, str],
        workspace: Workspace,
        library: InstalledLibrary,
        model: LanguageModel,
    ) -> None:
        self._context = context
        self._preferences = preferences
        self._environment = environment
        self._workspace = workspace
        self._library = library
        self._store = RecordStore(workspace.records)
        self._steps = StepRunner(context)
        self._records: dict[str, Record] = {}
        self._sources: dict[str, Source] = {}
        self._results: dict[str, Any] = {}
        self._content = ContentProcessing(
            root=workspace.root,
            context=context,
            preferences=preferences,
            steps=self._steps,
            store=self._store,
            records=self._records,
            model=model,
        )

    def load(self) -> int:
        """Read the records of earlier runs; answers how many there are."""
        self._records.update(self._store.load(self._context.log))
        return len(self._records)

    def run(self) -> dict[str, Any]:
        """The phases after `initialization`, in order; answers the summary, without its duration."""
        self._phase("fetch", self._fetch)
        self._phase("content_processing", self._process_content)
        self._phase("synthesis", self._synthesise)
        self._phase("embeddings", self._index)
        self._phase("readme", self._write_readme)
        self._phase("git_sync", self._commit)
        shelf = self._published()
        return {
            "documents": len(shelf.records),
            "items_failed": len(self._steps.failures),
            "failures": dict(list(self._steps.failures.items())[:_FAILURES_SHOWN]),
            "categories": {category.id: len(records) for category, records in shelf.by_category()},
            "run_mode": self._preferences.run_mode,
            "output_dir": str(self._workspace.root),
            "index_path": str(self._workspace.search_index),
            "commit": self._results["git_sync"].get("commit"),
            "phases": self._results,
        }

    def _phase(self, phase_id: str, work: Callable[[PhaseHandle], dict[str, Any]]) -> None:
        self._steps.check_cancelled()
        with self._context.phase(phase_id) as handle:
            reason = self._preferences.skip_reason(phase_id)
            if phase_id == "fetch" and reason and not self._records:
                raise NothingFetchedError(
                    f"fetch is skipped ({reason}), and no earlier run has read anything into {self._workspace.root}"
                )
            if reason is None:
                self._results[phase_id] = work(handle)
                return
            if phase_id == "content_processing":
                for sub_phase in SUB_PHASES:
                    with self._context.phase(f"content_processing.{sub_phase}") as inner:
                        inner.skip(reason)
            self._results[phase_id] = self._skip(handle, reason)

    def _skip(self, handle: PhaseHandle, reason: str) -> dict[str, Any]:
        handle.skip(reason)
        return {"skipped": reason}

    def _fetch(self, _: PhaseHandle) -> dict[str, Any]:
        found: dict[str, Source] = {}

        def work(distribution: importlib.metadata.Distribution) -> bool:
            source = fetch(distribution)
            # The first on the path is the one that Python would import.
            return found.setdefault(names.canonical(source.name), source) is source

        counts = self._steps.each("fetch", self._library.find(), describe, work)
        slugs = names.unique_slugs([source.name for source in found.values()])
        forgotten = self._content.forget_missing(set(slugs.values()))
        self._sources = {slugs[source.name]: source for source in self._selection(found)}
        return {"found": len(found), "selected": len(self._sources), "failed": counts.failed, "forgotten": forgotten}

    def _selection(self, found: dict[str, Source]) -> list[Source]:
        wanted = {names.canonical(name) for name in self._preferences.include}
        absent = sorted(wanted - found.keys())
        if absent:
            self._context.log.warning("not installed, so not read: %s", ", ".join(absent)[:500])
        chosen = [found[name] for name in sorted(found) if not wanted or name in wanted]
        return chosen[: self._preferences.limit] if self._preferences.limit else chosen

    def _process_content(self, _: PhaseHandle) -> dict[str, Any]:
        results: dict[str, Any] = {}
        fetched = self._preferences.skip_reason("fetch") is None
        plan: list[tuple[str, Callable[[], StepCounts], str | None]] = [
            (
                "cache",
                lambda: self._content.cache(self._sources),
                None if fetched else "nothing was fetched in this run",
            ),
            ("media", self._content.media, "skip_media is set" if self._preferences.skip_media else None),
            ("llm", self._content.llm, "skip_llm is set" if self._preferences.skip_llm else None),
            ("kb_item", self._content.kb_item, None),
        ]
        for number, (sub_phase, work, skip_reason) in enumerate(plan, start=1):
            with self._context.phase(f"content_processing.{sub_phase}") as inner:
                if skip_reason is None:
                    results[sub_phase] = work().as_dict()
                else:
                    inner.skip(skip_reason)
                    results[sub_phase] = {"skipped": skip_reason}
            self._context.progress(number, len(plan))
        failures = self._steps.failures
        if failures and not results["kb_item"]["done"] + results["kb_item"]["unchanged"]:
            name, reason = next(iter(failures.items()))
            raise EveryDocumentFailedError(f"all {page.plural(len(failures), 'document')} failed; {name}: {reason}")
        return results

    def _published(self) -> Shelf:
        """The records whose pages are on disk: what the pages above them may point to."""
        every = Shelf(self._records.values())
        return Shelf(record for record in every.records if record.item_path == every.path(record))

    def _synthesise(self, _: PhaseHandle) -> dict[str, Any]:
        shelf = self._published()

        def work(entry: tuple[Category, list[Record]]) -> bool:
            category, records = entry
            target = files.inside(self._workspace.root, f"{category.id}/README.md")
            return files.write_text(
                target, synthesis.render(category, records, shelf), force=self._preferences.forced("synthesis")
            )

        held = shelf.by_category()
        counts = self._steps.each("synthesis", held, lambda entry: entry[0].title, work)
        for category_id in BY_ID.keys() - {category.id for category, _ in held}:
            folder = self._workspace.root / category_id
            if folder.is_symlink():
                continue
            (folder / "README.md").unlink(missing_ok=True)
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        return counts.as_dict()

    def _index(self, _: PhaseHandle) -> dict[str, Any]:
        shelf = self._published()

        def indexed(number: int, record: Record) -> None:
            self._steps.check_cancelled()
            self._context.progress(number, len(shelf.records), record.document.name)

        self._context.progress(0, len(shelf.records), "building the lexical index")
        result = search_index.build(
            self._workspace.search_index, shelf, force=self._preferences.forced("embeddings"), indexed=indexed
        )
        told = "unchanged since the last run" if result.unchanged else "built"
        self._context.progress(
            len(shelf.records), len(shelf.records), f"{page.plural(result.passages, 'passage')}, {told}"
        )
        return {
            "kind": "lexical",
            "documents": result.documents,
            "passages": result.passages,
            "unchanged": result.unchanged,
        }

    def _write_readme(self, _: PhaseHandle) -> dict[str, Any]:
        shelf = self._published()
        pages = [("README.md", readme.render_readme), ("index.md", readme.render_index)]
        force = self._preferences.forced("readme")
        counts = StepCounts()
        # Not by `each`: these are no documents, and a knowledge base without its first page is a failed run.
        for number, (name, render) in enumerate(pages, start=1):
            if files.write_text(self._workspace.root / name, render(shelf), force=force):
                counts.done += 1
            else:
                counts.unchanged += 1
            self._context.progress(number, len(pages), str(counts))
        return counts.as_dict()

    def _commit(self, handle: PhaseHandle) -> dict[str, Any]:
        git = find_git(self._environment)
        if git is None:
            return self._skip(handle, "git is not on PATH")
        self._context.progress(0, 1, "committing")
        shelf = self._published()
        message = f"Update the knowledge base: {page.plural(len(shelf.records), 'document')}"
        result = GitRepository(self._workspace.root, git, self._environment).commit_all(message)
        if result.commit is None:
            return self._skip(handle, result.reason)
        self._context.progress(1, 1, f"{page.plural(result.files_changed, 'file')} in commit {result.commit[:12]}")
        return {"commit": result.commit, "files_changed": result.files_changed}
