"""The lexical search index: SQLite FTS5 with BM25. There are no vectors in it, and nothing here claims any.

Two tables answer two questions. `items` has one row for each document: which distribution is this about? `passages`
has one for each section of a description and each docstring: where does it say so? A query is asked of both, and a
document's score is that of its row and of its best passages. The index is built beside its place and renamed into it,
so a reader has the old one or the new one.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workers.knowledge_base import files, markup, words
from workers.knowledge_base.record_store import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from workers.knowledge_base.model import Record
    from workers.knowledge_base.shelf import Shelf

#: Raised when the tables or what is put into them change.
INDEX_VERSION = 1
#: Longest passage, in characters. Sections are cut into pieces at paragraph ends.
PASSAGE_LENGTH_MAX = 1_200
#: Most hits of one search.
LIMIT_MAX = 100
#: Most words of a query that count.
_QUERY_WORDS_MAX = 24
_PASSAGES_CONSIDERED = 400

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE documents (id INTEGER PRIMARY KEY, slug TEXT UNIQUE, name TEXT, category TEXT, path TEXT, summary TEXT);
CREATE VIRTUAL TABLE items USING fts5(name, summary, keywords, headings, body, tokenize = 'porter unicode61');
CREATE VIRTUAL TABLE passages USING fts5(document UNINDEXED, kind UNINDEXED, heading, body, tokenize = 'porter unicode61');
"""
#: Weights of the columns of `items` in BM25: what a project says in few words counts most.
_ITEM_WEIGHTS = "10.0, 8.0, 5.0, 3.0, 1.0"


class SearchIndexError(RuntimeError):
    """There is no readable index at this path."""


@dataclass(frozen=True)
class Passage:
    """A place in a document that answers the query."""

    heading: str
    #: The words around the match; matched words stand between square brackets.
    snippet: str


@dataclass
class Hit:
    """One document that answers a query."""

    slug: str
    name: str
    category: str
    #: The page, relative to the output folder.
    path: str
    summary: str
    #: Higher is better; comparable within one search only.
    score: float = 0.0
    passages: list[Passage] = field(default_factory=list)


@dataclass(frozen=True)
class BuildResult:
    """What building the index came to."""

    documents: int
    passages: int
    #: Whether the index that was there covers exactly these documents, so that nothing was done.
    unchanged: bool


def corpus_key(shelf: Shelf) -> str:
    """The key of everything that an index of these records would hold."""
    return key_of(
        INDEX_VERSION,
        [
            (record.slug, record.document.fingerprint, record.analysis_key, shelf.path(record))
            for record in shelf.records
        ],
    )


def build(path: Path, shelf: Shelf, *, force: bool, indexed: Callable[[int, Record], None]) -> BuildResult:
    """Build the index at `path` unless it is there and covers the same documents.

    `indexed(number, record)` is called after each document; what it raises ends the build and leaves the old index.
    """
    key = corpus_key(shelf)
    if not force and _meta(path, "corpus_key") == key:
        return BuildResult(len(shelf.records), int(_meta(path, "passages") or 0), unchanged=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{files.TEMPORARY_PREFIX}{os.getpid()}.sqlite3")
    temporary.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(temporary, isolation_level=None)) as database:
            # The file is worthless until it is renamed, so SQLite need not guard it against a crash.
            database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCHEMA}")
            database.execute("BEGIN")
            passages = 0
            for number, record in enumerate(shelf.records, start=1):
                passages += _insert(database, number, record, shelf)
                indexed(number, record)
            database.executemany("INSERT INTO meta VALUES (?, ?)", [("corpus_key", key), ("passages", str(passages))])
            for table in ("items", "passages"):
                database.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")  # noqa: S608 - constants
            database.execute("COMMIT")
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return BuildResult(len(shelf.records), passages, unchanged=False)


def search(index_path: Path, query: str, limit: int = 10) -> list[Hit]:
    """The documents that answer a query best, best first, with up to three passages each.

    `limit` is cut to 1..100. A query without a single word finds nothing. Raises SearchIndexError if there is no index.
    """
    expression = _expression(query)
    try:
        with closing(_open(index_path)) as database:
            return _ranked(database, expression, max(1, min(limit, LIMIT_MAX))) if expression else []
    except sqlite3.Error as error:
        raise SearchIndexError(
            f"no readable search index at {index_path} ({error}); run the task run_agent first"
        ) from error


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _meta(path: Path, key: str) -> str | None:
    try:
        with closing(_open(path)) as database:
            row = database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    except sqlite3.Error:
        # Missing or damaged: built again either way.
        return None
    return str(row[0]) if row else None


