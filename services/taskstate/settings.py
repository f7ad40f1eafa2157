"""Settings of the TaskState service, from the environment."""

from __future__ import annotations

from pydantic import Field

from services.runtime.settings import Port, ServiceSettings, unprefixed
from services.taskstate.overlay import Limits


class TaskStateSettings(ServiceSettings):
    """See docs/running.md for the whole list."""

    database_url: str = Field(min_length=1, description="for example postgresql://user:password@host/taskstate")
    grpc_port: Port = Field(50051, description="port of the gRPC API")
    database_pool_size: int = Field(
        8, ge=2, le=64, description="connections for readers and what workers record, 2 to 64; five more are fixed"
    )
    lease_ttl_seconds: float = Field(20.0, gt=0, le=600, description="how long a replica's lease holds")
    heartbeat_interval_seconds: float = Field(5.0, gt=0, le=60, description="how often supervisors send heartbeats")
    stream_grace_seconds: float = Field(
        2.0, gt=0, le=600, description="how long an attempt whose stream broke may come back"
    )
    batch_max: int = Field(200, ge=1, le=1000, description="commands that share one transaction at most")
    dispatch_window: int = Field(100, ge=1, le=10_000, description="unstarted messages a queue may hold")
    watches_max: int = Field(2000, ge=1, description="watches this replica carries at most")
    sessions_max: int = Field(1000, ge=1, description="supervisors this replica carries at most")
    drain_grace_seconds: float = Field(2.0, ge=0, le=60, description="how long open calls get at a stop")
    group_limits: dict[str, int] = Field(
        default_factory=dict, description='slots by group, as JSON: {"agent": 1}; other groups: MAX_CONCURRENT_TASKS'
    )
    max_concurrent_tasks: int = Field(
        1, ge=1, le=100_000, validation_alias=unprefixed("MAX_CONCURRENT_TASKS"), description="slots of a group"
    )
    task_timeout_seconds: float = Field(
        3600.0, gt=0, validation_alias=unprefixed("TASK_TIMEOUT_SECONDS"), description="default deadline of an attempt"
    )

    @property
    def limits(self) -> Limits:
        """The facts that decisions take from the deployment."""
        return Limits(
            default_timeout_s=self.task_timeout_seconds,
            dispatch_window=self.dispatch_window,
            group_limit_default=self.max_concurrent_tasks,
            group_limits=self.group_limits,
        )
