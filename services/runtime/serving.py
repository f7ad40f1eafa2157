"""How a service process serves and stops.

The gRPC options are the ones that notice a peer that is frozen, gone or cut off. Keep-alive alone does not: without
``grpc.http2.ping_timeout_ms`` a stopped peer was noticed after 61 s although the keep-alive time-out was 1 s. And a
server refuses pings more frequent than it allows ("too many pings"), so its minimum must lie below the interval of the
clients.
"""

import asyncio
import errno
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

log = logging.getLogger(__name__)

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
PENDING_CALLS_MAX = 16_384
"""Calls that have arrived and that Python has not yet taken up. Above gRPC's own limit of 1,000 it starts to drop some at
random, as CANCELLED, which no client takes for an overload; 1,000 watchers that reconnect at once are more than that."""
CONCURRENT_STREAMS_MAX = 4096
"""Streams of one connection. No limit per user: a gateway or a proxy carries all its callers on few connections."""


LIVE_SERVICE = "live"
"""The health name that says only that the process runs: for probes that restart it. A process that waits for its database
or drains is not ready, and a restart would make neither better."""


@dataclass(frozen=True, kw_only=True)
class KeepAlive:
    """When a server pings a connection and when it gives it up, in seconds.

    ``time_s`` without traffic and a ping goes out; unanswered for ``timeout_s`` the connection is closed and all its
    streams end. ``peer_interval_min_s`` is the shortest interval at which clients may ping; theirs is 10 s.
    """

    time_s: float = 5.0
    timeout_s: float = 5.0
    peer_interval_min_s: float = 4.0


def new_grpc_server(
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    max_concurrent_streams: int = CONCURRENT_STREAMS_MAX,
    keep_alive: KeepAlive | None = None,
    maximum_concurrent_rpcs: int | None = None,
) -> grpc.aio.Server:
    """A gRPC server on the running event loop. Calls over ``maximum_concurrent_rpcs`` get RESOURCE_EXHAUSTED."""
    keep_alive = keep_alive or KeepAlive()
    options: list[tuple[str, int]] = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_concurrent_streams", max_concurrent_streams),
        ("grpc.server.max_pending_requests", PENDING_CALLS_MAX),
        ("grpc.server.max_pending_requests_hard_limit", PENDING_CALLS_MAX),
        ("grpc.keepalive_time_ms", _ms(keep_alive.time_s)),
        ("grpc.keepalive_timeout_ms", _ms(keep_alive.timeout_s)),
        ("grpc.http2.ping_timeout_ms", _ms(keep_alive.timeout_s)),
        ("grpc.keepalive_permit_without_calls", 1),
        # A watch may be silent for long. Unlimited, as otherwise the pings stop after two without data between them.
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _ms(keep_alive.peer_interval_min_s)),
        # Two processes on one port would each get some of the calls; the second one has to fail at its start instead.
        ("grpc.so_reuseport", 0),
    ]
    return grpc.aio.server(
        interceptors=tuple(interceptors), options=options, maximum_concurrent_rpcs=maximum_concurrent_rpcs
    )


def bind(server: grpc.aio.Server, host: str, port: int) -> int:
    """Binds the server to an address before its start and returns the port, which is a free one if 0 was asked for.

    Ends the process with one line on stderr and code 1 when the address cannot be had.
    """
    reason = _why_not_bindable(host, port)
    if reason is None:
        try:
            return server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except RuntimeError as error:  # Somebody took the port since we looked.
            reason = str(error)
    raise SystemExit(f"cannot listen on {host}:{port}: {reason}")


def _why_not_bindable(host: str, port: int) -> str | None:
    # gRPC tells a failed bind only in a log line of its own format, so we ask the system first.
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            # Binding alone succeeds beside another socket that is bound with the same option and listens.
            probe.listen(1)
    except OSError as error:
        return "the port is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
    return None


async def add_health_and_reflection(
    server: grpc.aio.Server, service_names: Collection[str], *, serving: bool = False
) -> health.aio.HealthServicer:
    """Adds ``grpc.health.v1`` and reflection for the named services; call before the start.

    Health answers for the process ("") and for each name; all stand at ``serving`` until ``set_health`` changes them.
    ``LIVE_SERVICE`` is always SERVING.
    """
    servicer = health.aio.HealthServicer()
    await servicer.set(LIVE_SERVICE, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    reflection.enable_server_reflection((*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    await set_health(servicer, service_names, serving=serving)
    return servicer


async def set_health(servicer: health.aio.HealthServicer, service_names: Collection[str], *, serving: bool) -> None:
    """Sets the health of the process ("") and of the named services."""
    states = health_pb2.HealthCheckResponse
    status = states.SERVING if serving else states.NOT_SERVING
    for name in ("", *service_names):
        await servicer.set(name, status)


def install_stop_event(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    """An event that SIGTERM and SIGINT set, to be waited for by the process's main coroutine.

    Further signals change nothing: a stop has a bounded grace, and who cannot wait for it kills.
    """
    stop = asyncio.Event()

    def on_signal(received: signal.Signals) -> None:
        if not stop.is_set():
            log.info("stopping on %s", received.name, extra={"event": "stopping", "signal": received.name})
            stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop


def announce_listening(port: int, **fields: object) -> None:
    """Logs the one line by which others know that this process accepts connections, and where."""
    log.info("listening on port %d", port, extra={"event": "listening", "port": port, **fields})


def run(
    main: Callable[[], Awaitable[int | None]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    """Runs a process's main coroutine on a new event loop and exits with the code it returns (None is 0).

    The loop is asyncio's own unless a ``loop_factory`` is given: gRPC drives its own poller thread, so uvloop gains
    nothing there; a process that mainly serves HTTP may pass ``uvloop.new_event_loop``.
    """

    async def call() -> int | None:
        return await main()

    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            code = runner.run(call())
    except KeyboardInterrupt:
        # SIGINT before the handlers were installed: nothing has begun that would need a drain.
        code = 130
    sys.exit(code or 0)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
