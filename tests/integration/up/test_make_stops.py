"""The real Makefile with a small program in place of `up`: whichever way make is stopped, the program learns of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`make up` or `make demo`, with a python that waits for a stop request whatever it is asked to run."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -m tests.support.stop_request\n")
    python.chmod(0o755)
    process = subprocess.Popen(
        # -o: nothing is to be installed, however old the stamps of this checkout are.
        ["make", request.param, f"BIN={tmp_path}", "-o", ".venv/.runtime-installed"],
        cwd=ROOT,
        # As from a terminal, also when the tests themselves run under make.
        env={name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert first == "waiting\n"


@pytest.mark.parametrize(
    ("make", "whom", "how"),
    [
        ("up", "make alone", signal.SIGINT),
        ("up", "make alone", signal.SIGTERM),
        ("up", "make alone", signal.SIGHUP),
        ("up", "its group", signal.SIGINT),
        ("demo", "make alone", signal.SIGINT),
    ],
    indirect=["make"],
)
def test_make_and_what_it_runs_stop(make: subprocess.Popen[str], whom: str, how: signal.Signals) -> None:
    os.killpg(make.pid, how) if whom == "its group" else os.kill(make.pid, how)
    output, _ = make.communicate(timeout=20)
    assert output.splitlines()[0] == "stopped"
