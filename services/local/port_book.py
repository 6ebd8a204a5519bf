"""Which ports a stack has: the usual ones if they can be had, and no two stacks the same."""

import os
import socket
import sys
import weakref

from services.local.ports import any_free_port, is_free

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
    "worker": 9110,
}


class PortBook:
    """The ports of one stack, one for each use, the same however often it is laid out.

    A server listens on its port seconds after it was chosen, and again after every crash. Until
    then a claim keeps other stacks away from it; it ends with this process, or with `close`. A
    stranger heeds no claim: what he takes is lost (`lose`).

    Attributes:
        close: gives up every claim; what listens goes on listening.
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
