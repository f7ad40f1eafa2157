"""The scheduler's settings."""

from typing import Annotated

from pydantic import AfterValidator, Field
from redis.connection import parse_url
from taskstate.channel import DEFAULT_TARGET, grpc_target

from services.runtime.settings import Port, ServiceSettings


def _redis_url(url: str) -> str:
    parse_url(url)  # type: ignore[no-untyped-call]  # Raises ValueError with a text that tells the allowed forms.
    return url


def _target(target: str) -> str:
    grpc_target(target)  # Raises ValueError with what would be right.
    return target


RedisUrl = Annotated[str, AfterValidator(_redis_url)]
Target = Annotated[str, Field(min_length=1), AfterValidator(_target)]


class SchedulerSettings(ServiceSettings):
    """What ``python -m services.scheduler`` reads from the environment."""

    target: Target = Field(DEFAULT_TARGET, description="TaskState's address, several separated by commas")
    redis_url: RedisUrl = Field("redis://127.0.0.1:6379/0", description="the Redis that holds RQ's queues")
    scheduler_port: Port = Field(50052, description="port of the gRPC health service, 0 for a free one")
    dispatch_batch: int = Field(100, ge=1, le=100, description="messages enqueued in one go")
    dispatch_wait_seconds: float = Field(
        10.0, ge=0, le=30, allow_inf_nan=False, description="seconds TaskState may hold an empty answer back"
    )
    sweep_interval_seconds: float = Field(
        1.0, gt=0, le=60, allow_inf_nan=False, description="seconds between two sweeps of what is over"
    )
    redis_timeout_seconds: float = Field(
        2.0, gt=0, le=60, allow_inf_nan=False, description="seconds Redis may take to answer"
    )
