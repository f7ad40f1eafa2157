"""Bad input over HTTP: the stated status, the one shape, the field named, TaskState never asked, never a 5xx."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from taskstate.v1 import task_service_pb2 as api

from services.gateway.answers import Error
from tests.integration.gateway.conftest import running_gateway
from tests.support.memory_taskstate import MemoryTaskState, serving

# One gateway for all of them: nothing here changes anything, which the fixture below checks.
pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"Content-Type": "application/json"}
ID = "00000000-0000-4000-8000-000000000000"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def parts() -> AsyncIterator[tuple[httpx.AsyncClient, MemoryTaskState]]:
    fake = MemoryTaskState()
    async with serving(fake) as port, running_gateway(f"127.0.0.1:{port}") as client:
        fake.port = port
        yield client, fake


@pytest.fixture
def gateway(parts: tuple[httpx.AsyncClient, MemoryTaskState]) -> httpx.AsyncClient:
    return parts[0]


@pytest.fixture
def taskstate(parts: tuple[httpx.AsyncClient, MemoryTaskState]) -> MemoryTaskState:
    parts[1].requests.clear()
    parts[1].actors.clear()
    return parts[1]


def error_of(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json", response.text
    Error.model_validate(response.json())
    return response.json()["error"]


BODIES = {
    "not JSON": (b"{type: 1}", "MALFORMED_JSON"),
    "cut off": (b'{"type": "can', "MALFORMED_JSON"),
    "two values": (b'{"type": "canary"} {}', "MALFORMED_JSON"),
    "empty": (b"", "MALFORMED_JSON"),
    "white space": (b"  \n", "MALFORMED_JSON"),
    "not UTF-8": (b'{"type": "can\xff"}', "MALFORMED_JSON"),
    "UTF-16": ('{"type": "canary"}'.encode("utf-16"), "MALFORMED_JSON"),
    "byte order mark": (b'\xef\xbb\xbf{"type": "canary"}', "MALFORMED_JSON"),
    "duplicate key": (b'{"type": "canary", "type": "run_agent"}', "MALFORMED_JSON"),
    "duplicate key deep": (b'{"type": "canary", "payload": {"a": [{"b": 1, "b": 1}]}}', "MALFORMED_JSON"),
    "NaN": (b'{"type": "canary", "payload": {"a": NaN}}', "MALFORMED_JSON"),
    "Infinity": (b'{"type": "canary", "priority": -Infinity}', "MALFORMED_JSON"),
    "infinite float": (b'{"type": "canary", "payload": {"a": 1e400}}', "MALFORMED_JSON"),
    "a million digits": (b'{"type": "canary", "payload": {"a": ' + b"9" * 900_000 + b"}}", "MALFORMED_JSON"),
    "beyond 64 bits": (b'{"type": "canary", "payload": {"a": 18446744073709551616}}', "MALFORMED_JSON"),
    "nested 100,000 deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "MALFORMED_JSON"),
    "lists 100,000 deep": (
        b'{"type":"canary","payload":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        "MALFORMED_JSON",
    ),
    "lone surrogate": (b'{"type": "canary", "name": "\\ud800"}', "MALFORMED_JSON"),
    "lone surrogate in a key": (b'{"type": "canary", "payload": {"\\udfff": 1}}', "MALFORMED_JSON"),
    "NUL": (b'{"type": "canary", "payload": {"a": "x\\u0000"}}', "MALFORMED_JSON"),
    "an array": (b'[{"type": "canary"}]', "INVALID_FIELD"),
    "a string": (b'"canary"', "INVALID_FIELD"),
    "null": (b"null", "INVALID_FIELD"),
    "a number": (b"5", "INVALID_FIELD"),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", ["/api/v2/tasks", "/api/v2/agent/start"])
async def test_bodies_that_are_not_json_as_we_take_it(
    gateway: httpx.AsyncClient, taskstate: MemoryTaskState, path: str, name: str
):
    body, reason = BODIES[name]
    response = await gateway.post(path, content=body, headers=JSON)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["code"], error["reason"]) == ("INVALID_ARGUMENT", reason)
    assert error["fields"][0]["field"] == "body"
    assert not taskstate.requests_of(api.CreateTaskRequest)


NAN = float("nan")
FIELDS: list[tuple[dict[str, Any], str]] = [
    ({}, "type"),
    ({"type": None}, "type"),
    ({"type": 5}, "type"),
    ({"type": ""}, "type"),
    ({"type": "os.system("}, "type"),
    ({"type": "../x"}, "type"),
    ({"type": "Canary"}, "type"),
    ({"type": "canary\n"}, "type"),
    ({"type": "c" * 65}, "type"),
    ({"type": ["canary"]}, "type"),
    ({"queue": ""}, "queue"),
    ({"queue": "a b"}, "queue"),
    ({"queue": "q" * 65}, "queue"),
    ({"payload": []}, "payload"),
    ({"payload": "{}"}, "payload"),
    ({"payload": None}, "payload"),
    ({"payload": {"a": "x" * 70_000}}, "payload"),
    ({"payload": {"a": "ä" * 33_000}}, "payload"),
    ({"request_id": ""}, "request_id"),
    ({"request_id": "x" * 129}, "request_id"),
    ({"request_id": "a\r\nb"}, "request_id"),
    ({"request_id": "a b"}, "request_id"),
    ({"request_id": "ä"}, "request_id"),
    ({"request_id": 7}, "request_id"),
    ({"group": "g" * 129}, "group"),
    ({"group": "a\tb"}, "group"),
    ({"group": None}, "group"),
    ({"name": "n" * 201}, "name"),
    ({"name": "a\nb"}, "name"),
    ({"job_type": "j" * 51}, "job_type"),
    ({"trigger_source": "t" * 101}, "trigger_source"),
    ({"priority": 11}, "priority"),
    ({"priority": -11}, "priority"),
    ({"priority": 1.5}, "priority"),
    ({"priority": "1"}, "priority"),
    ({"priority": True}, "priority"),
    ({"timeout_seconds": 0}, "timeout_seconds"),
    ({"timeout_seconds": -1}, "timeout_seconds"),
    ({"timeout_seconds": 2_592_001}, "timeout_seconds"),
    ({"timeout_seconds": "60"}, "timeout_seconds"),
    ({"stall_timeout_seconds": 0}, "stall_timeout_seconds"),
    ({"max_attempts": 0}, "max_attempts"),
    ({"max_attempts": 101}, "max_attempts"),
    ({"retry_on_loss": 1}, "retry_on_loss"),
    ({"retry_on_loss": "true"}, "retry_on_loss"),
    ({"not_before_time": "tomorrow"}, "not_before_time"),
    ({"not_before_time": "2026-11-23"}, "not_before_time"),
    ({"not_before_time": "2026-11-23T17:00:00"}, "not_before_time"),
    ({"not_before_time": "2026-02-30T17:00:00Z"}, "not_before_time"),
    ({"not_before_time": "1969-12-31T23:59:59Z"}, "not_before_time"),
    ({"not_before_time": "9999-12-31T23:59:59-01:00"}, "not_before_time"),
    ({"not_before_time": "10000-01-01T00:00:00Z"}, "not_before_time"),
    ({"not_before_time": 1_800_000_000}, "not_before_time"),
    ({"timeout": 60}, "timeout"),
    ({"task_id": ID}, "task_id"),
    ({"__proto__": {}}, "__proto__"),
    ({"x" * 5000: 1}, "x" * 97 + "..."),
]


@pytest.mark.parametrize(("wrong", "field"), FIELDS)
async def test_fields_of_a_create(
    gateway: httpx.AsyncClient, taskstate: MemoryTaskState, wrong: dict[str, Any], field: str
):
    body = {"type": "canary", **wrong} if wrong else {}
    response = await gateway.post("/api/v2/tasks", json=body)
    assert response.status_code == 400, response.text
    error = error_of(response)
    assert error["reason"] == "INVALID_FIELD"
    assert [each["field"] for each in error["fields"]] == [field]
    assert field in error["message"]
    assert error["fields"][0]["description"]
    assert not taskstate.requests_of(api.CreateTaskRequest)


async def test_payloads_up_to_16_levels_deep_are_taken(gateway: httpx.AsyncClient):
    deep: Any = 1
    for _ in range(15):
        deep = {"a": deep}
    assert (await gateway.post("/api/v2/tasks", json={"type": "canary", "payload": {"a": deep}})).status_code == 202
    response = await gateway.post("/api/v2/tasks", json={"type": "canary", "payload": {"a": {"a": deep}}})
    assert response.status_code == 400
    assert error_of(response)["fields"][0]["field"] == "payload"


async def test_all_wrong_fields_are_told_together(gateway: httpx.AsyncClient):
    response = await gateway.post("/api/v2/tasks", json={"type": "?", "priority": 99, "nme": "x"})
    assert {each["field"] for each in error_of(response)["fields"]} == {"type", "priority", "nme"}


@pytest.mark.parametrize(
    "wrong", [{"preferences": []}, {"job_type": 5}, {"type": "canary"}, {"preference": {}}, {"queue": "agent"}]
)
async def test_fields_of_an_agent_start(gateway: httpx.AsyncClient, wrong: dict[str, Any]):
    response = await gateway.post("/api/v2/agent/start", json=wrong)
    assert response.status_code == 400
    assert [each["field"] for each in error_of(response)["fields"]] == list(wrong)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json; charset=latin-1",
        "text/json",
    ],
)
async def test_bodies_not_declared_as_json(gateway: httpx.AsyncClient, content_type: str | None):
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = await gateway.post("/api/v2/tasks", content=b'{"type": "canary"}', headers=headers)
    assert response.status_code == 415
    assert error_of(response)["fields"][0]["field"] == "Content-Type"


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON;charset=UTF-8", 'application/json; charset="utf-8"']
)
async def test_bodies_declared_as_json(gateway: httpx.AsyncClient, content_type: str):
    response = await gateway.post("/api/v2/tasks", content=b'{"type":"canary"}', headers={"Content-Type": content_type})
    assert response.status_code == 202


async def test_bodies_over_a_mebibyte(gateway: httpx.AsyncClient):
    async def chunks():
        for _ in range(40):
            yield b" " * 65_536

    for content in (b" " * 1_100_000, chunks()):
        response = await gateway.post("/api/v2/tasks", content=content, headers=JSON)
        assert response.status_code == 413
        assert error_of(response)["reason"] == "BODY_TOO_LARGE"


QUERIES = [
    ("/api/v2/tasks", "limit=-1", "limit"),
    ("/api/v2/tasks", "limit=0", "limit"),
    ("/api/v2/tasks", "limit=501", "limit"),
    ("/api/v2/tasks", "limit=1e9", "limit"),
    ("/api/v2/tasks", "limit=abc", "limit"),
    ("/api/v2/tasks", "limit=", "limit"),
    ("/api/v2/tasks", "limit=%205", "limit"),
    ("/api/v2/tasks", "limit=5.0", "limit"),
    ("/api/v2/tasks", "limit=1_0", "limit"),
    ("/api/v2/tasks", "limit=%D9%A3", "limit"),
    ("/api/v2/tasks", "limit=5&limit=6", "limit"),
    ("/api/v2/tasks", "limit=99999999999999999999999", "limit"),
    ("/api/v2/tasks", "offset=-1", "offset"),
    ("/api/v2/tasks", "offset=10001", "offset"),
    ("/api/v2/tasks", "offset=1&page_token=x", "offset"),
    ("/api/v2/tasks", "status=asleep", "status"),
    ("/api/v2/tasks", "status=Running", "status"),
    ("/api/v2/tasks", "status=running,failed", "status"),
    ("/api/v2/tasks", "type=../x", "type"),
    ("/api/v2/tasks", "queue=a%20b", "queue"),
    ("/api/v2/tasks", "queue=a&queue=b", "queue"),
    ("/api/v2/tasks", "since=yesterday", "since"),
    ("/api/v2/tasks", "until=2026-11-23T17:00:00", "until"),
    ("/api/v2/tasks", "text=", "text"),
    ("/api/v2/tasks", "text=" + "x" * 201, "text"),
    ("/api/v2/tasks", "text=a%00b", "text"),
    ("/api/v2/tasks", "text=%FF%FE", "text"),
    ("/api/v2/tasks", "group=a%0Ab", "group"),
    ("/api/v2/tasks", "order=upwards", "order"),
    ("/api/v2/tasks", "page_token=" + "x" * 5000, "page_token"),
    ("/api/v2/tasks", "colour=red", "query"),
    ("/api/v2/tasks", "LIMIT=5", "query"),
    ("/api/v2/jobs/history", "limit=1000", "limit"),
    ("/api/v2/jobs/history", "group=agent", "query"),
    ("/api/v2/agent/active", "group=other", "query"),
    ("/healthz", "x=1", "query"),
    (f"/api/v2/tasks/{ID}", "verbose=1", "query"),
    (f"/api/v2/tasks/{ID}/events", "limit=x", "limit"),
    (f"/api/v2/tasks/{ID}/logs", "after_sequence=-1", "after_sequence"),
    (f"/api/v2/tasks/{ID}/logs", "after_sequence=9223372036854775808", "after_sequence"),
    (f"/api/v2/tasks/{ID}/logs", "attempt=0", "attempt"),
    (f"/api/v2/tasks/{ID}/logs", "level=LOUD", "level"),
    ("/api/v2/stream", "task_id=abc", "task_id"),
    ("/api/v2/stream", "type=A", "type"),
    ("/api/v2/stream", "group=", "group"),
    ("/api/v2/stream", "from_revision=-1", "from_revision"),
    ("/api/v2/stream", "from_revision=x", "from_revision"),
    ("/api/v2/stream", "from_revision=9223372036854775808", "from_revision"),
    ("/api/v2/stream", "logs=1", "logs"),
    ("/api/v2/stream", "state=running", "query"),
]


@pytest.mark.parametrize(("path", "query", "field"), QUERIES)
async def test_query_parameters(
    gateway: httpx.AsyncClient, taskstate: MemoryTaskState, path: str, query: str, field: str
):
    asked = len(taskstate.requests)
    response = await gateway.get(f"{path}?{query}")
    assert response.status_code == 400, response.text
    error = error_of(response)
    assert {each["field"] for each in error["fields"]} == {field}
    assert len(taskstate.requests) == asked


@pytest.mark.parametrize("task_id", ["abc", ID.replace("0", "A"), f"{{{ID}}}", "0" * 5000, ID + "%0A", "%00", ID[:-1]])
@pytest.mark.parametrize("path", ["/api/v2/tasks/{}", "/api/v2/agent/status/{}", "/api/v2/tasks/{}/events"])
async def test_ids_that_are_none(gateway: httpx.AsyncClient, path: str, task_id: str):
    response = await gateway.get(path.format(task_id))
    assert response.status_code == 400
    assert error_of(response)["fields"][0]["field"] == "task_id"


@pytest.mark.parametrize("path", ["tasks/{}", "agent/status/{}", "tasks/{}/events", "tasks/{}/logs"])
async def test_unknown_ids(gateway: httpx.AsyncClient, path: str):
    response = await gateway.get(f"/api/v2/{path.format(ID)}")
    assert response.status_code == 404
    assert error_of(response)["reason"] == "TASK_NOT_FOUND"


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/api/v2/tasks/",
        "/api/v2/tasks/..%2f..%2fetc/passwd",
        "/static/..%2fsettings.py",
        "/static/%2e%2e/settings.py",
        "/docs/../settings.py",
        "/static//etc/passwd",
        "/static/landing.js%00.html",
        "/docs/swagger-ui-bundle.js.map",
        "/api/v1/tasks/cancel",
        "/api/v1/tasks/cancel/x/y",
    ],
)
async def test_paths_that_lead_nowhere(gateway: httpx.AsyncClient, path: str):
    response = await gateway.send(
        httpx.Request("GET", httpx.URL(str(gateway.base_url)).copy_with(raw_path=path.encode()))
    )
    assert response.status_code == 404
    assert error_of(response)["reason"] == "ROUTE_NOT_FOUND"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/api/v2/tasks", "GET, HEAD, POST, OPTIONS"),
        ("DELETE", f"/api/v2/tasks/{ID}", "GET, HEAD, OPTIONS"),
        ("GET", "/api/v2/agent/start", "POST, OPTIONS"),
        ("GET", "/api/v2/agent/stop", "POST, OPTIONS"),
        ("DELETE", "/api/v2/agent/stop", "POST, OPTIONS"),
        ("GET", f"/api/v1/tasks/cancel/{ID}?force=true", "POST, OPTIONS"),
        ("PUT", f"/api/v1/tasks/cancel/{ID}", "POST, OPTIONS"),
        ("POST", "/api/v2/stream", "GET, HEAD, OPTIONS"),
        ("HEAD", "/api/v2/agent/start", "POST, OPTIONS"),
        ("TRACE", "/healthz", "GET, HEAD, OPTIONS"),
    ],
)
async def test_methods_a_path_does_not_take(gateway: httpx.AsyncClient, method: str, path: str, allow: str):
    response = await gateway.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allow
    if method != "HEAD":
        assert error_of(response)["reason"] == "METHOD_NOT_ALLOWED"


async def test_head_is_get_without_its_body(gateway: httpx.AsyncClient):
    for path in ("/healthz", "/api/v2/tasks", "/docs", "/api/v2/stream"):
        head = await gateway.head(path)
        assert head.status_code == 200
        assert head.content == b""
    assert (await gateway.head("/api/v2/stream")).headers["content-type"].startswith("text/event-stream")


async def test_options_tells_what_a_path_takes_and_nothing_to_other_origins(gateway: httpx.AsyncClient):
    for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        preflight = {**origin, "Access-Control-Request-Method": "POST"}
        response = await gateway.options("/api/v2/tasks", headers=preflight)
        assert response.status_code == 204
        assert response.headers["allow"] == "GET, HEAD, POST, OPTIONS"
        assert not [name for name in response.headers if name.startswith("access-control")]
    assert (await gateway.options("/nothing")).status_code == 404


async def test_configured_origins_are_answered_exactly(taskstate: MemoryTaskState):
    origin = "https://app.example.org"
    async with running_gateway(f"127.0.0.1:{taskstate.port}", cors_origins=(origin,)) as client:
        preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = await client.options("/api/v2/tasks", headers=preflight)
        assert answer.headers["access-control-allow-origin"] == origin
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "access-control-allow-credentials" not in answer.headers
        simple = await client.get("/healthz", headers={"Origin": origin})
        assert simple.headers["access-control-allow-origin"] == origin
        for other in ("null", "https://app.example.org.evil.example", "http://app.example.org", "*"):
            refused = await client.get("/healthz", headers={"Origin": other})
            assert "access-control-allow-origin" not in refused.headers
            assert "Origin" in refused.headers["vary"]


async def test_configured_host_names_only(taskstate: MemoryTaskState):
    async with running_gateway(
        f"127.0.0.1:{taskstate.port}", allowed_hosts=("127.0.0.1", "tasks.example.org")
    ) as client:
        assert (await client.get("/healthz", headers={"Host": "Tasks.example.org:80"})).status_code == 200
        for host in ("evil.example", "tasks.example.org.evil.example", ""):
            response = await client.get("/healthz", headers={"Host": host})
            assert response.status_code == 400
            assert error_of(response)["reason"] == "HOST_NOT_ALLOWED"


async def test_a_forged_forwarding_header_is_not_believed(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    forged = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    assert (await gateway.post("/api/v2/tasks", json={"type": "canary"}, headers=forged)).status_code == 202
    assert set(taskstate.actors) == {"http"}


@pytest.mark.parametrize(
    "value", ["garbage", "-1", "1,2", "0x10", "9" * 19 + "9", "9" * 10_000, "١", "9223372036854775808"]
)
async def test_last_event_ids_that_are_none(gateway: httpx.AsyncClient, value: str):
    response = await gateway.get("/api/v2/stream", headers={"Last-Event-ID": value.encode()})
    assert response.status_code == 400
    assert error_of(response)["fields"][0]["field"] == "Last-Event-ID"


@pytest.mark.parametrize(
    ("header", "body", "field"),
    [
        ("other", {"request_id": "one"}, "request_id"),
        ("x" * 129, {}, "Idempotency-Key"),
        ("", {}, "Idempotency-Key"),
        ("tab\there", {}, "Idempotency-Key"),
        ("ä", {}, "Idempotency-Key"),
    ],
)
async def test_idempotency_keys(gateway: httpx.AsyncClient, header: str, body: dict[str, Any], field: str):
    response = await gateway.post(
        "/api/v2/tasks", json={"type": "canary", **body}, headers={"Idempotency-Key": header.encode()}
    )
    assert response.status_code == 400
    error = error_of(response)
    assert error["fields"][0]["field"] == field
    assert header not in ("other", "tab\there") or header not in response.text


async def raw(client: httpx.AsyncClient, data: bytes) -> bytes:
    """Send bytes as they are, and read what comes until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    try:
        writer.write(data)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


