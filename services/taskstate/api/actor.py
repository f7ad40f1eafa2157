"""Who asks, for the audit trail: the metadata key `taskstate-actor`."""

from __future__ import annotations

import re
from typing import Any

import grpc

from services.taskstate.api.errors import ApiError

METADATA_KEY = "taskstate-actor"
_ACTOR = re.compile(r"[\x20-\x7e]{1,128}")


def actor_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """The caller's name for the audit trail; "grpc" when it gave none. Raises ApiError for one that is none."""
    for key, value in context.invocation_metadata() or ():
        if key == METADATA_KEY:
            actor = value.decode("ascii", "replace") if isinstance(value, bytes) else value
            if not _ACTOR.fullmatch(actor):
                description = "must be 1 to 128 printable ASCII characters"
                raise ApiError(
                    "INVALID_FIELD",
                    f"metadata {METADATA_KEY}: {description}",
                    {"field": METADATA_KEY},
                    [(METADATA_KEY, description)],
                )
            return actor
    return "grpc"
