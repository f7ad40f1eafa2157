"""Settings of the gateway process; every number states its unit and its bound."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode
from taskstate.channel import DEFAULT_TARGET, grpc_target

from services.runtime.settings import Port, ServiceSettings

_HOST = re.compile(r"[a-z0-9.-]+|\[[0-9a-f:.]+\]")


def _split(value: object) -> object:
    """Read "a, b" as a list: lists in environment variables are written as people write them."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class GatewaySettings(ServiceSettings):
    """What the gateway is told by its environment."""

    http_port: Port = Field(8080, description="port for HTTP")
    target: str = Field(DEFAULT_TARGET, description="address of TaskState, for example 127.0.0.1:50051")
    call_timeout_seconds: float = Field(
        10.0,
        gt=0,
        le=60,
        allow_inf_nan=False,
        # TaskState itself tries for 8 s before it says UNAVAILABLE; a shorter time would hide its better answer.
        description="longest time one call to TaskState may take",
    )
    cors_origins: CommaSeparated = Field(
        (), description="exact origins, comma-separated, whose pages may call; none by default"
    )
    allowed_hosts: CommaSeparated = Field(
        (), description="host names, comma-separated, that requests may be addressed to; all by default"
    )
    body_bytes_max: int = Field(1024 * 1024, ge=1024, le=4 * 1024 * 1024, description="largest request body")
    receive_timeout_seconds: float = Field(
        10.0, gt=0, le=300, allow_inf_nan=False, description="longest time for a request's head, and for its body"
    )
    streams_max: int = Field(1000, ge=1, le=100_000, description="open event streams of this process")
    stream_queue_max: int = Field(1000, ge=1, le=100_000, description="changes held for one slow stream")
    stream_queue_bytes_max: int = Field(
        4 * 1024 * 1024, ge=64 * 1024, le=256 * 1024 * 1024, description="bytes of changes held for one slow stream"
    )
    stream_write_timeout_seconds: float = Field(
        30.0, gt=0, le=300, allow_inf_nan=False, description="how long a stream's reader may take nothing"
    )
    stream_heartbeat_seconds: float = Field(
        15.0, ge=1, le=300, allow_inf_nan=False, description="interval of comment lines on a stream"
    )

    @field_validator("target")
    @classmethod
    def _target_is_meant(cls, target: str) -> str:
        grpc_target(target)  # Raises ValueError with what would be right.
        return target

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_exact(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            if (
                parts.scheme not in ("http", "https")
                or not parts.netloc
                or f"{parts.scheme}://{parts.netloc}" != origin
            ):
                raise ValueError(f"{origin!r} is not an exact origin such as https://app.example.org")
        return origins

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts_are_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        lowered = tuple(host.lower() for host in hosts)
        for host in lowered:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is not a host name without port, such as tasks.example.org")
        return lowered
