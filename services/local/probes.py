"""Who is it that answers? Each probe really talks to a server, on a socket of its own, in time.

That somebody answers is not enough: it may be another's server. So each says whose it is. No client
library is used, so that the supervisor starts fast and depends on no driver.
"""

import http.client
import re
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Callable

from services.local.ports import LOOPBACK

PROBE_TIMEOUT_S = 1.0
_METADATA_KEY = 3
_METADATA_VERSION = 2
"""The first that tells the cluster's id; brokers from 0.10.1 on know it."""
_NO_CLIENT_ID = -1
_CORRELATION_ID = 7
_REDIS_PROCESS = re.compile(rb"\A\+PONG\r\n.*^process_id:(\d+)\r\n", re.DOTALL | re.MULTILINE)
# A proxy configured for the machine has no business between two ends of the loopback.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _ask(port: int, request: bytes, is_whole: Callable[[bytes], bool]) -> bytes:
    """Send `request` to a loopback port; return the reply, b"" if there is no whole one in time."""
    reply = b""
    try:
        with socket.create_connection((LOOPBACK, port), PROBE_TIMEOUT_S) as connection:
            connection.settimeout(PROBE_TIMEOUT_S)
            connection.sendall(request)
            while not is_whole(reply):
                chunk = connection.recv(65_536)
                if not chunk:
                    return b""
                reply += chunk
    except OSError:
        return b""
    return reply


def redis_process(port: int) -> int:
    """Return the process id of the Redis that serves on a port, 0 if none does.

    While it loads its log it replies -LOADING to PING, which counts as none.
    """

    def is_whole(reply: bytes) -> bool:
        return reply.startswith(b"-") or _REDIS_PROCESS.search(reply) is not None

    found = _REDIS_PROCESS.search(_ask(port, b"PING\r\nINFO server\r\n", is_whole))
    return int(found[1]) if found else 0


def kafka_cluster(port: int) -> str:
    """Return the id of the cluster that the broker on a port belongs to, "" if none serves.

    One that answers before it is registered knows of no broker, and topics cannot be created yet:
    that counts as none.
    """
    no_topics = 0
    body = struct.pack(
        ">hhihi", _METADATA_KEY, _METADATA_VERSION, _CORRELATION_ID, _NO_CLIENT_ID, no_topics
    )

    def is_whole(reply: bytes) -> bool:
        return len(reply) >= 4 and len(reply) >= 4 + struct.unpack_from(">i", reply)[0]

    reply = _ask(port, struct.pack(">i", len(body)) + body, is_whole)
    try:
        return _cluster_of(reply)
    except (struct.error, UnicodeDecodeError):  # whatever listens there, it is no Kafka
        return ""


def _cluster_of(reply: bytes) -> str:
    """Return the cluster's id of a Metadata response, "" if it names no broker."""
    _length, correlation_id, brokers = struct.unpack_from(">iii", reply)
    if correlation_id != _CORRELATION_ID or brokers < 1:
        return ""
    at = 12
    for _ in range(brokers):
        _host, at = _string(reply, at + 4)  # after its number
        _rack, at = _string(reply, at + 4)  # after its port
    return _string(reply, at)[0]


def _string(reply: bytes, at: int) -> tuple[str, int]:
    """Return a nullable string of Kafka's protocol, and where it ends."""
    (length,) = struct.unpack_from(">h", reply, at)
    end = at + 2 + max(0, length)
    if end > len(reply):
        raise struct.error("the string is cut off")
    return reply[at + 2 : end].decode(), end


def fetch(port: int, path: str, timeout_s: float = PROBE_TIMEOUT_S) -> bytes | None:
    """GET `path` from a loopback port; return the body, or None if there is no good answer."""
    try:
        with _DIRECT.open(f"http://{LOOPBACK}:{port}{path}", timeout=timeout_s) as response:
            body: bytes = response.read()
            return body
    except urllib.error.HTTPError as refused:
        refused.close()  # it holds the connection
        return None
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return None


def http_answers(port: int, path: str) -> bool:
    """Tell whether a GET of `path` on the loopback port has a status below 400."""
    return fetch(port, path) is not None
