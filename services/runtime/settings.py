"""Settings of a process: typed, from the environment, all mistakes reported at once.

Each service subclasses ``ServiceSettings`` with its own fields. A field ``grpc_port`` is read from
``TASKSTATE_GRPC_PORT``; the few names that users already have in their deployments without the prefix get both names
by ``unprefixed``.
"""

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

ENV_PREFIX = "TASKSTATE_"

EXIT_CODE_BAD_SETTINGS = 2
"""The same code as for wrong usage of a command line: nothing was started, the caller has to change something."""

_SHOWN_VALUE_CHARACTERS_MAX = 60


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]
LogFormat = Annotated[Literal["json", "text"], BeforeValidator(_lower)]
Traces = Annotated[Literal["off", "log"], BeforeValidator(_lower)]
Port = Annotated[int, Field(ge=0, le=65535)]
"""A TCP port; 0 lets the system pick a free one, which the ``listening`` line then names."""


def unprefixed(name: str) -> AliasChoices:
    """Lets a setting be given as ``TASKSTATE_<name>`` (which wins) or as plain ``<name>``."""
    return AliasChoices(f"{ENV_PREFIX}{name}", name)


class ServiceSettings(BaseSettings):
    """What all service processes have in common. Immutable once read."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        # The variables of the other services share the prefix and the environment, so unknown ones are no mistake.
        extra="ignore",
        frozen=True,
        validate_by_name=True,
        validate_default=True,
    )

    bind_host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: LogFormat = Field("json", description="json or text")
    traces: Traces = Field("off", description="off, or log to write each finished span as a log line")
    data_dir: Path = Field(Path(".taskstate"), description="folder for local data")
    drain_grace_seconds: float = Field(
        30.0, ge=0, le=3600, allow_inf_nan=False, description="seconds a stopping process gives to what it has begun"
    )


S = TypeVar("S", bound=ServiceSettings)


def load_settings(cls: type[S]) -> S:
    """Reads the settings from the environment.

    Exits the process with code 2 if anything is wrong, after one line on stderr for each mistake that names the
    variable and what would be right. Passwords inside URLs are not shown.
    """
    try:
        return cls()
    except ValidationError as error:
        lines = [_describe(cls, dict(detail)) for detail in error.errors()]
    except SettingsError as error:  # A list or mapping that is not JSON fails before validation, one at a time.
        lines = [str(error)]
    for line in lines:
        sys.stderr.write(f"wrong setting: {line}\n")
    raise SystemExit(EXIT_CODE_BAD_SETTINGS)


def _describe(cls: type[ServiceSettings], detail: dict[str, Any]) -> str:
    location = [str(part) for part in detail["loc"]]
    message = str(detail["msg"]).removeprefix("Value error, ")
    if message[1:2].islower():  # A sentence of pydantic, and not the name of a variable.
        message = message[0].lower() + message[1:]
    if not location:  # A rule between several settings, which names them itself.
        return message
    name, variable = _field_and_variable(cls, location[0])
    field = cls.model_fields.get(name)
    given = f"{variable}={_shown(detail['input'])}: {message}"
    line = f"{variable} is not set" if detail["type"] == "missing" else given
    hints = []
    if field is not None and field.description:
        hints.append(field.description)
    if field is not None and not field.is_required():
        hints.append(f"default {_shown(field.get_default(call_default_factory=True, validated_data={}))}")
    return f"{line} ({'; '.join(hints)})" if hints else line


def _field_and_variable(cls: type[ServiceSettings], location: str) -> tuple[str, str]:
    """The field's name and its environment variable, from what pydantic calls it: its first alias if it has one."""
    for name, field in cls.model_fields.items():
        alias = field.validation_alias
        if isinstance(alias, AliasChoices) and location in {name, *map(str, alias.choices)}:
            choices = [str(choice) for choice in alias.choices]
            given = {variable.upper() for variable in os.environ}
            return name, next((choice for choice in choices if choice in given), choices[0])
    return location, f"{ENV_PREFIX}{location}".upper()


def _shown(value: object) -> str:
    text = re.sub(r"//[^/@]*@", "//***@", str(value))
    text = text.encode("unicode_escape").decode("ascii")
    return text if len(text) <= _SHOWN_VALUE_CHARACTERS_MAX else text[:_SHOWN_VALUE_CHARACTERS_MAX] + "..."
