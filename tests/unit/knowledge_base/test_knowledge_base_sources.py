"""Reading distributions: whatever their metadata says, and whatever it leaves out."""

import importlib.metadata
from pathlib import Path

import pytest

from tests.support.made_distributions import make_distribution
from workers.knowledge_base.docstrings import DOCSTRING_LENGTH_MAX, MODULES_MAX
from workers.knowledge_base.model import Document, Link
from workers.knowledge_base.sources import (
    DESCRIPTION_LENGTH_MAX,
    InstalledLibrary,
    NoMetadataError,
    fetch,
    read_document,
)


def only(site: Path) -> importlib.metadata.Distribution:
    (distribution,) = InstalledLibrary([str(site)]).find()
    return distribution


def read(site: Path) -> Document:
    return read_document(fetch(only(site)))


def test_everything_that_a_distribution_says(tmp_path: Path) -> None:
    make_distribution(
        tmp_path,
        "Lock-Smith",
        "# Lock-Smith\n\nIt locks.\n",
        headers={
            "Summary": "Locks\n        for files",
            "License": "MIT License",
            "Keywords": "lock,file lock",
            "Requires-Python": ">=3.11",
            "Home-page": "https://lock.example",
            "Project-URL": ["Documentation, https://docs.lock.example", "Home, https://lock.example"],
            "Classifier": ["Topic :: System", "License :: OSI Approved :: MIT License"],
            "Requires-Dist": ["Rich>=1", "rq; extra == 'jobs'", "typing_extensions (>=4); python_version<'3.13'"],
            "Description-Content-Type": "text/markdown; charset=UTF-8",
        },
        modules={
            "lock_smith/__init__.py": '"""Locks for files."""\nclass Lock:\n "A lock."\n def take(self):\n  "Take it."\n',
            "lock_smith/_private.py": '"""Nobody reads this."""',
            "lock_smith/tests/test_it.py": '"""Nor this."""',
        },
    )
    document = read(tmp_path)
    assert (document.name, document.version, document.summary) == ("Lock-Smith", "1.0", "Locks for files")
    assert (document.license, document.requires_python) == ("MIT", ">=3.11")
    assert document.keywords == ("lock", "file lock")
    assert document.requires == ("rich", "typing-extensions")
    assert document.links[0] == Link(label="Homepage", url="https://lock.example")
    assert document.links[1].label == "Documentation"
    assert len(document.links) == 2
    assert document.description_format == "markdown"
    assert [(doc.name, doc.kind, doc.text) for doc in document.module_docs] == [
        ("lock_smith", "module", "Locks for files."),
        ("lock_smith.Lock", "class", "A lock."),
        ("lock_smith.Lock.take", "function", "Take it."),
    ]


def test_the_least_that_a_distribution_says(tmp_path: Path) -> None:
    make_distribution(tmp_path, "bare")
    document = read(tmp_path)
    assert (document.summary, document.description, document.license) == ("", "", "not stated")
    assert document.module_docs == ()


def test_the_fingerprint_follows_text_and_files(tmp_path: Path) -> None:
    info = make_distribution(tmp_path, "thing", "One text.", record=["thing.py,sha256=a,1"])
    first = fetch(only(tmp_path)).fingerprint
    assert fetch(only(tmp_path)).fingerprint == first
    (info / "RECORD").write_text("thing.py,sha256=b,1\n")
    second = fetch(only(tmp_path)).fingerprint
    (info / "METADATA").write_text("Name: thing\n\nAnother text.")
    assert len({first, second, fetch(only(tmp_path)).fingerprint}) == 3


@pytest.mark.parametrize("content", [b"", b"\n\n", b"Version: 1\n\ntext", b"\x00\xff"])
def test_no_usable_metadata_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    info = make_distribution(tmp_path, "broken")
    (info / "METADATA").write_bytes(content)
    with pytest.raises(NoMetadataError, match=r"broken-1.0.dist-info"):
        fetch(only(tmp_path))


def test_a_folder_without_metadata_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "hollow-1.0.dist-info").mkdir()
    with pytest.raises(NoMetadataError, match="carries no metadata"):
        fetch(only(tmp_path))


def test_bytes_that_are_not_utf8_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    info = make_distribution(tmp_path, "latin")
    (info / "METADATA").write_bytes("Name: latin\nSummary: Grüße\n\nEin Gruß.".encode("latin-1"))
    document = read(tmp_path)
    assert document.summary.startswith("Gr")
    assert document.description.startswith("Ein Gru")


def test_a_huge_description_is_cut(tmp_path: Path) -> None:
    make_distribution(tmp_path, "huge", "word " * 200_000)
    assert len(read(tmp_path).description) == DESCRIPTION_LENGTH_MAX


def test_old_metadata_folds_the_description_into_a_header(tmp_path: Path) -> None:
    make_distribution(tmp_path, "old", headers={"Description": "Title\n        =====\n        \n        Text of it."})
    document = read(tmp_path)
    assert document.description == "Title\n=====\n\nText of it."
    assert document.description_format == "rst"


@pytest.mark.parametrize(
    ("content_type", "text", "expected"),
    [
        ("text/x-rst", "# no\n", "rst"),
        ("text/plain", "anything", "plain"),
        ("", "## Usage\n\n[it](https://x.example)", "markdown"),
        ("", "Title\n=====\n\n.. note:: it\n", "rst"),
        ("", "words only", "plain"),
        ("text/markdown", "<!DOCTYPE html><html><p>page</p>", "html"),
    ],
)
def test_the_format_of_a_description(tmp_path: Path, content_type: str, text: str, expected: str) -> None:
    make_distribution(
        tmp_path, "thing", text, headers={"Description-Content-Type": content_type} if content_type else {}
    )
    assert read(tmp_path).description_format == expected


def test_files_outside_the_installation_are_not_read(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (tmp_path / "secret.py").write_text('"""Secret."""')
    make_distribution(
        site,
        "sly",
        record=["../secret.py,,", f"{tmp_path}/secret.py,,", "link.py,,", "folder.py,,", "gone.py,,", "ok.py,,"],
        modules={"ok.py": '"""Fine."""'},
    )
    (site / "link.py").symlink_to(tmp_path / "secret.py")
    (site / "folder.py").mkdir()
    assert [doc.text for doc in read(site).module_docs] == ["Fine."]


def test_modules_that_cannot_be_parsed_are_passed_over(tmp_path: Path) -> None:
    modules = {
        "pack/broken.py": "def (:\n",
        "pack/null.py": '"""a"""\0',
        "pack/deep.py": "(" * 5000,
        "pack/escape.py": '"""A \\d escape."""',
        "pack/long.py": '"""' + "word " * 1000 + '"""',
    }
    make_distribution(tmp_path, "pack", modules=modules)
    docs = {doc.name: doc.text for doc in read(tmp_path).module_docs}
    assert docs.keys() == {"pack.escape", "pack.long"}
    assert len(docs["pack.long"]) == DOCSTRING_LENGTH_MAX


def test_the_number_of_modules_is_bounded(tmp_path: Path) -> None:
    make_distribution(tmp_path, "many", modules={f"many/m{n}.py": '"""It."""' for n in range(MODULES_MAX + 20)})
    assert len(read(tmp_path).module_docs) == MODULES_MAX
