"""Loopback TCP ports: is one free, which to take, and who listens."""

import contextlib
import os
import random
import socket
import sys
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

LOOPBACK = "127.0.0.1"
_GIVEN_OUT_BY_THE_KERNEL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST_PORT = 10_000  # below lie the ports that people know
_TRIES = 100
_RNG = random.SystemRandom()  # not seeded: programs that choose at once choose differently


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
        port = _RNG.choice(quiet)
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


# Where people expect things to be; another port is taken when one of these is.
USUAL_PORTS = {
    "kafka": 9092,
    "kafka controller": 9094,
    "redis": 6379,
    "triton http": 8000,
    "triton grpc": 8001,
    "triton metrics": 8002,
    "prometheus": 9090,
    "alertmanager": 9093,
    "ingest": 9101,
    "closer": 9102,
    "exporter": 9103,
    "heartbeat": 9104,
    "forecaster": 9105,
    "responder": 9106,
    "console": 9107,
    "console page": 8080,
    "worker": 9110,
}


class PortBook:
    """The ports of one stack, one for each use, the same however often it is laid out.

    A server listens on its port seconds after it was chosen, and again after every crash. Until
    then a claim keeps other stacks away from it; it ends with this process, or with `close`. A
    stranger heeds no claim: what he takes is lost (`lose`).

    Attributes:
        close: Gives up every claim; what listens goes on listening.
    """

    def __init__(self, usual: bool = True) -> None:
        """Choose nothing yet; `usual` False takes free ports only (tests)."""
        self._usual = usual
        self._chosen: dict[tuple[str, int], int] = {}
        self._refused: set[int] = set()
        self._claims: list[int] = []
        # Also when a book is thrown away without being closed.
        self.close = weakref.finalize(self, _close_all, self._claims)

    def take(self, use: str, offset: int = 0) -> int:
        """Return the port of a use; `offset` numbers those of which there are several."""
        key = (use, offset)
        if key not in self._chosen:
            self._chosen[key] = self._choose(USUAL_PORTS[use] + offset if self._usual else 0)
        return self._chosen[key]

    def lose(self, port: int) -> None:
        """Forget a port that somebody else listens on; its use is given another by `take`."""
        self._chosen = {use: chosen for use, chosen in self._chosen.items() if chosen != port}

    def _choose(self, usual: int) -> int:
        if usual and is_free(usual) and self._claim(usual):
            return usual
        while True:
            port = any_free_port(self._refused)
            if self._claim(port):
                return port

    def _claim(self, port: int) -> bool:
        """Tell whether the port is this book's from now on; one that it ever had is not again."""
        if port in self._refused:
            return False
        self._refused.add(port)
        claim = _claimed(port)
        if claim is not None:
            self._claims.append(claim)
        return claim is not None or not _CAN_CLAIM


_CAN_CLAIM = sys.platform == "linux"


def _claimed(port: int) -> int | None:
    """Return what holds the claim of a port, None if another process has it.

    It is a name in the kernel's own space of Unix sockets: atomic, without a file that a crash
    leaves, for all users, and of the same network namespace as the port itself.
    """
    if not _CAN_CLAIM:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as claim:
        try:
            claim.bind(f"\0groundswell-port-{port}")
        except OSError:
            return None
        return claim.detach()


def _close_all(claims: list[int]) -> None:
    for claim in claims:
        os.close(claim)
    claims.clear()
