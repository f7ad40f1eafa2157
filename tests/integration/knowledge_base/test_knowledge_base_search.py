"""The lexical index over real documentation: ten questions, and what happens when there is none to answer."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.knowledge_base.runs import SAMPLE, run_sample
from tests.unit.knowledge_base.documents import record
from workers.knowledge_base import search_index
from workers.knowledge_base.search import main
from workers.knowledge_base.search_index import SearchIndexError, search
from workers.knowledge_base.shelf import Shelf
from workers.knowledge_base.workspace import Workspace

QUESTIONS = {
    "run background jobs with a queue in redis": "rq",
    "how do I parse command line arguments with options": "click",
    "draw a table or a progress bar in the terminal": "rich",
    "build a web API with type hints": "fastapi",
    "migrate a database schema": "alembic",
    "generate random inputs for property based tests": "hypothesis",
    "how much of my code do the tests cover": "coverage",
    "send an http request and read the response": "httpx",
    "object relational mapper": "SQLAlchemy",
    "check data against a schema made of type annotations": "pydantic",
}


@pytest.fixture(scope="module")
def knowledge_base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("search") / "kb"
    run_sample(root, skip_git_sync=True, skip_docstrings=True)
    return root


@pytest.fixture(scope="module")
def index(knowledge_base: Path) -> Path:
    return Workspace(knowledge_base).search_index


@pytest.mark.parametrize(("question", "expected"), QUESTIONS.items(), ids=QUESTIONS.values())
def test_the_right_distribution_is_among_the_first_five(index: Path, question: str, expected: str) -> None:
    hits = search(index, question, 5)
    assert expected in [hit.name for hit in hits]
    hit = next(hit for hit in hits if hit.name == expected)
    assert hit.passages
    assert "[" in hit.passages[0].snippet


def test_hits_are_ordered_bounded_and_lead_to_pages(index: Path, knowledge_base: Path) -> None:
    hits = search(index, "python", 3)
    assert len(hits) == 3
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all((knowledge_base / hit.path).is_file() for hit in hits)
    assert len(search(index, "python the", 10_000)) <= len(SAMPLE)
    assert len(search(index, "python", 0)) == 1


@pytest.mark.parametrize(
    "query", ['"', "NOT", "a AND OR (", "name:x*", "''; DROP TABLE items", "NEAR(a b)", "\0", "x" * 9999]
)
def test_no_query_is_an_error(index: Path, query: str) -> None:
    assert isinstance(search(index, query, 5), list)


def test_a_query_without_a_word_finds_nothing(index: Path) -> None:
    assert search(index, " ?!. ", 5) == []


def test_a_docstring_is_found_by_its_own_words(tmp_path: Path) -> None:
    result = run_sample(tmp_path / "kb", skip_git_sync=True, include=["rq", "h11"])
    hits = search(Path(result["index_path"]), "death penalty timeout", 3)
    assert hits[0].name == "rq"
    assert any(passage.heading.startswith("rq.") for passage in hits[0].passages)


def test_the_command_answers_in_text_and_in_json(knowledge_base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--output-dir", str(knowledge_base)]
    assert main(["migrate", "a", "database", *where]) == 0
    assert "alembic" in capsys.readouterr().out.splitlines()[0]
    assert main(["migrate a database", "--json", "--limit", "1", *where]) == 0
    (hit,) = json.loads(capsys.readouterr().out)
    assert hit["name"] == "alembic"
    assert main(["zzzqqq", *where]) == 1
    assert "Nothing found" in capsys.readouterr().out


def test_no_index_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["anything", "--output-dir", str(tmp_path)]) == 3
    assert "run the task run_agent first" in capsys.readouterr().err
    damaged = tmp_path / "damaged.sqlite3"
    damaged.write_bytes(b"not a database" * 100)
    with pytest.raises(SearchIndexError, match="no readable search index"):
        search(damaged, "x", 5)


def test_the_index_is_built_again_only_when_something_changed(tmp_path: Path) -> None:
    path = tmp_path / "search.sqlite3"
    shelf = Shelf([record("one", summary="apple"), record("two", summary="banana \udcff")])
    seen: list[str] = []

    def build(shelf: Shelf, *, force: bool = False) -> search_index.BuildResult:
        seen.clear()
        return search_index.build(path, shelf, force=force, indexed=lambda _, each: seen.append(each.slug))

    assert not build(shelf).unchanged
    assert seen == ["one", "two"]
    assert build(shelf).unchanged
    assert seen == []
    assert not build(shelf, force=True).unchanged
    assert not build(Shelf([record("one", summary="apple")])).unchanged
    assert [hit.slug for hit in search(path, "apple banana", 5)] == ["one"]
    path.write_bytes(b"damaged")
    assert not build(shelf).unchanged
    assert len(search(path, "apple banana", 5)) == 2


def test_a_build_that_ends_early_leaves_the_old_index(tmp_path: Path) -> None:
    path = tmp_path / "search.sqlite3"
    search_index.build(path, Shelf([record("one", summary="apple")]), force=False, indexed=lambda *_: None)

    def stop(*_: object) -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        search_index.build(path, Shelf([record("two", summary="banana")]), force=True, indexed=stop)
    assert [hit.slug for hit in search(path, "apple", 5)] == ["one"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["search.sqlite3"]
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
