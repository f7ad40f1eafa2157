"""What `up` reads from the environment; the command line's options win over it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

import services
from services.runtime.settings import Port, ServiceSettings

CHECKOUT = Path(services.__file__).resolve().parents[1]

# What `make up` and `taskstate up` serve: one RQ worker per queue, and two for the default one.
QUEUES = "default=2,agent,processing,chat"


class UpSettings(ServiceSettings):
    """Settings of `up`. Those of the parts are passed on to them as they are."""

    # Resolved against the checkout, so that `taskstate up` finds the same data from every folder.
    data_dir: Path = Field(CHECKOUT / ".taskstate", description="folder for all data of the stack")
    grpc_port: Port = Field(50051, description="port of the gRPC API; 0 picks a free one")
    http_port: Port = Field(8080, description="port of the gateway; 0 picks a free one")
    database_url: str | None = Field(
        None, description="a PostgreSQL of your own; without it an embedded one is started"
    )
    redis_url: str | None = Field(None, description="a Redis of your own; without it an embedded one is started")
    # Shorter than a deployment's 30 s: whoever presses Ctrl-C at a terminal waits for it.
    drain_grace_seconds: float = Field(5.0, ge=0, le=3600, allow_inf_nan=False, description="grace for running tasks")
    queues: str = Field(QUEUES, description="queues of the supervisor, as NAME or NAME=NUMBER_OF_RQ_WORKERS")
