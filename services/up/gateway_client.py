"""The few HTTP calls of the demo, as a user's first script would make them: standard library, JSON in and out."""

from __future__ import annotations

import http.client
import json
from typing import Any

from services.up.problem import UNAVAILABLE, CannotStartError

_TIMEOUT_S = 15.0


class GatewayClient:
    """Calls the gateway of this stack. Every call blocks for at most 15 s per step of the connection."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    def start_agent(self, preferences: dict[str, Any]) -> str:
        """POST /api/v2/agent/start; returns the new task's id."""
        body = {"preferences": preferences, "job_type": "manual"}
        return str(self._call("POST", "/api/v2/agent/start", body)["task_id"])

    def task(self, task_id: str) -> dict[str, Any]:
        """GET /api/v2/tasks/{id}: the task as one flat object."""
        return self._call("GET", f"/api/v2/tasks/{task_id}", None)

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise CannotStartError(f"The gateway did not answer {method} {path}: {error}.", UNAVAILABLE) from error
        finally:
            connection.close()
        return _object(text, response.status, f"{method} {path}")


def _object(text: str, status: int, call: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if status >= http.client.BAD_REQUEST or not isinstance(answer, dict):
        raise CannotStartError(f"The gateway answered {call} with {status}: {text[:300]}", UNAVAILABLE)
    return answer
