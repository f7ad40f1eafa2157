from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.up import data_folder
from services.up.data_folder import DataFolder, open_data_folder
from services.up.problem import CannotStartError


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where servers' folders go if their user cannot reach the data folder; not the real /var/lib in tests."""
    monkeypatch.setattr(data_folder, "ELSEWHERE", (tmp_path / "elsewhere",))
    return tmp_path / "elsewhere"


@pytest.fixture
def opened(tmp_path: Path, elsewhere: Path) -> Iterator[DataFolder]:
    folder = open_data_folder(tmp_path / "data")
    yield folder
    folder.close()


def reopened(folder: DataFolder) -> DataFolder:
    folder.close()
    again = open_data_folder(folder.path)
    # The fixture closes what it opened: give it the same descriptor back.
    os.dup2(again.lock_descriptor, folder.lock_descriptor)
    if again.lock_descriptor != folder.lock_descriptor:
        again.close()
    return again


def test_secrets_are_ours_alone_and_kept(opened: DataFolder) -> None:
    assert stat.S_IMODE((opened.path / "secret").stat().st_mode) == 0o600
    assert len(opened.password) == 32
    assert reopened(opened).password == opened.password


def test_a_locked_folder_is_refused_and_names_the_holder(opened: DataFolder) -> None:
    with pytest.raises(CannotStartError, match=rf"in use by another taskstate up \(pid {os.getpid()}\)") as refusal:
        open_data_folder(opened.path)
    assert refusal.value.exit_code == 4


@pytest.mark.parametrize("in_the_way", ["data", "data/lock", "data/logs"])
def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path, in_the_way: str) -> None:
    """A file where a folder should be, and the reverse, stop even root, whom permissions do not."""
    wrong = tmp_path / in_the_way
    wrong.parent.mkdir(exist_ok=True)
    wrong.mkdir() if wrong.name == "lock" else wrong.write_text("")
    with pytest.raises(CannotStartError, match=r"^Data folder .*data cannot be (written|used)[^\n]*\.$") as refusal:
        open_data_folder(tmp_path / "data")
    assert refusal.value.exit_code == 4


def test_the_servers_live_where_their_user_can_reach(opened: DataFolder, elsewhere: Path) -> None:
    """pytest's folders are closed to others: as root the servers' folders go elsewhere, else they stay."""
    if os.geteuid() != 0:
        assert opened.servers == opened.path
        assert opened.account is None
        return
    assert opened.account is not None
    assert opened.servers.parent == elsewhere
    assert (opened.path / "location").read_text().strip() == str(opened.servers)
    home = opened.server_folder("redis")
    assert home.stat().st_uid == opened.account.uid
    assert opened.servers.stat().st_uid == 0
    assert reopened(opened).servers == opened.servers


def test_no_other_folder_changes_owner_or_mode(tmp_path: Path, elsewhere: Path) -> None:
    before = (tmp_path.stat().st_uid, tmp_path.stat().st_mode)
    (tmp_path / "data").mkdir(mode=0o750)
    folder = open_data_folder(tmp_path / "data")
    folder.server_folder("redis")
    folder.close()
    assert (tmp_path.stat().st_uid, tmp_path.stat().st_mode) == before
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o750


def test_a_new_data_folder_at_an_old_path_gets_new_servers(tmp_path: Path, elsewhere: Path) -> None:
    path = tmp_path / "data"
    names = {data_folder._servers_elsewhere(path, identity).name for identity in ("a", "b", "a")}
    assert len(names) == 2


def test_a_folder_that_others_can_write_to_is_not_trusted(tmp_path: Path, elsewhere: Path) -> None:
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    with pytest.raises(CannotStartError, match="is there already and is not ours"):
        data_folder._servers_elsewhere(tmp_path / "data", "id")
