"""Where a list goes on: opaque to clients, and good only as it was given, for the same list."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final, TypeVar

import msgspec

from services.console.problems import Problem

_T = TypeVar("_T")
_MAC_BYTES: Final = 16
MOST_CHARS: Final = 512


class Cursors:
    """Makes cursors and reads them.

    Args:
        secret: The key under which they are authenticated (HMAC-SHA-256, cut to 128 bits).

    Example:
        >>> cursors = Cursors(b"k" * 32)
        >>> cursors.read(cursors.make("alerts", [7, "a1"]), "alerts", tuple[int, str])
        (7, 'a1')
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, of: str, place: object) -> str:
        """Return the cursor of a place in a list.

        Args:
            of: The list, with all that chooses what is in it.
            place: Where it goes on; plain values.
        """
        content = msgspec.json.encode(place)
        return base64.urlsafe_b64encode(self._mac(of, content) + content).decode().rstrip("=")

    def read(self, cursor: str, of: str, kind: type[_T]) -> _T:
        """Return the place.

        Raises:
            Problem: It is no cursor of this list (status 400).
        """
        try:
            raw = base64.b64decode(
                cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
            )
            mac, content = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
            if not hmac.compare_digest(mac, self._mac(of, content)):
                raise ValueError("not ours")
            return msgspec.json.decode(content, type=kind)
        except (ValueError, binascii.Error) as error:  # UnicodeError and msgspec's are ValueErrors
            said = "expected the next_cursor of this very list, with the same parameters"
            raise Problem(400, f"cursor: {said}", errors=[("cursor", said)]) from error

    def _mac(self, of: str, content: bytes) -> bytes:
        named = hashlib.sha256(of.encode(errors="surrogatepass")).digest()
        return hmac.digest(self._secret, named + content, "sha256")[:_MAC_BYTES]
