"""Frames on the supervisor's Unix socket: a length of four bytes, most significant first, then that many bytes.

The length is bounded, so that a broken or hostile peer costs a bounded amount of memory.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeVar

from google.protobuf.message import DecodeError, Message

if TYPE_CHECKING:
    import asyncio
    import socket

FRAME_BYTES_MAX: Final = 1024 * 1024
_LENGTH: Final = struct.Struct(">I")
LENGTH_BYTES: Final = _LENGTH.size
_RECEIVE_BYTES: Final = 64 * 1024

M = TypeVar("M", bound=Message)


class FrameError(Exception):
    """The peer sent what is no frame of this protocol; the connection is of no use any more."""


def pack(message: Message) -> bytes:
    """The message as one frame. Raises FrameError if it is larger than a frame may be."""
    body = message.SerializeToString()
    if len(body) > FRAME_BYTES_MAX:
        raise FrameError(f"a message of {len(body)} bytes is larger than {FRAME_BYTES_MAX}")
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Takes bytes as they come and gives the bodies of whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are whole now. Raises FrameError for a length beyond the bound, before anything is kept."""
        self._buffer += data
        bodies = []
        while len(self._buffer) >= LENGTH_BYTES:
            length = body_length(bytes(self._buffer[:LENGTH_BYTES]))
            end = LENGTH_BYTES + length
            if len(self._buffer) < end:
                break
            bodies.append(bytes(self._buffer[LENGTH_BYTES:end]))
            del self._buffer[:end]
        return bodies


def body_length(head: bytes) -> int:
    """The length that a frame's first four bytes announce. Raises FrameError beyond the bound."""
    (length,) = _LENGTH.unpack(head)
    if length > FRAME_BYTES_MAX:
        raise FrameError(f"a frame of {length} bytes was announced; {FRAME_BYTES_MAX} are the most")
    return int(length)


def parse(kind: type[M], body: bytes) -> M:
    """The frame's body as a message. Raises FrameError if it is none."""
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise FrameError(f"a frame is no {kind.__name__}: {error}") from error


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """The next frame's body. Raises asyncio.IncompleteReadError at the end of the stream, FrameError for a bad length."""
    return await reader.readexactly(body_length(await reader.readexactly(LENGTH_BYTES)))


class BlockingConnection:
    """The RQ worker's or the work-horse's end of the socket. One thread at a time; sends are whole frames."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._unpacker = Unpacker()
        self._bodies: list[bytes] = []

    def fileno(self) -> int:
        """For select; what was received already does not show in it, see ``has_frame``."""
        return self._sock.fileno()

    @property
    def has_frame(self) -> bool:
        """Whether ``receive`` would answer without waiting for the socket."""
        return bool(self._bodies)

    def send(self, message: Message) -> None:
        """Send one frame; waits while the socket is full. Raises OSError when the peer is gone."""
        self._sock.sendall(pack(message))

    def receive(self, kind: type[M]) -> M:
        """The next message; waits for it. Raises EOFError when the peer closed, FrameError for nonsense, OSError."""
        while not self._bodies:
            data = self._sock.recv(_RECEIVE_BYTES)
            if not data:
                raise EOFError("the supervisor closed the connection")
            self._bodies += self._unpacker.feed(data)
        return parse(kind, self._bodies.pop(0))

    def close(self) -> None:
        """Close this process's end. In a forked child it leaves the parent's connection as it is."""
        self._sock.close()
