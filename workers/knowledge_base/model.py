"""The data that travels through the pipeline: immutable, and the same in memory and in a record on disk."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Link:
    """A project link as the distribution's metadata states it."""

    label: str
    url: str


@dataclass(frozen=True, kw_only=True)
class ModuleDoc:
    """One documented name: a module, a public class or a public function."""

    #: Dotted name, for example `rich.console.Console`.
    name: str
    #: `module`, `class` or `function`.
    kind: str
    #: Its docstring, cut to a bounded length.
    text: str


@dataclass(frozen=True, kw_only=True)
class Document:
    """The documentation of one distribution."""

    #: The name as the distribution spells it. Untrusted text: never a file name as it is.
    name: str
    version: str
    summary: str
    #: The long description, as written.
    description: str
    #: `markdown`, `rst`, `html` or `plain`.
    description_format: str
    license: str
    requires_python: str
    links: tuple[Link, ...] = ()
    classifiers: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    #: Names of the distributions it needs, extras left out.
    requires: tuple[str, ...] = ()
    module_docs: tuple[ModuleDoc, ...] = ()
    #: Hash of everything the document was read from; equal means unchanged.
    fingerprint: str = ""


@dataclass(frozen=True, kw_only=True)
class MediaItem:
    """One link, image or badge found in a document. Recorded, never fetched."""

    #: For example `badge`, `image`, `documentation`, `source`; `media.KINDS` lists all.
    kind: str
    url: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What the language step says about a document."""

    #: Which model made it, with its version; part of the cache key.
    model: str
    #: `extractive` if the sentences are the document's own, `generated` if a model wrote them, `none` if skipped.
    method: str
    sentences: tuple[str, ...]
    keywords: tuple[str, ...]
    #: Id of the category, one of `categories.CATEGORIES`.
    category: str
    #: The evidence behind the category, strongest first, in words.
    category_evidence: tuple[str, ...] = ()
    #: The document's strongest terms and their weights (unit length), for finding related documents.
    vector: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Record:
    """Everything known about one document: what was read, and the result of each step with what it was made from."""

    slug: str
    document: Document
    media: tuple[MediaItem, ...] = ()
    #: Key of the input that `media` was made from; empty if the step never ran.
    media_key: str = ""
    analysis: Analysis | None = None
    #: Key of the input that `analysis` was made from.
    analysis_key: str = ""
    #: Where the page lies, relative to the output folder; empty until it was written.
    item_path: str = ""
