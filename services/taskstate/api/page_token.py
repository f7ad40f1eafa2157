"""Opaque page tokens, bound to the request they were made for.

A token is the place of the page's last item and a hash of every other field of the request, so that a token of one filter
never continues another. It guards against mistakes, not against malice: it holds nothing that its bearer may not see.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct

from google.protobuf.message import Message

from services.taskstate.api.errors import ApiError

_FORM = struct.Struct(">q8s")
NOT_BOUND = ("page_token", "page_size", "with_total_count")


def make(request: Message, place: int) -> str:
    """The token that continues this request after a place."""
    return base64.urlsafe_b64encode(_FORM.pack(place, _hash(request))).decode().rstrip("=")


def read(request: Message, token: str) -> int | None:
    """The place a token continues from; None without a token. Raises ApiError for a token of another request."""
    if not token:
        return None
    try:
        place, bound = _FORM.unpack(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, struct.error, ValueError):
        place, bound = 0, b""
    if bound != _hash(request) or place < 0:
        description = "must be the next_page_token of an answer to the same request, unchanged"
        raise ApiError(
            "INVALID_PAGE_TOKEN",
            f"page_token: {description}",
            {"field": "page_token"},
            [("page_token", description)],
        )
    return int(place)


def _hash(request: Message) -> bytes:
    bound = type(request)()
    bound.CopyFrom(request)
    for name in NOT_BOUND:
        if name in bound.DESCRIPTOR.fields_by_name:
            bound.ClearField(name)
    named = bound.DESCRIPTOR.full_name.encode()
    return hashlib.blake2b(named + bound.SerializeToString(deterministic=True), digest_size=8).digest()
