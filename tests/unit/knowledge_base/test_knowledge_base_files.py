"""Writing files in one step."""

from pathlib import Path

import pytest

from workers.knowledge_base import files


def test_an_unchanged_file_is_left_alone_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "page.md"
    assert files.write_text(path, "one")
    before = path.stat().st_ino
    assert not files.write_text(path, "one")
    assert path.stat().st_ino == before
    assert files.write_text(path, "one", force=True)
    assert path.stat().st_ino != before
    assert path.read_text() == "one"


def test_text_that_utf8_cannot_carry_is_written_all_the_same(tmp_path: Path) -> None:
    assert files.write_text(tmp_path / "page.md", "a\udcffb")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == "a?b"


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.md"
    files.write_text(path, "old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("workers.knowledge_base.files.os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.md"]


def test_leftovers_of_killed_runs_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("web/.writing-abc", ".state/documents/.writing-x", ".writing-y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("half")
    (tmp_path / "web" / "own-notes.md").write_text("mine")
    assert files.remove_leftovers(tmp_path) == 3
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["own-notes.md"]
