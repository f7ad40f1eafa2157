from __future__ import annotations

import socket

import pytest

from services.up.port import claim_port, free_port
from services.up.problem import CannotStartError


def test_a_free_port_is_claimed_as_it_is() -> None:
    port = free_port()
    assert claim_port("127.0.0.1", port, "TASKSTATE_X") == port


def test_zero_gives_some_port() -> None:
    assert claim_port("127.0.0.1", 0, "TASKSTATE_X") > 0


def test_a_taken_port_is_refused_even_if_its_holder_would_share_it() -> None:
    with socket.socket() as holder:
        # As gRPC servers do: another one could listen beside it.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(CannotStartError, match=rf"Port {port} is in use .* TASKSTATE_X") as refusal:
            claim_port("127.0.0.1", port, "TASKSTATE_X")
    assert refusal.value.exit_code == 4


def test_an_address_of_another_machine_is_wrong_usage() -> None:
    with pytest.raises(CannotStartError, match=r"Cannot listen on 192\.0\.2\.1:0") as refusal:
        claim_port("192.0.2.1", 0, "TASKSTATE_X")
    assert refusal.value.exit_code == 2
