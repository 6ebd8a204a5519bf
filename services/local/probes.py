"""Is a server ready? Each probe really talks to it, on a socket of its own, with a time limit.

No client library is used, so that the supervisor starts fast and depends on no driver.
"""

import http.client
import socket
import struct
import urllib.error
import urllib.request

from services.local.ports import LOOPBACK

PROBE_TIMEOUT_S = 1.0
_API_VERSIONS_KEY = 18
_NO_CLIENT_ID = -1
# A proxy configured for the machine has no business between two ends of the loopback.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _ask(port: int, request: bytes, reply_bytes: int) -> bytes:
    """Sends `request` to a loopback port; returns at most `reply_bytes`, b"" if nobody answers."""
    try:
        with socket.create_connection((LOOPBACK, port), PROBE_TIMEOUT_S) as connection:
            connection.settimeout(PROBE_TIMEOUT_S)
            connection.sendall(request)
            reply = b""
            while len(reply) < reply_bytes:
                chunk = connection.recv(reply_bytes - len(reply))
                if not chunk:
                    break
                reply += chunk
            return reply
    except OSError:
        return b""


def redis_answers(port: int) -> bool:
    """Redis replies PONG to PING; while it loads its log it replies -LOADING, which is a no."""
    return _ask(port, b"PING\r\n", 7) == b"+PONG\r\n"


def kafka_answers(port: int) -> bool:
    """Kafka replies to an ApiVersions request (version 0) without an error.

    The broker opens its listener only once its metadata has caught up with the controller and it
    is registered, so an answer means that topics can be created and records produced.
    """
    correlation_id = 7
    body = struct.pack(">hhih", _API_VERSIONS_KEY, 0, correlation_id, _NO_CLIENT_ID)
    reply = _ask(port, struct.pack(">i", len(body)) + body, 10)
    if len(reply) < 10:
        return False
    _length, answered_id, error_code = struct.unpack(">iih", reply)
    return answered_id == correlation_id and error_code == 0


def fetch(port: int, path: str, timeout_s: float = PROBE_TIMEOUT_S) -> bytes | None:
    """GETs `path` from a loopback port; returns the body, or None if there is no good answer."""
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
