"""Whatever somebody writes to Redis: nothing of it runs, nothing is imported, called or requested, no RQ worker is lost.

Two kinds of poison. Some lies under the id of a real task: the task must run as if it were not there. Some has an id of its
own: it must go away. In both cases the same RQ worker process takes the next task.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import pytest_asyncio
import redis

from services.up.embedded_redis import EmbeddedRedis
from tests.integration.worker.conftest import Stage, serving, start_workers
from tests.integration.worker.fake_taskstate import FakeTask
from tests.integration.worker.test_supervisor import rq_workers_of
from tests.support.processes import Processes
from tests.support.waiting import await_until, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUEUE = "rq:queue:default"
INTERMEDIATE = "rq:queue:default:intermediate"
MODULE = "tests.integration.worker.marked_module"
STOLEN_PICKLE = b"c" + MODULE.encode() + b"\nleave_mark\n(tR."
"""Unpickling it imports the module and calls the function; made by hand, as making it must not import it here."""


@pytest.fixture(scope="module")
def mark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that exists once anything hostile has run."""
    return tmp_path_factory.mktemp("mark") / "ran"


@pytest.fixture(scope="module")
def webhook() -> Iterator[tuple[str, list[str]]]:
    """A web server's address, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", asked
    server.shutdown()
    server.server_close()
    thread.join()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(redis_server_of_session: EmbeddedRedis, mark: Path) -> AsyncIterator[Stage]:
    """One supervisor for all cases, so that what one leaves behind meets the next."""
    redis_url = redis_server_of_session.url()
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TASKSTATE_TEST_MARK", str(mark))
        async with serving() as fake:
            with Processes() as processes:
                supervisor = start_workers(processes.start, fake, redis_url)
                await await_until(lambda: fake.live, what="a session")
                yield Stage(fake, supervisor, redis_url)
                # Not killed: however it was treated, it must still end well.
                await asyncio.to_thread(supervisor.stop)


def data(function: str, instance: object = None) -> bytes:
    """A job's data as RQ's JSON serializer writes it."""
    return zlib.compress(json.dumps([function, instance, [], {}]).encode())


CALLBACK = f"{MODULE}.leave_mark"
HASHES: dict[str, dict[str, str | bytes]] = {
    "a dotted path": {"data": data(CALLBACK)},
    "a builtin": {"data": data("builtins.eval")},
    "pickled data": {"data": zlib.compress(STOLEN_PICKLE)},
    "pickled data, not compressed": {"data": STOLEN_PICKLE},
    "pickled meta": {"meta": STOLEN_PICKLE},
    "a method of an instance": {"data": data("method", f"{MODULE}.Marked")},
    "truncated data": {"data": data(CALLBACK)[:5]},
    "a success callback": {"success_callback_name": CALLBACK, "success_callback_timeout": "60"},
    "a failure callback": {"failure_callback_name": CALLBACK, "failure_callback_timeout": "60"},
    "a stopped callback": {"stopped_callback_name": CALLBACK, "stopped_callback_timeout": "60"},
    "webhooks": {"webhooks": ""},  # Filled in by the test, which knows the address.
    "repeats": {"repeats_left": "3", "repeat_intervals": "[0]"},
    "retries": {"retries_left": "3", "retry_intervals": "[0]"},
    "a time-out of 1 s": {"timeout": "1"},
    "a time-out that is none": {"timeout": "soon"},
    "a date that is none": {"created_at": "yesterday", "enqueued_at": "\x00"},
    "a status that is none": {"status": "on fire"},
    "dependencies that are no JSON": {"dependency_ids": "[", "allow_dependency_failures": "maybe"},
    "bytes that are no UTF-8": {"description": b"\xff\xfe", "origin": b"\xff"},
    "nothing": {},
}


@pytest.mark.parametrize("poison", HASHES)
async def test_a_tasks_message_runs_the_task_whatever_its_hash_says(
    stage: Stage, mark: Path, webhook: tuple[str, list[str]], poison: str
) -> None:
    address, asked = webhook
    fields = dict(HASHES[poison])
    if "webhooks" in fields:
        hook = {"url": address, "method": "GET", "statuses": ["finished", "failed", "started"]}
        fields["webhooks"] = json.dumps([hook])
    [rq_worker] = rq_workers_of(stage.supervisor)
    # Longer than the time-out of one case, which must not cut it.
    seconds = 1.2 if "timeout" in fields else 0.05
    task = FakeTask("canary", {"seconds": seconds, "steps": 1})
    stage.fake.tasks[task.task_id] = task
    with stage.redis() as client:
        if fields:
            client.hset(f"rq:job:{task.job_id}", mapping=fields)  # type: ignore[arg-type]
        client.rpush(QUEUE, task.job_id)

    await stage.fake.ended(task)
    assert task.bodies("finish")[0].result
    assert task.order.count("finish") == 1
    await _is_clean(stage, rq_worker, mark, asked)


async def test_a_string_where_the_hash_should_be(stage: Stage, mark: Path, webhook: tuple[str, list[str]]) -> None:
    [rq_worker] = rq_workers_of(stage.supervisor)
    task = FakeTask("canary", {"seconds": 0, "steps": 1})
    stage.fake.tasks[task.task_id] = task
    with stage.redis() as client:
        client.set(f"rq:job:{task.job_id}", "not a hash")
        client.rpush(QUEUE, task.job_id)
    await stage.fake.ended(task)
    await _is_clean(stage, rq_worker, mark, webhook[1])


UNKNOWN = str(uuid.UUID(int=7))
IDS: dict[str, bytes] = {
    "a forged id": f"{UNKNOWN}_1".encode(),
    "a plain RQ id": b"0f0f0f0f-0000-0000-0000-000000000000",
    "a dotted path": CALLBACK.encode(),
    "not UTF-8": b"\xff\xfe\x00",
    "empty": b"",
    "a megabyte": b"x" * 1_000_000,
    "line ends and terminal controls": b"\r\n\x1b[2Jx",
    "an upper-case UUID": b"0F0F0F0F-0000-0000-0000-000000000000_1",
    "dispatch zero": f"{UNKNOWN}_0".encode(),
    "a negative dispatch": f"{UNKNOWN}_-1".encode(),
    "a dispatch beyond 32 bits": f"{UNKNOWN}_99999999999".encode(),
    "digits of another script": f"{UNKNOWN}_٣".encode(),
    "a line end behind a good id": f"{UNKNOWN}_1\n".encode(),
    "an execution's key": f"{UNKNOWN}_1:0f0f".encode(),
}


@pytest.mark.parametrize("poison", IDS)
async def test_an_id_that_is_no_tasks_goes_away(
    stage: Stage, mark: Path, webhook: tuple[str, list[str]], poison: str
) -> None:
    [rq_worker] = rq_workers_of(stage.supervisor)
    with stage.redis() as client:
        client.hset(b"rq:job:" + IDS[poison], mapping={"data": data(CALLBACK)})
        client.rpush(QUEUE, IDS[poison])
    await stage.fake.ended(stage.canary(seconds=0, steps=1))
    await _is_clean(stage, rq_worker, mark, webhook[1])


ORDERS: dict[str, Callable[[redis.Redis], object]] = {
    "shutdown command": lambda client: [
        client.publish(f"rq:pubsub:{key.decode().rpartition(':')[2]}", '{"command": "shutdown"}')
        for key in client.smembers("rq:workers")
    ],
    "suspension": lambda client: client.set("rq:suspended", 1),
    "poison in the intermediate list": lambda client: client.rpush(INTERMEDIATE, b"\xff", CALLBACK),
    # It registers itself a moment after it is in session.
    "the worker's own hash gone": lambda client: client.delete(*wait_until(lambda: client.smembers("rq:workers"))),
}


@pytest.mark.parametrize("order", ORDERS)
async def test_nobody_on_redis_commands_an_rq_worker(
    stage: Stage, mark: Path, webhook: tuple[str, list[str]], order: str
) -> None:
    [rq_worker] = rq_workers_of(stage.supervisor)
    with stage.redis() as client:
        ORDERS[order](client)
    await stage.fake.ended(stage.canary(seconds=0, steps=1))
    with stage.redis() as client:
        client.delete("rq:suspended", INTERMEDIATE)
    await _is_clean(stage, rq_worker, mark, webhook[1])


@pytest.mark.parametrize("key", [QUEUE, INTERMEDIATE])
async def test_a_key_of_another_type_is_waited_out(
    stage: Stage, mark: Path, webhook: tuple[str, list[str]], key: str
) -> None:
    [rq_worker] = rq_workers_of(stage.supervisor)
    before = len(stage.supervisor.events("redis_away"))
    with stage.redis() as client:
        client.set(key, "not a list")
        if key == INTERMEDIATE:
            # Only a message that is to be moved there meets it.
            client.rpush(QUEUE, f"{UNKNOWN}_1")
        # The wait that is under way began with a good key; the next one meets the bad one.
        for row in client.client_list():
            if row["cmd"] == "blmove":
                client.client_unblock(int(row["id"]))
        await await_until(lambda: len(stage.supervisor.events("redis_away")) > before)
        client.delete(key)
    await stage.fake.ended(stage.canary(seconds=0, steps=1))
    await _is_clean(stage, rq_worker, mark, webhook[1])


async def test_the_poison_would_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pickle above really imports and calls; else the cases that use it would prove nothing."""
    monkeypatch.setenv("TASKSTATE_TEST_MARK", str(tmp_path / "ran"))
    pickle.loads(STOLEN_PICKLE)
    assert (tmp_path / "ran").read_text() == "ran"


async def _is_clean(stage: Stage, rq_worker: int, mark: Path, asked: list[str]) -> None:
    """The queue is empty, nothing ran, nobody was asked, and the same RQ worker is there."""
    with stage.redis() as client:
        await await_until(
            lambda: client.type(QUEUE) == b"none" and client.type(INTERMEDIATE) == b"none", what="an empty queue"
        )
    assert not mark.exists()
    assert asked == []
    assert rq_workers_of(stage.supervisor) == [rq_worker]
    assert stage.supervisor.events("rq_worker_ended") == []
