"""Ports of this machine: is one free, and give me a free one."""

from __future__ import annotations

import errno
import socket

from services.up.problem import REFUSED, USAGE, CannotStartError


def claim_port(host: str, port: int, setting: str) -> int:
    """Return `port` if a server can listen there now, or any free port if it is 0.

    Tested without SO_REUSEPORT, which gRPC servers set: with it two of them would share one port without a word.
    Raises CannotStartError (exit code 4) naming `setting` if the port is taken.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                text = f"Port {port} is in use by another program: set {setting} to a free port, or to 0 for any."
                raise CannotStartError(text, REFUSED) from None
            if error.errno == errno.EACCES:
                raise CannotStartError(f"Port {port} may not be used by this user: set {setting}.", REFUSED) from None
            raise CannotStartError(f"Cannot listen on {host}:{port} ({error}): set {setting}.", USAGE) from None
        return int(probe.getsockname()[1])


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now. It can be taken before it is used: the caller tries again."""
    return claim_port("127.0.0.1", 0, "the port")
