"""A gateway on a real port, in the test's own process, with a TaskState of a few lines behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest

from services.gateway.server import listen, serve_until
from services.gateway.settings import GatewaySettings
from tests.support.memory_taskstate import MemoryTaskState, serving
from tests.support.waiting import await_until

StartGateway = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@asynccontextmanager
async def running_gateway(target: str, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Run a gateway until the block ends; yields a client for it."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    stop = asyncio.Event()
    running = asyncio.create_task(serve_until(stop, GatewaySettings(target=target, **settings), listener))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            await await_until(lambda: answers_at_all(client), what="the gateway answers")
            yield client
    finally:
        stop.set()
        await asyncio.wait_for(running, 5)


async def answers_at_all(client: httpx.AsyncClient) -> bool:
    """Whether a gateway is there, ready or not."""
    try:
        return (await client.get("/healthz")).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
async def taskstate() -> AsyncIterator[MemoryTaskState]:
    """The TaskState behind the gateway."""
    fake = MemoryTaskState()
    async with serving(fake) as port:
        fake.port = port
        yield fake


@pytest.fixture
async def gateway(taskstate: MemoryTaskState) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway in front of it, once the gateway is ready."""
    async with running_gateway(f"127.0.0.1:{taskstate.port}") as client:
        await await_until(lambda: _ready(client), what="the gateway is ready")
        yield client


async def _ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200
