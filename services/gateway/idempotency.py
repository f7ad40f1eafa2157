"""The idempotency key of a create: a field of the body, or the header that many clients know."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Final

from services.gateway.errors import invalid_field
from services.gateway.requests import REQUEST_ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER: Final = "Idempotency-Key"


def request_id_of(in_body: str | None, in_headers: Sequence[str]) -> str:
    """Answer the create's key; a new one where the client gave none.

    With a key of its own the gateway may repeat a create whose answer was lost. Raises RefusedError (400) for a header
    that is no key, or that says otherwise than the body.
    """
    if len(in_headers) > 1:
        raise invalid_field(HEADER, "may be given once")
    if in_headers and not re.fullmatch(REQUEST_ID_PATTERN, in_headers[0]):
        raise invalid_field(HEADER, "must be 1 to 128 printable ASCII characters without spaces")
    if in_headers and in_body is not None and in_headers[0] != in_body:
        raise invalid_field("request_id", f"differs from the header {HEADER}; give one of them")
    if in_headers:
        return in_headers[0]
    return in_body if in_body is not None else f"gateway-{uuid.uuid4()}"
