"""Pages that fit into a message: gRPC refuses one above 4 MiB, and a page of large items would be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PAGE_BYTES_MAX = 2 * 1024 * 1024


def fill(page: Any, items: Iterable[Any]) -> int:
    """Put messages into a repeated field until it is full of bytes; answers how many went in, at least one if any."""
    size = count = 0
    for item in items:
        size += item.ByteSize()
        if count and size > PAGE_BYTES_MAX:
            break
        page.append(item)
        count += 1
    return count
