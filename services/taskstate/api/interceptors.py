"""What every method has in common, wrapped once around all of them.

Handlers raise; here it becomes a status with its reason. Requests that are not messages of their type are answered
INVALID_ARGUMENT: gRPC by itself answers INTERNAL, as if the fault were ours, so the deserializer is wrapped too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError

from services.taskstate.api.errors import ApiError, abort, from_exception

log = logging.getLogger(__name__)

_OURS = "/taskstate.v1."


class _Malformed:
    """Stands for a request that could not be read."""


_MALFORMED = _Malformed()


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Turns exceptions into statuses and unreadable bytes into INVALID_ARGUMENT, for the services of this package."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler of one call."""
        handler: Any = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or not method.startswith(_OURS):
            return cast("grpc.RpcMethodHandler[Any, Any]", handler)
        make, behaviour = _kind_of(handler)
        wrap = _stream_request if handler.request_streaming else _single_request
        return cast(
            "grpc.RpcMethodHandler[Any, Any]",
            make(
                wrap(behaviour, method),
                request_deserializer=_safe(handler.request_deserializer),
                response_serializer=handler.response_serializer,
            ),
        )


def _kind_of(handler: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    if handler.unary_unary:
        return grpc.unary_unary_rpc_method_handler, handler.unary_unary
    if handler.unary_stream:
        return grpc.unary_stream_rpc_method_handler, handler.unary_stream
    return grpc.stream_stream_rpc_method_handler, handler.stream_stream


def _safe(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(received: bytes) -> Any:
        try:
            return deserialize(received)
        except DecodeError:
            return _MALFORMED

    return read


def _single_request(behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        if request is _MALFORMED:
            await abort(context, _malformed())
        return await _told(behaviour(request, context), context, method)

    return call


def _stream_request(behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def call(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        return await _told(behaviour(_readable(requests), context), context, method)

    return call


async def _readable(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        if request is _MALFORMED:
            raise _malformed()
        yield request


async def _told(call: Awaitable[Any], context: grpc.aio.ServicerContext[Any, Any], method: str) -> Any:
    try:
        return await call
    except (asyncio.CancelledError, grpc.aio.AbortError):
        raise
    except Exception as error:
        # The last place before the caller: what nobody foresaw is logged whole here, and told without detail.
        known = from_exception(error)
        if known is None:
            log.exception("an unforeseen error in %s", method, extra={"event": "internal_error", "method": method})
            known = ApiError("INTERNAL", "The service made a mistake; it is in its log.")
        await abort(context, known)


def _malformed() -> ApiError:
    return ApiError("MALFORMED_MESSAGE", "The request's bytes are not a message of the stated type.")
