"""gRPC channels to TaskState, with everything a long-lived client needs already set.

A channel reconnects by itself within a second of the service's return, notices a peer that is frozen or cut off by
pings (``grpc.http2.ping_timeout_ms`` is what bounds this; the keep-alive time-out alone does not), and repeats calls
that are safe to repeat when the service is away for a moment. Streams are not repeated: who opens one resumes it.

Never import this module in an RQ worker or a work-horse: they fork, and a fork must not meet gRPC.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc
import grpc.aio

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_TARGET: Final = "127.0.0.1:50051"
MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024

_TASK_SERVICE: Final = "taskstate.v1.TaskService"
_MAINTENANCE_SERVICE: Final = "taskstate.v1.MaintenanceService"
_IDEMPOTENT: Final = (
    (_TASK_SERVICE, "GetTask"),
    (_TASK_SERVICE, "ListTasks"),
    (_TASK_SERVICE, "GetActiveTask"),
    (_TASK_SERVICE, "ListTaskEvents"),
    (_TASK_SERVICE, "ListTaskLogs"),
    (_TASK_SERVICE, "CancelTask"),
    (_MAINTENANCE_SERVICE, "AcquireDispatches"),
    (_MAINTENANCE_SERVICE, "ConfirmDispatches"),
    (_MAINTENANCE_SERVICE, "PlanSweep"),
    (_MAINTENANCE_SERVICE, "ApplySweep"),
)
_IDEMPOTENT_WITH_REQUEST_ID: Final = ((_TASK_SERVICE, "CreateTask"),)
"""A create that was committed and not answered makes a second task when it is repeated without a request_id."""

_RETRY_POLICY: Final = {
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    # CANCELLED is what gRPC answers in the service's place for calls that it drops at a stop, before they are taken up.
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
}


@dataclass(frozen=True, kw_only=True)
class KeepAlive:
    """When a client pings its connection and when it gives it up, in seconds. The service allows a ping every 4 s."""

    time_s: float = 10.0
    timeout_s: float = 5.0


def aio_channel(
    target: str = DEFAULT_TARGET, *, retry_creates: bool = False, keep_alive: KeepAlive | None = None
) -> grpc.aio.Channel:
    """A channel for asyncio. Connects at the first call; close it with ``await channel.close()``.

    ``target``: "host:port", any gRPC target such as "dns:///taskstate:50051", or "address:port,address:port" for
    several replicas, among which calls go in turn. ``retry_creates``: repeat CreateTask too; only for callers that send
    a request_id with each. Raises ValueError for a target that cannot be meant.
    """
    return grpc.aio.insecure_channel(grpc_target(target), options=_options(target, retry_creates, keep_alive))


def sync_channel(
    target: str = DEFAULT_TARGET, *, retry_creates: bool = False, keep_alive: KeepAlive | None = None
) -> grpc.Channel:
    """A channel for threads; otherwise as ``aio_channel``."""
    return grpc.insecure_channel(grpc_target(target), options=_options(target, retry_creates, keep_alive))


def grpc_target(target: str) -> str:
    """The target in gRPC's own form. Several addresses become one ``ipv4:`` list; they are numeric, or localhost."""
    addresses = [address.strip() for address in target.split(",")]
    if not all(addresses):
        raise ValueError(f"an empty address in the target {target!r}; give host:port, or several separated by commas")
    if len(addresses) == 1 or target.startswith(("ipv4:", "ipv6:")):
        return target.strip()
    return "ipv4:" + ",".join(_numeric(address) for address in addresses)


def _numeric(address: str) -> str:
    host, _, port = address.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host
    if not port.isdecimal() or not host.replace(".", "").isdecimal():
        raise ValueError(
            f"{address!r} in a list of targets must be an IPv4 address and a port, such as 127.0.0.1:50051; "
            "for a name with several addresses give dns:///name:port"
        )
    return f"{host}:{port}"


def _options(target: str, retry_creates: bool, keep_alive: KeepAlive | None) -> Sequence[tuple[str, int | str]]:
    keep_alive = keep_alive or KeepAlive()
    return [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.keepalive_time_ms", round(keep_alive.time_s * 1000)),
        ("grpc.keepalive_timeout_ms", round(keep_alive.timeout_s * 1000)),
        ("grpc.http2.ping_timeout_ms", round(keep_alive.timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        # In spite of its name, how long one connection attempt may take: a frozen host must not hold it for 20 s.
        ("grpc.min_reconnect_backoff_ms", 3000),
        ("grpc.enable_retries", 1),
        ("grpc.service_config", service_config(retry_creates=retry_creates)),
    ]


def service_config(*, retry_creates: bool) -> str:
    """gRPC's service config as JSON: calls go to all addresses in turn, and the idempotent ones are repeated."""
    methods = _IDEMPOTENT + (_IDEMPOTENT_WITH_REQUEST_ID if retry_creates else ())
    return json.dumps(
        {
            # With one address this is the same as the default; with several it spreads calls and skips the dead ones.
            "loadBalancingConfig": [{"round_robin": {}}],
            "methodConfig": [
                {
                    "name": [{"service": service, "method": method} for service, method in methods],
                    "retryPolicy": _RETRY_POLICY,
                }
            ],
        }
    )
