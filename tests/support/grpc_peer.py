"""A gRPC client or server in a process of its own, for tests that freeze or kill one side of a connection.

    python -m tests.support.grpc_peer serve
    python -m tests.support.grpc_peer watch 127.0.0.1:50051

Both log `listening` or `watching` once they are up. `watch` opens a health watch, which is a stream that stays silent.
"""

import asyncio
import logging
import sys

from grpc_health.v1 import health_pb2, health_pb2_grpc
from taskstate.channel import aio_channel

from services.runtime.logs import configure_logging
from services.runtime.serving import (
    add_health_and_reflection,
    announce_listening,
    bind,
    install_stop_event,
    new_grpc_server,
    run,
)

log = logging.getLogger(__name__)


async def serve() -> None:
    stop = install_stop_event(asyncio.get_running_loop())
    server = new_grpc_server()
    await add_health_and_reflection(server, (), serving=True)
    port = bind(server, "127.0.0.1", 0)
    await server.start()
    announce_listening(port)
    await stop.wait()
    await server.stop(0)


async def watch(target: str) -> None:
    async with aio_channel(target) as channel:
        async for answer in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()):
            log.info("status %s", answer.status, extra={"event": "watching"})


if __name__ == "__main__":
    configure_logging("peer", "INFO", "json")
    run(serve if sys.argv[1] == "serve" else lambda: watch(sys.argv[2]))
