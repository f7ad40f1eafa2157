"""Words, sentences, the extractive model and the categories."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.knowledge_base.documents import document
from workers.knowledge_base import words
from workers.knowledge_base.categories import BY_ID, CATEGORIES, FALLBACK, choose_category
from workers.knowledge_base.language import ExtractiveModel, main_sections, similarity, unanalysed
from workers.knowledge_base.model import Analysis, Document, ModuleDoc

LOCKS = document(
    name="lock-smith",
    summary="Locks for files",
    description="""\
Lock-smith provides locks that work between processes and between threads of one program.
A lock is released when the process that holds it ends, whatever the reason was.

## Installation

You can install this distribution with the usual tool of your choice, as with all others.

## Readers and writers

Many readers may hold a reader lock together, while a writer lock is held by one process alone.
Please see the manual.
""",
)
CRON = document(
    name="tick-tock", summary="Cron expressions", description="Parses cron expressions and tells the next time."
)
WEB = document(
    name="hello-web", summary="A web framework", description="An ASGI web framework with routing for HTTP services."
)


def analyse(one: Document, *others: Document) -> Analysis:
    model = ExtractiveModel()
    model.prepare([one, *others])
    return model.analyse(one)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("tests", "testing"),
        ("cached", "caching"),
        ("running", "run"),
        ("library", "libraries"),
        ("templates", "template"),
    ],
)
def test_forms_of_a_word_meet(first: str, second: str) -> None:
    assert words.stem(first) == words.stem(second)


@pytest.mark.parametrize("word", ["redis", "status", "class", "sing", "uses", "ing", "s"])
def test_endings_that_are_none_stay(word: str) -> None:
    assert len(words.stem(word)) >= min(3, len(word))


def test_pairs_never_reach_across_a_stop_or_a_dropped_word() -> None:
    terms = words.terms("File locks, fair. Locks of a writer: https://file.locks.example 0badc0ffee1")
    assert "file lock" in terms
    assert not {"lock fair", "fair lock", "lock writer"} & set(terms)
    assert "exampl" not in terms


def test_sentences_end_where_they_end() -> None:
    text = 'It works (e.g. on files). It is version 2.0 now! "Quoted" by J. Smith etc. and others? Yes.'
    assert words.sentences(text) == [
        "It works (e.g. on files).",
        "It is version 2.0 now!",
        '"Quoted" by J. Smith etc. and others?',
        "Yes.",
    ]


def test_a_summary_consists_of_sentences_of_the_text_in_their_order() -> None:
    analysis = analyse(LOCKS, CRON, WEB)
    assert (analysis.method, analysis.model) == ("extractive", "extractive-1")
    flat = " ".join(LOCKS.description.split())
    positions = [flat.index(sentence) for sentence in analysis.sentences]
    assert positions == sorted(positions)
    assert analysis.sentences[0].startswith("Lock-smith provides locks")
    assert not any("install" in sentence or "Please" in sentence for sentence in analysis.sentences)


def test_keywords_are_the_documents_own_words() -> None:
    keywords = analyse(LOCKS, CRON, WEB).keywords
    assert any("lock" in keyword for keyword in keywords)
    text = f"{LOCKS.summary} {LOCKS.description}".lower()
    assert all(part in text for keyword in keywords for part in keyword.split())


def test_the_package_docstring_stands_in_for_a_missing_description() -> None:
    doc = ModuleDoc(
        name="it", kind="module", text="It.\n\nThis library provides queues that keep their order for ever."
    )
    analysis = analyse(document(description="", module_docs=(doc,)), CRON)
    assert analysis.sentences == ("This library provides queues that keep their order for ever.",)


def test_an_empty_document_gets_an_empty_analysis() -> None:
    analysis = analyse(document(name="x"))
    assert (analysis.sentences, analysis.keywords, analysis.category) == ((), (), FALLBACK)


@given(st.text(max_size=300), st.text(max_size=80), st.text(max_size=30))
def test_any_text_is_analysed(description: str, summary: str, name: str) -> None:
    analysis = analyse(document(name=name, summary=summary, description=description), LOCKS)
    assert analysis.category in BY_ID
    assert len(analysis.sentences) <= 3


def test_related_documents_are_nearer() -> None:
    other = document(
        name="files-locked", summary="File locks", description="A writer lock for files and a reader lock."
    )
    model = ExtractiveModel()
    model.prepare([LOCKS, other, CRON, WEB])
    vectors = [model.analyse(each).vector for each in (LOCKS, other, CRON)]
    assert similarity(vectors[0], vectors[1]) > similarity(vectors[0], vectors[2])
    assert similarity(vectors[0], vectors[0]) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("summary", "fields", "category"),
    [
        ("A web framework for ASGI", {}, "web"),
        ("PostgreSQL database adapter", {}, "databases"),
        ("Typing stubs for things", {"classifiers": ("Typing :: Stubs Only",)}, "typing"),
        ("Runs your tests", {"name": "pytest-things", "classifiers": ("Framework :: Pytest",)}, "testing"),
        ("Does it", {"keywords": ("cron", "scheduler")}, "jobs-and-scheduling"),
        ("Python bindings for a thing", {}, FALLBACK),
    ],
)
def test_the_category_follows_the_evidence(summary: str, fields: dict[str, object], category: str) -> None:
    choice = choose_category(document(**{"name": "it", "summary": summary, **fields}), {})
    assert choice.category == category
    assert choice.evidence


def test_category_ids_are_folder_names_and_unique() -> None:
    assert len({category.id for category in CATEGORIES}) == len(CATEGORIES)
    assert all(category.id.replace("-", "").isalpha() and category.about for category in CATEGORIES)


def test_without_the_step_nothing_is_claimed() -> None:
    analysis = unanalysed(LOCKS)
    assert (analysis.method, analysis.sentences, analysis.category) == ("none", (), FALLBACK)


def test_what_lies_below_a_side_section_belongs_to_it() -> None:
    text = """\
# Installing tools

What it is.

## Changelog

### v1

#### Fixes

Thanks to everybody.

## Usage

How it works.
"""
    sections = main_sections(document(description=text))
    assert [section.heading for section in sections] == ["Usage"]
    rst = "Title\n=====\n\nWhat.\n\nChanges\n-------\n\nFixed\n~~~~~\n\nIt.\n\nUsage\n-----\n\nHow.\n"
    sections = main_sections(document(description=rst, description_format="rst"))
    assert [section.heading for section in sections] == ["Title", "Usage"]
