"""Signatures of requests: HMAC-SHA-256 over the time and the bytes as they were sent. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Final

from core.settings import Secret

TIMESTAMP_HEADER: Final = "X-Groundswell-Timestamp"
SIGNATURE_HEADER: Final = "X-Groundswell-Signature"
_SCHEME: Final = "sha256="
_MAX_SIGNATURES: Final = 4


def sign(key: Secret, timestamp: int, body: bytes) -> str:
    """Return the value of the signature header.

    Args:
        key: shared with the sender.
        timestamp: seconds since 1970; sent beside it.
        body: the request's body, before anything reads it.

    Example:
        >>> sign(Secret("k"), 0, b"{}")[:15]
        'sha256=c847cd2c'
    """
    signed = b"%d." % timestamp + body
    return _SCHEME + hmac.digest(key.reveal().encode(), signed, "sha256").hex()


def fault_of(
    keys: Iterable[Secret],
    timestamp: str,
    signature: str,
    body: bytes,
    now_s: float,
    tolerance_s: float,
) -> str:
    """Return why a request is not to be trusted, "" if it is.

    Compares in constant time, and says of a wrong signature nothing but that it is wrong.
    """
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        return f"{TIMESTAMP_HEADER}: expected seconds since 1970"
    if abs(now_s - int(timestamp)) > tolerance_s:
        return f"{TIMESTAMP_HEADER}: over {tolerance_s:g} s from now"
    given = [one.strip() for one in signature.split(",")][:_MAX_SIGNATURES]
    is_good = False
    for key in keys:
        expected = sign(key, int(timestamp), body).encode()
        for one in given:
            is_good |= hmac.compare_digest(expected, one.encode("utf-8", "replace"))
    return "" if is_good else f"{SIGNATURE_HEADER}: does not sign this body"
