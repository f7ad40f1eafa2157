"""Serving: uvicorn with uvloop and httptools, listening announced, and an end within three seconds.

uvicorn's own handling of signals is off: it ends the process by the signal once more, while a service here exits with 0
after a graceful stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Final

import uvicorn
from taskstate.channel import aio_channel

from services.gateway.app import Gateway
from services.gateway.http_protocol import http_protocol
from services.runtime.serving import announce_listening, install_stop_event

if TYPE_CHECKING:
    from collections.abc import Generator

    from services.gateway.settings import GatewaySettings

STOP_GRACE_S: Final = 2
KEEP_ALIVE_S: Final = 75
BACKLOG: Final = 1024


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to us."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Announce where we listen, once we do."""
        await super().startup(sockets)
        if sockets:
            announce_listening(sockets[0].getsockname()[1])


async def serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT. Exits with code 1 and one line when the address cannot be had."""
    stop = install_stop_event(asyncio.get_running_loop())
    await serve_until(stop, settings, listen(settings.bind_host, settings.http_port))


async def serve_until(stop: asyncio.Event, settings: GatewaySettings, listener: socket.socket) -> None:
    """Serve on a bound socket until told to stop; then end all streams and answer what has begun."""
    # Every create carries a request_id, its own or one made here, so that one whose answer was lost may be repeated.
    async with aio_channel(settings.target, retry_creates=True) as channel:
        gateway = Gateway(settings, channel)
        server = _Server(_config(gateway, settings))
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http-server")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        # Streams first: they end only when told, and uvicorn waits for all answers.
        gateway.streams.stopping.set()
        server.should_exit = True
        await serving


def _config(gateway: Gateway, settings: GatewaySettings) -> uvicorn.Config:
    return uvicorn.Config(
        gateway.app,
        http=http_protocol(settings.receive_timeout_seconds),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        # X-Forwarded-For would be believed from this machine; anybody behind a proxy here could write it.
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_GRACE_S,
    )


def listen(host: str, port: int) -> socket.socket:
    """Bind before anything else begins, so that a port in use is one clear line."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise SystemExit(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    listener.setblocking(False)
    return listener
