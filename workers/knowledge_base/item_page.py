"""The page of one document: what it is, where it belongs and why, and where to read on."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from workers.knowledge_base import media, page
from workers.knowledge_base.categories import BY_ID
from workers.knowledge_base.language import main_sections

if TYPE_CHECKING:
    from workers.knowledge_base.model import Analysis, Record
    from workers.knowledge_base.shelf import Shelf

#: Most rows of a list on a page; the rest is counted.
_ROWS_MAX = 12
_SECTIONS_MAX = 20
#: Most links of a kind on a page. All are in the document's record; a page shows what a reader may want to follow.
_LINKS_MAX = {"badge": 3, "image": 3, "other": 4, "source": 5}
_LINKS_MAX_OTHERWISE = 6

_METHOD_NOTES = {
    "extractive": "*This summary is extractive: its sentences stand word for word in the distribution's own"
    " documentation and were chosen by statistics. No language model wrote them.*",
    "generated": "*This summary was written by the language model {model}.*",
    "none": "*There is no summary: the language step was skipped.*",
}


def render(record: Record, shelf: Shelf) -> str:
    """The whole page as Markdown."""
    document, analysis = record.document, shelf.analysis(record)
    parts = [
        _front_matter(record, analysis),
        f"# {page.escape(document.name)}",
        f"> {page.escape(document.summary)}" if document.summary else "",
        _summary(analysis),
        f"**Keywords:** {', '.join(page.escape(keyword) for keyword in analysis.keywords)}"
        if analysis.keywords
        else "",
        "## Facts",
        _facts(record, analysis, shelf),
        _sections(record),
        _modules(record),
        _links(record),
        _related(record, shelf),
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _front_matter(record: Record, analysis: Analysis) -> str:
    document = record.document
    return page.front_matter(
        {
            "title": document.name,
            "version": document.version,
            "category": analysis.category,
            "summary": document.summary,
            "keywords": list(analysis.keywords),
            "license": document.license,
            "summary_method": analysis.method,
            "summary_model": analysis.model,
            "source": f"installed distribution {document.name} {document.version}",
            "source_fingerprint": f"sha256:{document.fingerprint}",
        }
    )


def _summary(analysis: Analysis) -> str:
    lines = ["## Summary", " ".join(page.escape(sentence) for sentence in analysis.sentences)]
    if analysis.sentences or analysis.method == "none":
        lines.append(_METHOD_NOTES[analysis.method].format(model=page.escape(analysis.model)))
    else:
        lines.append("*No sentence of the documentation says more than the line above.*")
    return "\n\n".join(line for line in lines if line)


def _facts(record: Record, analysis: Analysis, shelf: Shelf) -> str:
    document = record.document
    category = BY_ID[analysis.category]
    rows = [
        ("Version", page.escape(document.version)),
        ("Licence", page.escape(document.license)),
        ("Python", page.escape(document.requires_python) or "not stated"),
        ("Category", f"[{category.title}](README.md) ({page.escape('; '.join(analysis.category_evidence))})"),
    ]
    for label, others in (("Needs", shelf.required(record)), ("Needed by", shelf.required_by(record))):
        if others:
            rows.append((label, _names(others, shelf)))
    elsewhere = len(document.requires) - len(shelf.required(record))
    if elsewhere:
        rows.append(("Needs also", f"{page.plural(elsewhere, 'distribution')} outside this knowledge base"))
    return page.table(("", ""), rows)


def _names(records: list[Record], shelf: Shelf) -> str:
    shown = ", ".join(f"[{page.escape(other.document.name)}](../{shelf.path(other)})" for other in records[:_ROWS_MAX])
    return shown + (f" and {len(records) - _ROWS_MAX} more" if len(records) > _ROWS_MAX else "")


def _sections(record: Record) -> str:
    headings = list(dict.fromkeys(section.heading for section in main_sections(record.document) if section.heading))
    if not headings:
        return ""
    lines = [f"- {page.escape(heading[:120])}" for heading in headings[:_SECTIONS_MAX]]
    if len(headings) > _SECTIONS_MAX:
        lines.append(f"- and {page.plural(len(headings) - _SECTIONS_MAX, 'more section')}")
    return "## What its description covers\n\n" + "\n".join(lines)


def _modules(record: Record) -> str:
    modules = [doc for doc in record.document.module_docs if doc.kind == "module"]
    named = len(record.document.module_docs)
    if not modules:
        return ""
    rows = [(f"`{doc.name}`", page.escape(page.first_sentence(doc.text))) for doc in modules[:_ROWS_MAX]]
    note = f"\n\n{page.plural(named, 'documented name')} in the search index" + (
        f", of which {page.plural(len(modules), 'module')}." if named > len(modules) else "."
    )
    return "## Modules\n\n" + page.table(("Module", "In its own words"), rows) + note


def _links(record: Record) -> str:
    lines: list[str] = []
    followable = [item for item in record.media if item.kind not in {"relative", "unsafe"}]
    for kind, group in groupby(followable, key=lambda item: item.kind):
        items = list(group)
        most = _LINKS_MAX.get(kind, _LINKS_MAX_OTHERWISE)
        shown = [page.link(_link_label(item.label, item.url), item.url) for item in items[:most]]
        more = f" and {len(items) - most} more" if len(items) > most else ""
        lines.append(f"- **{kind}**: {', '.join(shown)}{more}")
    hidden = [item for item in record.media if item.kind in {"relative", "unsafe"}]
    for kind in media.KINDS:
        count = sum(item.kind == kind for item in hidden)
        if count:
            lines.append(
                f"- **{kind}**: {page.plural(count, 'address')[:-1] + 'es' if count > 1 else '1 address'} (not shown)"
            )
    return "## Links and media\n\n" + "\n".join(lines) if lines else ""


def _link_label(label: str, url: str) -> str:
    cleaned = label.replace("`", "").strip("[]! ")
    # A label of one or two letters is a name for use inside the source text.
    if sum(character.isalnum() for character in cleaned) > 2:
        return cleaned[:60]
    return url.split("://", 1)[-1].split("?", 1)[0].split("#", 1)[0].removesuffix("/")[:60]


def _related(record: Record, shelf: Shelf) -> str:
    related = shelf.related(record)
    lines = [
        f"- [{page.escape(other.document.name)}](../{shelf.path(other)}): {page.escape(other.document.summary)}"
        for other in related
    ]
    return "## See also\n\n" + "\n".join(lines) if lines else ""
