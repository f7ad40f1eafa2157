"""Errors of the API as one exception, for clients to branch on.

TaskStateError
    An answer other than OK. ``code`` is the canonical gRPC code and says what kind of failure it is; ``reason`` is a
    name of ``taskstate.v1.ErrorReason`` without its prefix and says which one. Branch on these, never on the message.

This module works without gRPC installed or imported, so that any part of the SDK may name the exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import grpc

DOMAIN: Final = "taskstate"
_DETAILS_KEY: Final = "grpc-status-details-bin"
_REASON_PREFIX: Final = "ERROR_REASON_"
_CANCELLED_BY_US: Final = "Locally cancelled by application!"


class TaskStateError(Exception):
    """The service answered a call with an error, or could not be reached (code UNAVAILABLE, no reason).

    ``code``: the canonical code's name, for example "NOT_FOUND".
    ``reason``: for example "TASK_NOT_FOUND"; empty when the answer did not come from the service itself.
    ``message``: for people.
    ``metadata``: every changing value of the message, by name.
    ``violations``: for bad input, each ``(field, description)``.
    """

    def __init__(
        self,
        code: str,
        reason: str,
        message: str,
        metadata: Mapping[str, str] | None = None,
        violations: Iterable[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.metadata: dict[str, str] = dict(metadata or {})
        self.violations: list[tuple[str, str]] = list(violations)

    def __str__(self) -> str:
        label = f"{self.code} {self.reason}" if self.reason else self.code
        fields = "; ".join(f"{field}: {description}" for field, description in self.violations)
        # The service's message often names the field already; saying it twice helps nobody.
        if fields and any(description not in self.message for _, description in self.violations):
            return f"{label}: {self.message} ({fields})"
        return f"{label}: {self.message}"

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed a little later (for a create: with the same request_id)."""
        return self.code == "UNAVAILABLE"


def from_rpc_error(error: grpc.RpcError) -> TaskStateError:
    """The TaskStateError that a failed call carries. Never raises: what cannot be read is left empty."""
    # What grpc raises is an RpcError and a Call in one (grpc.aio: an AioRpcError), which its types do not say.
    code = getattr(error, "code", lambda: None)()
    details = getattr(error, "details", lambda: None)()
    trailing = getattr(error, "trailing_metadata", lambda: None)()
    name = code.name if code is not None else "UNKNOWN"
    if name == "CANCELLED" and details != _CANCELLED_BY_US:
        # The service never answers this. gRPC does in its place, for calls that it drops because the server is stopping
        # or has too many waiting, and that is the same to a caller as a service that is away.
        name, details = "UNAVAILABLE", "the service stopped, or was too busy, before it took up the call"
    reason, metadata, violations = _read_details(_details_bytes(trailing))
    return TaskStateError(
        code=name,
        reason=reason,
        message=details or f"the call ended with {name} and no message",
        metadata=metadata,
        violations=violations,
    )


def _details_bytes(trailing: Sequence[tuple[str, str | bytes]] | None) -> bytes:
    for key, value in trailing or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            return value
    return b""


def _read_details(serialized: bytes) -> tuple[str, dict[str, str], list[tuple[str, str]]]:
    from google.protobuf.message import DecodeError
    from google.rpc import error_details_pb2, status_pb2

    reason = ""
    metadata: dict[str, str] = {}
    violations: list[tuple[str, str]] = []
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    try:
        for detail in status_pb2.Status.FromString(serialized).details:
            if detail.Is(info.DESCRIPTOR):
                detail.Unpack(info)
                # A proxy in between may add an ErrorInfo of its own domain; its reasons are not ours.
                if info.domain == DOMAIN:
                    reason = info.reason.removeprefix(_REASON_PREFIX)
                    metadata = dict(info.metadata)
            elif detail.Is(bad_request.DESCRIPTOR):
                detail.Unpack(bad_request)
                violations = [(v.field, v.description) for v in bad_request.field_violations]
    except DecodeError:
        # Details are an addition to code and message; broken ones must not hide those.
        return "", {}, []
    return reason, metadata, violations
