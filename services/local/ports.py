"""Loopback TCP ports: is one free, and which to take when the usual one is not."""

import socket
from collections.abc import Collection

LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether a server could listen on `port` now.

    The address is marked reusable as servers do, so that a port whose last connections linger in
    TIME_WAIT counts as free, and one somebody listens on does not.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def any_free_port(taken: Collection[int] = ()) -> int:
    """Return a port that the kernel says is free and that is not in `taken`."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port


def pick_port(usual: int, taken: Collection[int] = ()) -> int:
    """Return `usual` if it is free and not promised to a sibling, else any free port.

    Args:
        usual: the port people expect, or 0 for no preference.
        taken: ports already promised to servers that do not listen yet.
    """
    if usual and usual not in taken and is_free(usual):
        return usual
    return any_free_port(taken)
