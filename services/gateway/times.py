"""RFC 3339 times as clients write them, to protobuf's timestamps."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

_RFC_3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: str) -> Timestamp:
    """Read a time with its zone, kept to the microsecond. Raises ValueError, saying what would be right."""
    wrong = ValueError("must be a time with its zone in RFC 3339, from 1970 to 9999, such as 2026-11-23T17:00:00Z")
    match = _RFC_3339.fullmatch(text)
    if not match:
        raise wrong
    try:
        # A leap second (:60) and a date like February 30 fail here; so does a zone that leads out of year 1 to 9999.
        time = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise wrong from None
    if time < _EPOCH:
        raise wrong
    span = time - _EPOCH
    return Timestamp(seconds=span.days * 86_400 + span.seconds, nanos=span.microseconds * 1000)