CREATE = b"POST /api/v2/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
WIRE = {
    "length and chunks": (CREATE + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    "two lengths": (CREATE + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}", b"400"),
    "negative length": (CREATE + b"Content-Length: -5\r\n\r\n{}", b"400"),
    "chunked garbage": (CREATE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", b"400"),
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
    "line feed in a header": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\nb c\r\n\r\n", b"400"),
    "NUL in a header": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n", b"400"),
    "bytes in the path": (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
    "CONNECT": (b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
    "a large head": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", b"431"),
    "many headers": (b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 2_000 + b"\r\n", b"431"),
}


@pytest.mark.parametrize("name", WIRE)
async def test_what_is_not_a_request(gateway: httpx.AsyncClient, taskstate: MemoryTaskState, name: str):
    data, status = WIRE[name]
    answer = await raw(gateway, data)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == status, answer
    Error.model_validate(json.loads(body))
    assert not taskstate.requests_of(api.CreateTaskRequest)
    assert (await gateway.get("/healthz")).status_code == 200


async def test_heads_and_bodies_that_never_come(taskstate: MemoryTaskState):
    async with running_gateway(f"127.0.0.1:{taskstate.port}", receive_timeout_seconds=0.3) as client:
        head = await raw(client, b"GET /healthz HTTP/1.1\r\nHost:")
        assert head.split()[1] == b"408"
        body = await raw(client, CREATE + b"Content-Length: 50\r\n\r\n{")
        assert body.split()[1] == b"408"
        assert await raw(client, b"") == b""
