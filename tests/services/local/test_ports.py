import socket

import pytest

from services.local.ports import any_free_port, is_free, pick_port, reserved_port


def test_the_usual_port_is_taken_when_it_is_free() -> None:
    port = any_free_port()
    assert pick_port(port) == port


def test_another_port_is_taken_when_somebody_listens_on_the_usual_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        assert pick_port(port) != port


def test_a_port_promised_to_a_sibling_is_not_given_twice() -> None:
    port = any_free_port()
    assert pick_port(port, taken={port}) != port


def test_no_preference_gives_any_free_port() -> None:
    assert is_free(pick_port(0))


def test_a_reserved_port_refuses_until_somebody_listens_and_after() -> None:
    with reserved_port() as port:
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), 60.0)
            with (
                socket.create_server(("127.0.0.1", port)) as server,  # it reuses addresses
                socket.create_connection(("127.0.0.1", port), 60.0) as line,
            ):
                server.accept()[0].close()
                assert line.recv(1) == b""
