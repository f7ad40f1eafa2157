"""Opaque page tokens, bound to the request they were made for.

A token is the place of the page's last item and a hash of every other field of the request, so that a token of one filter
never continues another. It guards against mistakes, not against malice: it holds nothing that its bearer may not see.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import uuid

from google.protobuf.message import Message

from services.taskstate.api.errors import ApiError

_HASH_BYTES = 8
_PLACE = struct.Struct(">q")
NOT_BOUND = ("page_token", "page_size", "with_total_count")
FIRST_ID = str(uuid.UUID(int=0))
"""Where pages by id begin: below every task id."""


def make(request: Message, place: int) -> str:
    """The token that continues this request after a numbered place."""
    return _make(request, _PLACE.pack(place))


def read(request: Message, token: str) -> int | None:
    """The place a token continues from; None without a token. Raises ApiError for a token of another request."""
    place = _read(request, token, _PLACE.size)
    return None if place is None else int(_PLACE.unpack(place)[0])


def make_id(request: Message, task_id: str) -> str:
    """The token that continues this request after a task, for pages by id."""
    return _make(request, uuid.UUID(task_id).bytes)


def read_id(request: Message, token: str) -> str:
    """The task a token continues from; FIRST_ID without a token. Raises ApiError for a token of another request."""
    place = _read(request, token, 16)
    return FIRST_ID if place is None else str(uuid.UUID(bytes=place))


def _make(request: Message, place: bytes) -> str:
    return base64.urlsafe_b64encode(_hash(request) + place).decode().rstrip("=")


def _read(request: Message, token: str, size: int) -> bytes | None:
    if not token:
        return None
    try:
        read = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        read = b""
    bound, place = read[:_HASH_BYTES], read[_HASH_BYTES:]
    if bound != _hash(request) or len(place) != size:
        description = "must be the next_page_token of an answer to the same request, unchanged"
        raise ApiError(
            "INVALID_PAGE_TOKEN",
            f"page_token: {description}",
            {"field": "page_token"},
            [("page_token", description)],
        )
    return place


def _hash(request: Message) -> bytes:
    bound = type(request)()
    bound.CopyFrom(request)
    for name in NOT_BOUND:
        if name in bound.DESCRIPTOR.fields_by_name:
            bound.ClearField(name)
    named = bound.DESCRIPTOR.full_name.encode()
    return hashlib.blake2b(named + bound.SerializeToString(deterministic=True), digest_size=_HASH_BYTES).digest()
