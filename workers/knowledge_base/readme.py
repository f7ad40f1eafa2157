"""The pages at the top: README.md (what is here, by category) and index.md (every document, from A to Z).

No page carries the time of the run: two runs over the same documents write the same bytes, so that the git history
holds changes of content and nothing else. When something changed is what `git log` tells.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from workers.knowledge_base import page

if TYPE_CHECKING:
    from workers.knowledge_base.model import Record
    from workers.knowledge_base.shelf import Shelf

_EXAMPLES_MAX = 6
_LICENCES_MAX = 12


def render_readme(shelf: Shelf) -> str:
    """The top page as Markdown."""
    categories = shelf.by_category()
    names_documented = sum(len(record.document.module_docs) for record in shelf.records)
    media_found = Counter(item.kind for record in shelf.records for item in record.media)
    licences = Counter(record.document.license for record in shelf.records)
    found = ", ".join(f"{count} {kind}" for kind, count in media_found.most_common(8))
    used = ", ".join(f"{page.escape(name)} ({count})" for name, count in licences.most_common(_LICENCES_MAX))
    introduction = (
        f"What {page.plural(len(shelf.records), 'installed distribution')} say about themselves, in"
        f" {page.plural(len(categories), 'category')}: made by the task `run_agent` from the documentation that each"
        " distribution carries. Summaries are extractive unless a page says otherwise: chosen sentences, not written ones."
    )
    about_search = (
        "The lexical index (SQLite FTS5, ranked by BM25; no vectors) covers the descriptions and"
        f" {page.plural(names_documented, 'documented name')} of modules, classes and functions:"
    )
    parts = [
        "# Knowledge base",
        introduction,
        "## Categories",
        page.table(
            ("Category", "Documents", "Among them"),
            [
                (f"[{category.title}]({category.id}/README.md)", str(len(records)), _examples(records, shelf))
                for category, records in categories
            ],
        ),
        "Every document from A to Z: [index](index.md).",
        "## Search",
        about_search,
        '```\npython -m workers.knowledge_base.search "how do I run a task every night"\n```',
        "## In numbers",
        "\n".join(
            [
                f"- Links and media found: {found or 'none'}.",
                f"- Licences: {used or 'none'}.",
                f"- Most needed: {_most_needed(shelf)}.",
            ]
        ),
        "Pages are written by the next run again; notes of your own are safe in files of other names.",
    ]
    return "\n\n".join(parts) + "\n"


def render_index(shelf: Shelf) -> str:
    """Every document in one table."""
    titles = {category.id: category.title for category, _ in shelf.by_category()}
    rows = [
        (
            f"[{page.escape(record.document.name)}]({shelf.path(record)})",
            page.escape(record.document.version),
            page.escape(record.document.summary),
            f"[{titles[shelf.analysis(record).category]}]({shelf.analysis(record).category}/README.md)",
        )
        for record in shelf.records
    ]
    heading = f"# Index\n\n{page.plural(len(rows), 'document')}. [Back to the categories](README.md)\n\n"
    return heading + page.table(("Document", "Version", "In one line", "Category"), rows) + "\n"


def _examples(records: list[Record], shelf: Shelf) -> str:
    """The documents that most others need, then the rest from A to Z."""
    ordered = sorted(records, key=lambda record: (-len(shelf.required_by(record)), record.document.name.lower()))
    shown = ", ".join(
        f"[{page.escape(record.document.name)}]({shelf.path(record)})" for record in ordered[:_EXAMPLES_MAX]
    )
    return shown + (f" and {len(records) - _EXAMPLES_MAX} more" if len(records) > _EXAMPLES_MAX else "")


def _most_needed(shelf: Shelf) -> str:
    counted = [(len(shelf.required_by(record)), record) for record in shelf.records]
    counted = sorted(
        ((count, record) for count, record in counted if count > 1), key=lambda each: (-each[0], each[1].slug)
    )
    shown = [
        f"[{page.escape(record.document.name)}]({shelf.path(record)}) (by {count})" for count, record in counted[:5]
    ]
    return ", ".join(shown) or "none by more than one other"
