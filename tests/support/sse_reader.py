"""Server-sent events as a browser parses them: any of CR, LF and both end a line, an empty line ends an event."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass
class SseEvent:
    """One dispatched event. `id` is what the event itself carried, None if it carried none."""

    name: str
    data: Any
    id: str | None


@dataclass
class SseReader:
    """One open stream. `comments` are the comment lines so far, `last_id` is what an EventSource would resume with."""

    response: httpx.Response
    comments: list[str] = field(default_factory=list)
    last_id: str = ""

    def __post_init__(self) -> None:
        self._events = self._parse()

    async def next(self, *names: str) -> SseEvent:
        """The next event, or the next one of these names."""
        async for event in self._events:
            if not names or event.name in names:
                return event
        raise AssertionError("the stream ended")

    async def until_checkpoint(self, revision: int = 0) -> list[SseEvent]:
        """The events up to a checkpoint at or after a revision, it included."""
        events = []
        while True:
            events.append(await self.next())
            if events[-1].name == "checkpoint" and int(events[-1].data["revision"]) >= revision:
                return events

    async def _parse(self) -> AsyncIterator[SseEvent]:
        buffer = ""
        name, data, event_id = "message", [], None
        async for text in self.response.aiter_text():
            # A CR at the end may be half of a CRLF, so that the last piece always waits.
            *lines, buffer = _LINE_END.split(buffer + text)
            for line in lines:
                if line == "":
                    if data:
                        yield SseEvent(name, json.loads("\n".join(data)), event_id)
                    name, data, event_id = "message", [], None
                    continue
                key, _, value = line.partition(":")
                value = value.removeprefix(" ")
                match key:
                    case "":
                        self.comments.append(value)
                    case "event":
                        name = value
                    case "data":
                        data.append(value)
                    case "id" if "\x00" not in value:
                        event_id = self.last_id = value


@asynccontextmanager
async def open_stream(
    client: httpx.AsyncClient, query: str = "", last_event_id: str | None = None
) -> AsyncIterator[SseReader]:
    """Open `/api/v2/stream`; the answer must be a stream."""
    headers = {"Accept": "text/event-stream"} | ({} if last_event_id is None else {"Last-Event-ID": last_event_id})
    async with client.stream("GET", f"/api/v2/stream{query}", headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield SseReader(response)
