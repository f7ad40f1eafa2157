"""Settings: all mistakes at once, each naming its variable, no password shown."""

import pytest
from pydantic import Field, model_validator

from services.runtime.settings import Port, ServiceSettings, load_settings, unprefixed


class Sample(ServiceSettings):
    grpc_port: Port = Field(50051, description="port of the API")
    database_url: str = Field(description="the database", pattern="^postgresql")
    max_concurrent_tasks: int = Field(
        1, ge=1, validation_alias=unprefixed("MAX_CONCURRENT_TASKS"), description="running tasks of group agent"
    )
    names: list[str] = Field([], description="names as a JSON list")

    @model_validator(mode="after")
    def _port_and_name(self) -> "Sample":
        if self.grpc_port == 1:
            raise ValueError("TASKSTATE_GRPC_PORT must not be 1")
        return self


@pytest.fixture(autouse=True)
def _database(monkeypatch):
    monkeypatch.setenv("TASKSTATE_DATABASE_URL", "postgresql://localhost/x")


def lines_of_exit(capsys):
    with pytest.raises(SystemExit) as ended:
        load_settings(Sample)
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_reads_the_environment(monkeypatch):
    monkeypatch.setenv("TASKSTATE_GRPC_PORT", "0")
    monkeypatch.setenv("TASKSTATE_LOG_LEVEL", "debug")
    monkeypatch.setenv("TASKSTATE_NAMES", '["a"]')
    monkeypatch.setenv("TASKSTATE_OF_ANOTHER_SERVICE", "ignored")
    settings = load_settings(Sample)
    assert (settings.grpc_port, settings.log_level, settings.names) == (0, "DEBUG", ["a"])
    assert (settings.bind_host, settings.log_format) == ("127.0.0.1", "json")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"MAX_CONCURRENT_TASKS": "3"}, 3),
        ({"TASKSTATE_MAX_CONCURRENT_TASKS": "4"}, 4),
        ({"MAX_CONCURRENT_TASKS": "3", "TASKSTATE_MAX_CONCURRENT_TASKS": "4"}, 4),
    ],
)
def test_some_names_are_known_without_prefix(monkeypatch, given, expected):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert load_settings(Sample).max_concurrent_tasks == expected


def test_reports_all_mistakes_together(monkeypatch, capsys):
    monkeypatch.delenv("TASKSTATE_DATABASE_URL")
    monkeypatch.setenv("TASKSTATE_GRPC_PORT", "http")
    monkeypatch.setenv("MAX_CONCURRENT_TASKS", "0")
    monkeypatch.setenv("TASKSTATE_DRAIN_GRACE_SECONDS", "inf")
    lines = sorted(lines_of_exit(capsys))
    assert [line.split("=")[0].split(" is ")[0] for line in lines] == [
        "wrong setting: MAX_CONCURRENT_TASKS",
        "wrong setting: TASKSTATE_DATABASE_URL",
        "wrong setting: TASKSTATE_DRAIN_GRACE_SECONDS",
        "wrong setting: TASKSTATE_GRPC_PORT",
    ]
    assert "is not set (the database)" in lines[1]
    assert lines[3] == (
        "wrong setting: TASKSTATE_GRPC_PORT=http: input should be a valid integer, unable to parse string as an integer "
        "(port of the API; default 50051)"
    )


def test_shows_no_password_and_one_line_only(monkeypatch, capsys):
    monkeypatch.setenv("TASKSTATE_DATABASE_URL", "mysql://ann:secret@host/x\nsecond line")
    (line,) = lines_of_exit(capsys)
    assert "mysql://***@host/x\\nsecond line" in line
    assert "secret@" not in line


def test_a_list_that_is_not_json_is_named(monkeypatch, capsys):
    monkeypatch.setenv("TASKSTATE_NAMES", "a,b")
    (line,) = lines_of_exit(capsys)
    assert "names" in line


def test_a_rule_between_settings_speaks_for_itself(monkeypatch, capsys):
    monkeypatch.setenv("TASKSTATE_GRPC_PORT", "1")
    assert lines_of_exit(capsys) == ["wrong setting: TASKSTATE_GRPC_PORT must not be 1"]
