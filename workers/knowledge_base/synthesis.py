"""The page of one category: what its documents have in common, how they relate, and what tells them apart.

Like the summaries, a synthesis is made of what is there: shared terms, dependencies, nearness of terms, and sentences
that the documents say themselves, each with its source.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from workers.knowledge_base import page, words
from workers.knowledge_base.language import similarity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.knowledge_base.categories import Category
    from workers.knowledge_base.model import Record
    from workers.knowledge_base.shelf import Shelf

_HONEST_NOTE = "Everything below is counted or quoted from the documents; no language model wrote it."
_THEMES_MAX = 8
_PAIRS_MAX = 6
#: From this cosine on two documents are called near.
_NEAR_MIN = 0.12


def render(category: Category, records: Sequence[Record], shelf: Shelf) -> str:
    """The page as Markdown; `records` are the category's, in alphabetical order."""
    parts = [
        page.front_matter(
            {"title": category.title, "category": category.id, "documents": len(records), "method": "extractive"}
        ),
        f"# {category.title}",
        f"{category.about} {page.plural(len(records), 'document')}. {_HONEST_NOTE}",
        "## At a glance",
        page.table(
            ("Document", "In one line", "Licence"),
            [
                (_item_link(record), page.escape(record.document.summary), page.escape(record.document.license))
                for record in records
            ],
        ),
        _themes(records, shelf),
        _in_their_words(records, shelf),
        _relations(records, shelf),
        _licences(records),
        "[All categories](../README.md)",
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _item_link(record: Record) -> str:
    return f"[{page.escape(record.document.name)}]({record.slug}.md)"


def _themes(records: Sequence[Record], shelf: Shelf) -> str:
    """Terms that at least two documents share, with who shares them."""
    weight: Counter[str] = Counter()
    shared: dict[str, list[Record]] = defaultdict(list)
    spelling: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        # Terms that only docstrings use are near to code, and no theme.
        said = set(words.terms(f"{record.document.summary}. {record.document.description}"))
        for term, strength in shelf.analysis(record).vector.items():
            if term in said:
                weight[term] += strength  # type: ignore[assignment] # Counter adds any number.
                shared[term].append(record)
        for word in words.words(f"{record.document.summary} {record.document.description[:5_000]}"):
            spelling[words.stem(word)][word] += 1
    lines: list[str] = []
    told: set[str] = set()
    for term, _ in weight.most_common():
        sharers = shared[term]
        # A theme that the same words have told already adds nothing.
        if len(sharers) < 2 or told & set(term.split(" ")):
            continue
        told |= set(term.split(" "))
        text = " ".join(spelling[part].most_common(1)[0][0] if spelling[part] else part for part in term.split(" "))
        lines.append(f"- **{page.escape(text)}**: {', '.join(_item_link(record) for record in sharers[:8])}")
        if len(lines) == _THEMES_MAX:
            break
    return "## Common themes\n\n" + "\n".join(lines) if lines else ""


def _in_their_words(records: Sequence[Record], shelf: Shelf) -> str:
    """The sentence of each document that says what it is, if it has one; else the first that was chosen."""
    lines: list[str] = []
    for record in records:
        sentences = shelf.analysis(record).sentences
        if sentences:
            name = record.document.name.lower()
            best = next((each for each in sentences if each.lower().startswith(name)), sentences[0])
            lines.append(f"- {_item_link(record)}: {page.escape(best)}")
    return "## In their own words\n\n" + "\n".join(lines) if lines else ""


def _relations(records: Sequence[Record], shelf: Shelf) -> str:
    inside = {record.slug for record in records}
    lines = [
        f"- {_item_link(record)} needs {', '.join(_item_link(other) for other in needed)}."
        for record in records
        if (needed := [other for other in shelf.required(record) if other.slug in inside])
    ]
    pairs = [
        (similarity(shelf.analysis(first).vector, shelf.analysis(second).vector), first, second)
        for position, first in enumerate(records)
        for second in records[position + 1 :]
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1].slug, pair[2].slug))
    for score, first, second in pairs[:_PAIRS_MAX]:
        if score >= _NEAR_MIN:
            lines.append(f"- {_item_link(first)} and {_item_link(second)} use much the same terms ({score:.2f} of 1).")
    return "## How they relate\n\n" + "\n".join(lines) if lines else ""


def _licences(records: Sequence[Record]) -> str:
    counts = Counter(record.document.license for record in records)
    listed = ", ".join(
        f"{page.escape(name)} ({count})" for name, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    )
    return f"**Licences:** {listed}"
