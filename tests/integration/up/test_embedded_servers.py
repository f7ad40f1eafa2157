"""The embedded servers, as root (then they run as nobody) and as an ordinary user: data is kept, nothing outlives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ordinary_user import ordinary_user
from tests.support.processes import ROOT
from tests.support.waiting import wait_until


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user can enter; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="taskstate-tests-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


class Servers:
    """Starts tests/support/embedded_once.py on one data folder, as ourselves or as an ordinary user."""

    def __init__(self, python: str, data_folder: Path, **arguments: Any) -> None:
        self._python, self._arguments, self.data_folder = python, arguments, data_folder

    def start(self, *marks: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        """Start both servers; returns the process and what it told."""
        process = subprocess.Popen(
            [self._python, "-m", "tests.support.embedded_once", str(self.data_folder), *marks],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **self._arguments,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        return process, json.loads(line)

    def serve_once(self, *marks: str) -> dict[str, Any]:
        """Start, and stop at once; returns what the process told."""
        process, facts = self.start(*marks)
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0
        return facts


@pytest.fixture(params=["ourselves", "an ordinary user"])
def servers(request: pytest.FixtureRequest, reachable: Path) -> Servers:
    if request.param == "ourselves":
        return Servers(sys.executable, reachable / "data", cwd=ROOT)
    user = ordinary_user(reachable)
    return Servers(user.python, user.home / "data", **user.popen_arguments)


def test_data_outlives_a_stop_and_a_kill_and_nothing_else_does(servers: Servers) -> None:
    assert servers.serve_once("first")["postgres"] == ["first"]

    process, facts = servers.start("second")
    assert facts["postgres"] == facts["redis"] == ["first", "second"]
    assert 0 not in facts["owners"], "a server runs as root"
    with pytest.raises(AssertionError, match=rf"in use by another taskstate up \(pid {process.pid}\)"):
        servers.start()

    process.kill()
    process.communicate()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in facts["pids"]), what="the servers are gone")
    # In a container the same pids come back at each start: let the one that the kill left behind be ours, a living
    # process that is no PostgreSQL.
    pid_file = Path(facts["servers"]) / "postgres" / "postmaster.pid"
    pid_file.write_text("\n".join([str(os.getpid()), *pid_file.read_text().splitlines()[1:]]))
    assert servers.serve_once("third")["postgres"] == ["first", "second", "third"]


def test_a_cluster_whose_making_was_interrupted_is_made_anew(reachable: Path) -> None:
    unfinished = reachable / "data" / "postgres.unfinished"
    unfinished.mkdir(parents=True)
    (reachable / "data").chmod(0o711)
    (unfinished / "PG_VERSION").write_text("18\n")
    assert Servers(sys.executable, reachable / "data", cwd=ROOT).serve_once("anew")["postgres"] == ["anew"]
