from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from services.up import account
from services.up.account import account_for
from services.up.problem import CannotStartError

DAEMON = pwd.getpwnam("daemon")


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account.os, "geteuid", lambda: 0)


@pytest.mark.usefixtures("as_root")
def test_root_hands_the_servers_to_nobody(tmp_path: Path) -> None:
    found = account_for(tmp_path / "missing")
    assert found is not None
    assert found.name == "nobody"


@pytest.mark.usefixtures("as_root")
def test_root_goes_on_as_the_owner_of_what_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(account, "_owner", lambda folder: DAEMON.pw_uid)
    found = account_for(tmp_path)
    assert found is not None
    assert (found.name, found.uid, found.gid) == ("daemon", DAEMON.pw_uid, DAEMON.pw_gid)


@pytest.mark.usefixtures("as_root")
def test_an_owner_without_a_name_cannot_run_postgresql(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(account, "_owner", lambda folder: 54321)
    with pytest.raises(CannotStartError, match=r"uid 54321, the owner of .*, is not in the password file"):
        account_for(tmp_path)


def test_an_ordinary_user_needs_no_account_but_must_own_the_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    somebody_else = tmp_path.stat().st_uid + 1
    monkeypatch.setattr(account.os, "geteuid", lambda: somebody_else)
    assert account_for(tmp_path / "missing") is None
    with pytest.raises(CannotStartError, match="belongs to another user") as refusal:
        account_for(tmp_path)
    assert refusal.value.exit_code == 4
