from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from services.up.screen import Screen, shown_path
from services.up.stack import Addresses

ADDRESSES = Addresses("127.0.0.1", 50051, 8080)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    made = Screen(as_json=False)
    made.console = Console(file=io.StringIO(), width=60, soft_wrap=True)
    made._errors = Console(file=io.StringIO(), width=60, soft_wrap=True)
    return made


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_summary_names_what_one_needs_on_unbroken_lines(screen: Screen, tmp_path: Path) -> None:
    screen.ready(ADDRESSES, tmp_path, "default=2,agent", {"redis": "127.0.0.1:6379", "postgres": "127.0.0.1:5432"})
    lines = text(screen.console).splitlines()
    for words in ("http://127.0.0.1:8080", "grpcurl -plaintext 127.0.0.1:50051 list", str(tmp_path), "default=2 agent"):
        assert any(words in line for line in lines)
    assert [line.split()[0] for line in lines if "embedded" in line] == ["postgres", "redis"]


def test_json_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    screen = Screen(as_json=True)
    screen.starting(tmp_path, tmp_path)
    screen.ready(ADDRESSES, tmp_path, "agent", {"redis": "127.0.0.1:6379"})
    screen.say("not for machines")
    output = capsys.readouterr().out
    assert output.count("\n") == 1
    assert json.loads(output)["grpc"] == "127.0.0.1:50051"


def test_servers_elsewhere_are_named(screen: Screen, tmp_path: Path) -> None:
    screen.starting(tmp_path / "data", tmp_path / "elsewhere")
    assert f"The servers' data is in {tmp_path / 'elsewhere'}" in text(screen.console)


def test_held_notices_are_shown_later_and_bounded(screen: Screen) -> None:
    screen.hold_notices()
    for number in range(100):
        screen.notice(f"part {number}", "in trouble")
    assert text(screen._errors) == ""
    screen.show_notices()
    assert text(screen._errors).count("in trouble") == 20
    screen.notice("gateway", "[red]markup is text[/red]")
    assert "[red]markup is text[/red]" in text(screen._errors)


def test_paths_are_shown_as_one_would_type_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / ".taskstate") == ".taskstate"
    assert shown_path(Path("/elsewhere")) == "/elsewhere"


def test_addresses_can_be_opened() -> None:
    assert Addresses("::1", 1, 2).grpc == "[::1]:1"
    assert Addresses("::1", 1, 2).http == "http://[::1]:2"
