import httpx

from tests.support.memory_taskstate import MemoryTaskState


async def test_smoke(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    r = await gateway.post("/api/v2/tasks", json={"type": "canary", "payload": {"seconds": 1}})
    print(r.status_code, r.text)
    assert r.status_code == 202
    for path in [
        "/api/v2/tasks",
        "/api/v2/jobs/history",
        "/api/v2/agent/active",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/",
    ]:
        r = await gateway.get(path)
        print(path, r.status_code, r.text[:300])
