"""``python -m services.scheduler``: composes the background services, their loops and the health service."""

import asyncio
import re
import socket

from taskstate.channel import aio_channel

from services.runtime.logs import configure_logging
from services.runtime.serving import (
    add_health_and_reflection,
    announce_listening,
    bind,
    install_stop_event,
    new_grpc_server,
    run,
    set_health,
)
from services.runtime.settings import load_settings
from services.runtime.telemetry import configure_telemetry
from services.scheduler.broker import Broker
from services.scheduler.dispatcher import Dispatcher
from services.scheduler.loop import Loop
from services.scheduler.settings import SchedulerSettings

SERVICE = "scheduler"
ACTOR_CHARACTERS_MAX = 128
IDLE_INTERVAL_S = 0.05
"""Only a guard: an idle dispatcher is held back by TaskState's long poll, and this if that should answer at once."""


async def serve(settings: SchedulerSettings) -> None:
    """Runs until SIGTERM or SIGINT."""
    stop = install_stop_event(asyncio.get_running_loop())
    dispatcher_health = f"{SERVICE}.dispatcher"
    server = new_grpc_server()
    health = await add_health_and_reflection(server, (dispatcher_health,))
    port = bind(server, settings.bind_host, settings.scheduler_port)
    broker = Broker(settings.redis_url, settings.redis_timeout_seconds)
    async with aio_channel(settings.target) as channel:

        async def on_change(waiting_for: str) -> None:
            await set_health(health, (dispatcher_health,), serving=not waiting_for)

        dispatcher = Loop(
            "dispatcher",
            Dispatcher(
                channel,
                broker,
                actor=actor(socket.gethostname()),
                batch_max=settings.dispatch_batch,
                wait_s=settings.dispatch_wait_seconds,
            ),
            interval_s=IDLE_INTERVAL_S,
            stop_grace_s=settings.drain_grace_seconds,
            on_change=on_change,
        )
        await server.start()
        announce_listening(port)
        try:
            await dispatcher.run(stop)
        finally:
            await set_health(health, (dispatcher_health,), serving=False)
            await server.stop(grace=0.5)
            await broker.close()


def actor(host: str) -> str:
    """Who we are in the audit trail: ASCII, as gRPC metadata demands, and not too long."""
    return f"{SERVICE}:{re.sub(r'[^!-~]', '_', host)}"[:ACTOR_CHARACTERS_MAX]


def main() -> None:
    """The process's entry."""
    settings = load_settings(SchedulerSettings)
    configure_logging(SERVICE, settings.log_level, settings.log_format)
    configure_telemetry(SERVICE, settings.traces)
    run(lambda: serve(settings))


if __name__ == "__main__":
    main()