def _insert(database: sqlite3.Connection, number: int, record: Record, shelf: Shelf) -> int:
    document, analysis = record.document, shelf.analysis(record)
    sections = markup.parse_sections(document.description, document.description_format)
    database.execute(
        "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?)",
        (number, record.slug, _clean(document.name), analysis.category, shelf.path(record), _clean(document.summary)),
    )
    database.execute(
        "INSERT INTO items (rowid, name, summary, keywords, headings, body) VALUES (?, ?, ?, ?, ?, ?)",
        (
            number,
            _clean(document.name),
            _clean(document.summary),
            _clean(", ".join((*analysis.keywords, *document.keywords, *document.classifiers))),
            _clean("; ".join(section.heading for section in sections)),
            _clean("\n".join(paragraph for section in sections for paragraph in section.paragraphs)),
        ),
    )
    rows = [(number, kind, _clean(heading), _clean(body)) for kind, heading, body in _passages(record, sections)]
    database.executemany("INSERT INTO passages (document, kind, heading, body) VALUES (?, ?, ?, ?)", rows)
    return len(rows)


def _clean(text: str) -> str:
    # SQLite takes no lone surrogates, and a terminal no control characters.
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", " ", text.encode("utf-8", "replace").decode("utf-8"))


def _passages(record: Record, sections: list[markup.Section]) -> Iterator[tuple[str, str, str]]:
    for section in sections:
        heading, piece = section.heading or record.document.name, ""
        for paragraph in section.paragraphs:
            if piece and len(piece) + len(paragraph) > PASSAGE_LENGTH_MAX:
                yield "description", heading, piece
                piece = ""
            piece = f"{piece}\n{paragraph[:PASSAGE_LENGTH_MAX]}".strip()
        if piece:
            yield "description", heading, piece
    for doc in record.document.module_docs:
        yield doc.kind, doc.name, doc.text


def _expression(query: str) -> str:
    """The query as an FTS5 expression: any of its words. Quoted, so that no word is taken for an operator."""
    found = list(dict.fromkeys(re.findall(r"\w+", query.lower())))
    telling = [word for word in found if word not in words.STOP_WORDS] or found
    return " OR ".join(f'"{word}"' for word in telling[:_QUERY_WORDS_MAX])


def _ranked(database: sqlite3.Connection, expression: str, limit: int) -> list[Hit]:
    hits: dict[int, Hit] = {}

    def hit(number: int) -> Hit:
        if number not in hits:
            row = database.execute(
                "SELECT slug, name, category, path, summary FROM documents WHERE id = ?", (number,)
            ).fetchone()
            hits[number] = Hit(*row)
        return hits[number]

    # bm25() is smaller for better matches, hence the minus signs.
    for number, score in database.execute(
        f"SELECT rowid, -bm25(items, {_ITEM_WEIGHTS}) FROM items WHERE items MATCH ?",  # noqa: S608 - a constant
        (expression,),
    ):
        hit(number).score += score
    best: dict[int, list[float]] = {}
    for number, kind, heading, snippet, score in database.execute(
        "SELECT document, kind, heading, snippet(passages, 3, '[', ']', ' … ', 28), -bm25(passages, 0, 0, 3.0, 1.0)"
        " FROM passages WHERE passages MATCH ? ORDER BY rank LIMIT ?",
        (expression, _PASSAGES_CONSIDERED),
    ):
        scores = best.setdefault(number, [])
        scores.append(score if kind == "description" else 0.6 * score)
        if len(scores) <= 3:
            hit(number).passages.append(Passage(heading, re.sub(r"\s+", " ", snippet).strip()))
    for number, scores in best.items():
        # The best passage counts; more of the same adds little, or the longest manual would win every time.
        hit(number).score += 0.5 * max(scores)
    return sorted(hits.values(), key=lambda each: (-each.score, each.slug))[:limit]
