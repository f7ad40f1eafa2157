"""``python -m services.scheduler``: composes the background services, their loops and the health service."""

import asyncio
import re
import socket
from collections.abc import Mapping

from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckResponse
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
from services.runtime.settings import load_settings
from services.runtime.telemetry import configure_telemetry
from services.scheduler.broker import Broker
from services.scheduler.dispatcher import Dispatcher
from services.scheduler.loop import BackgroundService, Loop
from services.scheduler.maintenance import Maintenance
from services.scheduler.settings import SchedulerSettings
from services.scheduler.sweeper import Sweeper

SERVICE = "scheduler"
ACTOR_CHARACTERS_MAX = 128
IDLE_INTERVAL_S = 0.05
"""Only a guard: an idle dispatcher is held back by TaskState's long poll, and this if that should answer at once."""


async def serve(settings: SchedulerSettings) -> None:
    """Runs until SIGTERM or SIGINT."""
    stop = install_stop_event(asyncio.get_running_loop())
    server = new_grpc_server()
    names = ("dispatcher", "sweeper")
    servicer = await add_health_and_reflection(server, [f"{SERVICE}.{name}" for name in names])
    port = bind(server, settings.bind_host, settings.scheduler_port)
    broker = Broker(settings.redis_url, settings.redis_timeout_seconds)
    async with aio_channel(settings.target) as channel:
        maintenance = Maintenance(channel, actor(socket.gethostname()))
        waits = dict.fromkeys(names, "first run")

        def loop(name: str, service: BackgroundService, interval_s: float) -> Loop:
            async def on_change(waiting_for: str) -> None:
                waits[name] = waiting_for
                await set_background_health(servicer, waits)

            return Loop(
                name,
                service,
                interval_s=interval_s,
                stop_grace_s=settings.drain_grace_seconds,
                on_change=on_change,
            )

        dispatcher = Dispatcher(
            maintenance, broker, batch_max=settings.dispatch_batch, wait_s=settings.dispatch_wait_seconds
        )
        loops = [
            loop("dispatcher", dispatcher, IDLE_INTERVAL_S),
            loop("sweeper", Sweeper(maintenance), settings.sweep_interval_seconds),
        ]
        await server.start()
        announce_listening(port)
        try:
            await asyncio.gather(*(running.run(stop) for running in loops))
        finally:
            await set_background_health(servicer, dict.fromkeys(names, "stopping"))
            await server.stop(grace=0.5)
            await broker.close()


async def set_background_health(servicer: health.aio.HealthServicer, waits: Mapping[str, str]) -> None:
    """Each background service is healthy while it waits for nothing; the process is while all of them are."""
    lacks = {f"{SERVICE}.{name}": waiting_for for name, waiting_for in waits.items()} | {"": "".join(waits.values())}
    for name, waiting_for in lacks.items():
        status = HealthCheckResponse.NOT_SERVING if waiting_for else HealthCheckResponse.SERVING
        await servicer.set(name, status)


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
