"""The door: every field of every request is checked here, all mistakes of a request are told at once.

What passes is safe for PostgreSQL and JSON: no NUL, no lone surrogates (protobuf has none), finite numbers, times that
fit. So an SQLSTATE of class 22 or 23 behind this door is our own mistake.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from services.taskstate.api.errors import ApiError

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 500
PAYLOAD_BYTES_MAX = 64 * 1024
RESULT_BYTES_MAX = 512 * 1024
ERROR_BYTES_MAX = 64 * 1024
MESSAGE_BYTES_MAX = 1024
LOG_LINE_BYTES_MAX = 8 * 1024
JSON_DEPTH_MAX = 16
NAME_CHARACTERS_MAX = 200
TIMEOUT_MAX_S = 30 * 24 * 3600.0
TOKEN_MAX = 2**63 - 1
SEQUENCE_MAX = 2**53
COUNT_MAX = 2**53

_TASK_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TYPE = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_QUEUE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_PHASE_ID = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+){0,7}")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_STRINGS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKETS = re.compile(r"[][{}]")
_FIRST_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_TIME = datetime(9999, 12, 31, tzinfo=UTC)


class Checker:
    """Collects what is wrong with a request; `done()` tells it, if anything is."""

    def __init__(self, prefix: str = "") -> None:
        self.violations: list[tuple[str, str]] = []
        self._prefix = prefix

    def wrong(self, field: str, description: str) -> None:
        """Note one mistake: the field, and what would be right."""
        self.violations.append((self._prefix + field, description))

    def done(self) -> None:
        """Raise ApiError if anything is wrong."""
        if not self.violations:
            return
        field, description = self.violations[0]
        more = f" (and {len(self.violations) - 1} more)" if len(self.violations) > 1 else ""
        raise ApiError("INVALID_FIELD", f"{field}: {description}{more}", {"field": field}, self.violations)

    def task_id(self, field: str, value: str, required: bool = True) -> str:
        """A task's id in its one form."""
        if (value or required) and not _TASK_ID.fullmatch(value):
            self.wrong(field, "must be a lower-case UUID such as 0190b6f2-1c1e-7c5e-8d0e-2f6a3b9c4d5e")
        return value

    def type_name(self, field: str, value: str, required: bool = True) -> str:
        """A task type's name."""
        if (value or required) and not _TYPE.fullmatch(value):
            self.wrong(field, "must match [a-z][a-z0-9_.]{0,63}, for example run_agent")
        return value

    def queue(self, field: str, value: str, required: bool = False) -> str:
        """A queue's name."""
        if (value or required) and not _QUEUE.fullmatch(value):
            self.wrong(field, "must match [a-z0-9][a-z0-9_.-]{0,63}, for example default")
        return value

    def phase_id(self, field: str, value: str, required: bool = True) -> str:
        """A phase's id; dots make sub-phases."""
        if (value or required) and (not _PHASE_ID.fullmatch(value) or len(value) > 128):
            self.wrong(
                field, "must be words of [a-z0-9_] joined by dots, at most 128 characters, for example fetch.media"
            )
        return value

    def request_id(self, field: str, value: str) -> str:
        """An idempotency key."""
        if value and not _REQUEST_ID.fullmatch(value):
            self.wrong(field, "must be 1 to 128 printable ASCII characters without spaces, best a new UUID")
        return value

    def text(self, field: str, value: str, characters_max: int, required: bool = False) -> str:
        """A person's text."""
        if required and not value:
            self.wrong(field, "must not be empty")
        if len(value) > characters_max:
            self.wrong(field, f"must have at most {characters_max} characters, has {len(value)}")
        return self._no_nul(field, value)

    def label(self, field: str, value: str, characters_max: int, required: bool = False) -> str:
        """A text of one line, as names and groups are."""
        self.text(field, value, characters_max, required)
        if any(ord(character) < 32 or ord(character) == 127 for character in value if character != "\0"):
            self.wrong(field, "must not contain control characters")
        return value

    def bytes_at_most(self, field: str, value: str, bytes_max: int) -> str:
        """A text whose size counts as it is stored."""
        size = len(value.encode())
        if size > bytes_max:
            self.wrong(field, f"must be at most {bytes_max} bytes of UTF-8, is {size}")
        return self._no_nul(field, value)

    def one_of(self, field: str, value: int, allowed: Sequence[int], names: Any) -> int:
        """An enum's value, which must be a known and a meaningful one."""
        if value not in allowed:
            listed = ", ".join(names.Name(number) for number in allowed)
            self.wrong(field, f"must be one of {listed}")
        return value

    def number(self, field: str, value: float, low: float, high: float) -> float:
        """A finite number in a range."""
        if not math.isfinite(value) or not low <= value <= high:
            self.wrong(field, f"must be a finite number from {low:g} to {high:g}")
        return value

    def integer(self, field: str, value: int, low: int, high: int) -> int:
        """A whole number in a range."""
        if not low <= value <= high:
            self.wrong(field, f"must be from {low} to {high}")
        return value

    def duration(self, field: str, value: Duration, low_s: float = 0.001, high_s: float = TIMEOUT_MAX_S) -> float:
        """A span, in seconds."""
        # A negative span is refused whatever its nanos, so only those that a span from zero on may have are good ones.
        seconds = value.seconds + value.nanos / 1e9 if 0 <= value.nanos < 1_000_000_000 else math.nan
        if not low_s <= seconds <= high_s:
            self.wrong(field, f"must be a duration from {low_s:g} s to {high_s:g} s")
            return low_s
        return seconds

    def timestamp(self, field: str, value: Timestamp) -> datetime:
        """A time from 1970 to 9999, in UTC."""
        in_range = 0 <= value.nanos < 1_000_000_000 and 0 <= value.seconds <= int(_LAST_TIME.timestamp())
        if not in_range:
            self.wrong(field, "must be a time from 1970-01-01 to 9999-12-31 with nanos from 0 to 999999999")
            return _FIRST_TIME
        return _FIRST_TIME + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)

    def page_size(self, value: int) -> int:
        """How many items a page holds at most."""
        if value < 0:
            self.wrong("page_size", "must not be negative; 0 asks for the default of 50")
            return PAGE_SIZE_DEFAULT
        return min(value or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)

    def json_object(self, field: str, value: str) -> str:
        """A JSON object as text; kept exactly as given."""
        if not value:
            return "{}"
        before = len(self.violations)
        self.bytes_at_most(field, value, PAYLOAD_BYTES_MAX)
        parsed = self.json(field, value) if len(self.violations) == before else None
        if len(self.violations) == before and not isinstance(parsed, dict):
            self.wrong(field, 'must be a JSON object such as {"seconds": 5}')
        return value

    def json(self, field: str, value: str) -> Any:
        """Any JSON value as text, of a depth that everybody can read. Answers what it means."""
        try:
            # Depth first: Python's reader ends deep nesting with a RecursionError of its own.
            if _depth(value) > JSON_DEPTH_MAX:
                self.wrong(field, f"must be at most {JSON_DEPTH_MAX} levels deep")
                return None
            parsed = json.loads(
                value,
                parse_constant=_no_constant,
                object_pairs_hook=_no_doubles,
                parse_int=_same,
                parse_float=_finite,
            )
        except ValueError as error:
            self.wrong(field, f"must be JSON text: {error}")
            return None
        if "\\u" in value and _has_unstorable(parsed):
            self.wrong(field, "must not contain the character NUL or lone surrogates, escaped or not")
        return parsed

    def _no_nul(self, field: str, value: str) -> str:
        if "\0" in value:
            self.wrong(field, "must not contain the character NUL")
        return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _same(digits: str) -> str:
    """Whole numbers are not read, only kept: a million digits would take Python long, and we need none of them."""
    return digits


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is beyond the range of a double")
    return number


def _depth(value: str) -> int:
    """How deep the brackets outside of strings stand; the strings are cut out first, in one pass of the regex engine."""
    deepest = depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub("", value)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _has_unstorable(parsed: Any) -> bool:
    if isinstance(parsed, str):
        return any(character == "\0" or "\ud800" <= character <= "\udfff" for character in parsed)
    if isinstance(parsed, dict):
        return any(_has_unstorable(name) or _has_unstorable(value) for name, value in parsed.items())
    return isinstance(parsed, list) and any(map(_has_unstorable, parsed))
