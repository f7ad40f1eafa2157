"""The launcher that ties a part's life to its parent's, seen through the programs that it becomes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from services.up.account import LAUNCHER, account_for, can_run, launch_command
from tests.support.processes import ROOT
from tests.support.waiting import wait_until

PARENT = """
import subprocess, sys
from pathlib import Path
from services.up.account import account_for, launch_command
account = account_for(Path("/no/earlier/server"))
child = subprocess.Popen(launch_command(["/bin/sleep", "1000"], account))
print(child.pid, flush=True)
sys.stdin.read()
"""


def launched(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", str(LAUNCHER), *words], capture_output=True, text=True, check=False
    )


def test_it_becomes_the_program_with_its_exit_code() -> None:
    outcome = subprocess.run(
        launch_command(["/bin/sh", "-c", "echo $PPID; exit 7"], None), capture_output=True, check=False
    )
    assert (outcome.returncode, outcome.stdout.decode().strip()) == (7, str(os.getpid()))


def test_a_parent_that_is_gone_already_is_noticed() -> None:
    assert launched("1", "-", "/bin/echo", "started").stdout == ""
    assert launched("1", "-", "/bin/echo", "started").returncode == 126


def test_a_program_that_is_not_there_is_told() -> None:
    outcome = launched(str(os.getpid()), "-", "/no/such/program")
    assert outcome.returncode == 126
    assert outcome.stderr == "launch: /no/such/program: No such file or directory\n"


def test_signals_that_python_ignores_are_not_ignored_by_the_program() -> None:
    command = launch_command(["/bin/cat", "/proc/self/status"], None)
    status = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    ignored = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")), 16)
    assert [number.name for number in (signal.SIGPIPE, signal.SIGXFSZ) if ignored >> (number - 1) & 1] == []


def test_it_runs_as_the_account_and_dies_with_the_parent() -> None:
    """As root the account is nobody, else ourselves."""
    account = account_for(Path("/no/earlier/server"))
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert parent.stdout is not None
    child = Path(f"/proc/{int(parent.stdout.readline())}")
    wait_until(lambda: (child / "comm").read_text() == "sleep\n")
    assert child.stat().st_uid == (account.uid if account else os.geteuid())
    assert (child / "status").read_text().split("Groups:")[1].splitlines()[0].strip() == "" or account is None
    parent.kill()
    parent.communicate()
    wait_until(lambda: not child.exists(), what="the child died with its parent")


def test_what_an_account_can_run_is_tried() -> None:
    account = account_for(Path("/no/earlier/server"))
    assert can_run(account, ["/bin/sh", "-c", "exit 0"])
    # Without an account nothing is tried: we shall see when we start it ourselves.
    assert can_run(account, ["/bin/sh", "-c", "exit 1"]) is (account is None)
    assert can_run(account, ["/no/such/program"]) is (account is None)
