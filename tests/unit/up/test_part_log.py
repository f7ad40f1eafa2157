from __future__ import annotations

from pathlib import Path

from services.up.part_log import LINE_BYTES_MAX, PartLog


def test_lines_are_told_whole_however_the_output_was_cut(tmp_path: Path) -> None:
    lines: list[str] = []
    log = PartLog(tmp_path / "a.log", lines.append)
    for piece in (b"on", b"e\ntwo\nth", b"ree"):
        log.write(piece)
    assert lines == ["one", "two"]
    assert log.last_words() == "three"
    log.close()
    assert (tmp_path / "a.log").read_bytes() == b"one\ntwo\nthree"


def test_a_new_start_keeps_the_log_of_the_last_one(tmp_path: Path) -> None:
    for text in (b"first", b"second", b"third"):
        log = PartLog(tmp_path / "a.log", lambda _: None)
        log.write(text)
        log.close()
    assert (tmp_path / "a.log").read_bytes() == b"third"
    assert (tmp_path / "a.log.1").read_bytes() == b"second"
    assert len(list(tmp_path.iterdir())) == 2


def test_files_stay_bounded(tmp_path: Path) -> None:
    log = PartLog(tmp_path / "a.log", lambda _: None, file_bytes_max=1000)
    for _ in range(100):
        log.write(b"x" * 90 + b"\n")
    log.close()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= 1000


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    lines: list[str] = []
    log = PartLog(tmp_path / "a.log", lines.append)
    for _ in range(10):
        log.write(b"x" * LINE_BYTES_MAX)
    log.close()
    assert lines
    assert max(map(len, lines)) <= LINE_BYTES_MAX


def test_last_words_skip_empty_lines_and_bad_bytes(tmp_path: Path) -> None:
    log = PartLog(tmp_path / "a.log", lambda _: None)
    log.write(b"why \xff\n\n  \n")
    assert log.last_words() == "why \ufffd"
    log.close()
