"""Loopback TCP ports: is one free, which to take, and who listens."""

import contextlib
import random
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

LOOPBACK = "127.0.0.1"
_GIVEN_OUT_BY_THE_KERNEL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST_PORT = 10_000  # below lie the ports that people know
_TRIES = 100
_CHANCE = random.SystemRandom()  # not seeded: programs that choose at once choose differently


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
    """Return a port that is free and that is not in `taken`.

    A server listens on it a moment later, and again after every restart. So it is, if possible, one
    that the kernel gives nobody who did not ask for it by its number: neither the near end of an
    outgoing connection nor a server on port 0 gets in between.
    """
    quiet = _quiet_ports()
    for _ in range(_TRIES if quiet else 0):
        port = _CHANCE.choice(quiet)
        if port not in taken and _may_bind(port):
            return port
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port


def _quiet_ports() -> range:
    """Return the ports that are only taken by number; none where that is not known."""
    try:
        lowest = int(_GIVEN_OUT_BY_THE_KERNEL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return range(0)
    return range(_FIRST_PORT, lowest)


def _may_bind(port: int) -> bool:
    """Tell whether nothing at all has the port, not even a connection that lingers."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@contextmanager
def reserved_port() -> Iterator[int]:
    """Give a port on which nobody listens; who reuses addresses may, and no other is given it.

    A socket that is bound and does not listen keeps the kernel from choosing the port for anybody.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, 0))
        yield holder.getsockname()[1]


def listening_ports(pid: int) -> set[int]:
    """Return the TCP ports that a process and its descendants listen on, as the kernel has it."""
    found: set[int] = set()
    with contextlib.suppress(psutil.Error):  # it has ended
        leader = psutil.Process(pid)
        for process in (leader, *leader.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                found |= {
                    connection.laddr.port
                    for connection in process.net_connections("tcp")
                    if connection.status == psutil.CONN_LISTEN
                }
    return found
