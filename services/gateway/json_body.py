"""Request bodies, read strictly: what other parsers would read otherwise, or could not read at all, is refused.

Python's own parser takes duplicate keys (the last wins), NaN and infinities, lone surrogates, and integers of thousands of
digits. Each of these means one thing here and another, or nothing, in the next program that sees the task, so that none is
let in. The body is bounded before it is parsed, in bytes and in time.
"""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect

from services.gateway.errors import GatewayReason, RefusedError, invalid_field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

DEPTH_MAX: Final = 32
_INTEGER_MIN: Final = -(2**63)
_INTEGER_MAX: Final = 2**64 - 1
_INTEGER_DIGITS_MAX: Final = 20
# A body that is somewhat too large is read to its end and thrown away: a client that still sends would not hear us.
_DISCARD_FACTOR: Final = 8


def malformed(message: str) -> RefusedError:
    """Refuse a body that is not JSON as we take it: 400."""
    return RefusedError(400, "INVALID_ARGUMENT", GatewayReason.MALFORMED_JSON, message, [("body", message)])


async def read_json(request: Request, body_bytes_max: int, timeout_s: float) -> Any:
    """Read and parse a request's body. Raises RefusedError: 400, 408, 413 or 415."""
    check_content_type(request)
    return parse_json_strictly(await _read_in_time(request, body_bytes_max, timeout_s))


async def read_json_or_nothing(request: Request, body_bytes_max: int, timeout_s: float) -> Any:
    """The same for a route whose body may be left out, which is answered as None. A null is refused, as it is a body.

    Without a body there is no content type to keep pages of other sites out; the caller has to.
    """
    body = await _read_in_time(request, body_bytes_max, timeout_s)
    if not body:
        return None
    check_content_type(request)
    value = parse_json_strictly(body)
    if value is None:
        raise invalid_field("body", "must be a JSON object, or be left out")
    return value


async def _read_in_time(request: Request, body_bytes_max: int, timeout_s: float) -> bytes:
    try:
        async with asyncio.timeout(timeout_s):
            return await _read(request.stream(), request.headers.get("content-length"), body_bytes_max)
    except TimeoutError:
        raise RefusedError(
            408,
            "DEADLINE_EXCEEDED",
            GatewayReason.REQUEST_TIMEOUT,
            f"the body did not arrive within {timeout_s:g} s",
            headers={"Connection": "close"},
        ) from None
    except ClientDisconnect:
        # Nobody hears this answer; it ends the request without being taken for a fault of ours.
        raise malformed("the body was cut off") from None


def check_content_type(request: Request) -> None:
    """Raise RefusedError (415) unless the request says once that its body is JSON.

    This also keeps pages of other sites out: a form cannot send this type, and a script may only after a preflight.
    """
    values = request.headers.getlist("content-type")
    kind, _, parameters = values[0].partition(";") if len(values) == 1 else ("", "", "")
    charset = parameters.strip().lower().replace(" ", "").replace('"', "")
    if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise RefusedError(
            415,
            "INVALID_ARGUMENT",
            GatewayReason.UNSUPPORTED_MEDIA_TYPE,
            "Content-Type must be application/json (UTF-8)",
            [("Content-Type", "must be application/json")],
            {"Accept": "application/json"},
        )


async def _read(chunks: AsyncIterator[bytes], content_length: str | None, bytes_max: int) -> bytes:
    if content_length is not None and content_length.isdecimal() and int(content_length) > bytes_max * _DISCARD_FACTOR:
        raise _too_large(bytes_max)
    body = bytearray()
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        if received <= bytes_max:
            body += chunk
        elif received > bytes_max * _DISCARD_FACTOR:
            break
    if received > bytes_max:
        raise _too_large(bytes_max)
    return bytes(body)


def _too_large(bytes_max: int) -> RefusedError:
    # What is left of the body is not read, so that the connection is of no further use.
    return RefusedError(
        413,
        "INVALID_ARGUMENT",
        GatewayReason.BODY_TOO_LARGE,
        f"the body is larger than {bytes_max} bytes",
        [("body", f"must be at most {bytes_max} bytes")],
        {"Connection": "close"},
    )


def parse_json_strictly(body: bytes) -> Any:
    """Parse JSON that means the same everywhere. Raises RefusedError (400) for anything else."""
    if not body.strip():
        raise malformed("the body is empty; it must be a JSON object")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("the body is not UTF-8") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except json.JSONDecodeError as error:
        raise malformed(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise malformed(f"nested more than {DEPTH_MAX} levels deep") from None
    _check_values(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise malformed("an object has the same key twice")
    return result


def _refuse_constant(name: str) -> Any:
    raise malformed(f"{name} is not JSON")


def _integer(digits: str) -> int:
    # The length first: to convert a million digits would take minutes.
    if len(digits) <= _INTEGER_DIGITS_MAX:
        value = int(digits)
        if _INTEGER_MIN <= value <= _INTEGER_MAX:
            return value
    raise malformed("an integer does not fit 64 bits; send it as a string")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise malformed("a number is too large")
    return value


def _check_values(value: Any) -> None:
    """Refuse text that is not Unicode, NUL, and deep nesting, without recursion of our own."""
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                for key in item:
                    _check_text(key)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        if not below:
            return
        level = below
    raise malformed(f"nested more than {DEPTH_MAX} levels deep")


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise malformed("a text holds NUL (\\u0000)")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise malformed("a text holds half a surrogate pair") from None
