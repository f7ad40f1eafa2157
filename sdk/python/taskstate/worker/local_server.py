"""The supervisor's Unix socket: who connects, and what they say.

The socket lies in a folder of mode 0700. Whoever connects is asked of the kernel (SO_PEERCRED): it must have our own uid,
and be one of our RQ workers or a child of one, that is a work-horse. A process that a task starts is neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import struct
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from taskstate.v1 import work_horse_pb2
from taskstate.worker.frames import FrameError, pack, parse, read_frame
from taskstate.worker.process import parent_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

log = logging.getLogger(__name__)

_CREDENTIALS: Final = struct.Struct("3i")
SOCKET_PATH_BYTES_MAX: Final = 100
"""A little below the kernel's 107."""


@dataclass(eq=False)
class Peer:
    """One connected process: an RQ worker, or a work-horse."""

    pid: int
    rq_worker_pid: int
    """The RQ worker it is, or the one that forked it."""
    pidfd: int
    """Belongs to this process and no other, whatever becomes of its pid."""
    writer: asyncio.StreamWriter
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once everything it ever sent has been read."""

    @property
    def is_rq_worker(self) -> bool:
        """Whether it is an RQ worker, not a work-horse."""
        return self.pid == self.rq_worker_pid

    def send(self, message: Message) -> None:
        """Send a message. Does not wait; what a dead peer is told is lost."""
        if not self.writer.is_closing():
            self.writer.write(pack(message))


class LocalListener(Protocol):
    """Who learns what the processes say. Called on the event loop."""

    def is_rq_worker(self, pid: int) -> bool:
        """Whether an RQ worker of ours has this pid now."""

    def connected(self, peer: Peer) -> None:
        """A process has connected."""

    async def received(self, peer: Peer, request: work_horse_pb2.LocalRequest) -> None:
        """A process said something. Its next message is read when this returns."""

    def disconnected(self, peer: Peer) -> None:
        """All that the process said was read, and the connection has ended."""


class LocalServer:
    """Serves the socket until it is closed."""

    def __init__(self, listener: LocalListener) -> None:
        self._listener = listener
        self._folder: Path | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> Path:
        """Begin to serve; answers the socket's path."""
        self._folder = _private_folder()
        path = self._folder / "supervisor.sock"
        self._server = await asyncio.start_unix_server(self._accept, path)
        return path

    async def close(self) -> None:
        """Stop serving, close every connection, and remove the folder."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            peer = self._identify(writer)
            if peer is None:
                return
            try:
                self._listener.connected(peer)
                await self._read(reader, peer)
            finally:
                peer.ended.set()
                self._listener.disconnected(peer)
                os.close(peer.pidfd)

    async def _read(self, reader: asyncio.StreamReader, peer: Peer) -> None:
        try:
            while True:
                request = parse(work_horse_pb2.LocalRequest, await read_frame(reader))
                await self._listener.received(peer, request)
        except (asyncio.IncompleteReadError, ConnectionError):
            # The end of the stream; a process that was killed may leave half a frame.
            return
        except FrameError as error:
            log.warning("closed the connection of process %d: %s", peer.pid, error, extra={"event": "bad_frame"})

    def _identify(self, writer: asyncio.StreamWriter) -> Peer | None:
        credentials = writer.get_extra_info("socket").getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
        )
        pid, uid, _ = _CREDENTIALS.unpack(credentials)
        pidfd = None
        if uid == os.geteuid():
            with contextlib.suppress(ProcessLookupError):
                # First the pidfd, then the look: so the process that was looked at is the one the pidfd means.
                pidfd = os.pidfd_open(pid)
                rq_worker_pid = pid if self._listener.is_rq_worker(pid) else parent_of(pid)
                if rq_worker_pid is not None and self._listener.is_rq_worker(rq_worker_pid):
                    return Peer(pid, rq_worker_pid, pidfd, writer)
        if pidfd is not None:
            os.close(pidfd)
        log.warning("refused a connection of process %d, uid %d", pid, uid, extra={"event": "stranger_refused"})
        return None


def _private_folder() -> Path:
    """A new folder of mode 0700 with a path that leaves room for a socket's name."""
    base = tempfile.gettempdir()
    if len(os.fsencode(base)) > SOCKET_PATH_BYTES_MAX - 40:
        base = "/tmp"  # noqa: S108 - mkdtemp makes a folder of our own in it.
    return Path(tempfile.mkdtemp(prefix="taskstate-worker-", dir=base))
