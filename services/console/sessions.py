"""Browsers that are signed in, and the link that lets the first one in.

A session is 32 random bytes in a cookie; here is their SHA-256 only. Sessions live in memory: after
a restart people sign in again. The link of the local stack is good once; then another one is made.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Final

from core.clock import Clock
from services.console.files import write_private
from services.console.keys import KeyRing, Role

LINK_FILE: Final = "link"
KEYS_FILE: Final = "keys.json"
LOCAL: Final = "local"
_MOST_SESSIONS: Final = 1_000
_COOKIE_BYTES: Final = 32
_LINK_BYTES: Final = 16
"""Of a link that is good once: 128 bits, and short enough for a line of a terminal."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Attributes:
        name: Of the key; `local` for whoever came by the link.
        role: What they may see.
        key_id: The key they came by; "" for the link.
        session: Which session they ask in; empty for a key of its own.
    """

    name: str
    role: Role
    key_id: str = ""
    session: bytes = b""


class Sessions:
    """The sessions of this process.

    Args:
        lifetime_s: How long one lasts.
        clock: Tells the time.
        keys: A session ends when its key is taken away or has another role.
    """

    def __init__(self, lifetime_s: int, clock: Clock, keys: KeyRing) -> None:
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._keys = keys
        self._open: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are open, those included that are over and were not asked for since."""
        return len(self._open)

    def open(self, principal: Principal) -> str:
        """Return the cookie of a new session; beyond a thousand the oldest one ends."""
        cookie = secrets.token_urlsafe(_COOKIE_BYTES)
        short = _short(cookie)
        until = self._clock.monotonic() + self._lifetime_s
        self._open[short] = (replace(principal, session=short), until)
        while len(self._open) > _MOST_SESSIONS:
            self._open.popitem(last=False)
        return cookie

    def find(self, cookie: str) -> Principal | None:
        """Return whose session a cookie is of, None if it is over or never was."""
        short = _short(cookie)
        principal, _ = self._open.get(short, (None, 0.0))
        if principal is None or self.is_still_good(principal):
            return principal
        del self._open[short]
        return None

    def is_still_good(self, principal: Principal) -> bool:
        """Tell whether neither the session is over nor the key taken away by which somebody came.

        Whoever reads on for hours is asked this again and again.
        """
        if principal.session:
            _, until = self._open.get(principal.session, (None, 0.0))
            if self._clock.monotonic() >= until:
                return False
        if not principal.key_id:
            return True
        stored = self._keys.get(principal.key_id)
        return stored is not None and stored.role is principal.role

    def close(self, cookie: str) -> None:
        """End a session."""
        self._open.pop(_short(cookie), None)


class LocalLink:
    """The link by which a browser on this machine comes in; its file is its owner's alone.

    Args:
        directory: Where the file is.
        base: The address that people open, without a slash at its end.
    """

    def __init__(self, directory: Path, base: str) -> None:
        self._path = directory / LINK_FILE
        self._base = base
        self._token = b""
        self._redeeming = Lock()

    def renew(self) -> None:
        """Make a link; the one before is good no more.

        Raises:
            ConfigError: Its file cannot be written.
        """
        token = secrets.token_urlsafe(_LINK_BYTES)
        write_private(self._path, f"{self._base}/enter?token={token}\n".encode())
        self._token = _short(token)

    def redeem(self, token: str) -> bool:
        """Tell whether the link is the present one; it is used up then."""
        with self._redeeming:  # requests come in threads: of two at once one is let in
            if not self._token or not secrets.compare_digest(_short(token), self._token):
                return False
            self.renew()
        return True

    def remove(self) -> None:
        """Leave no link behind."""
        self._path.unlink(missing_ok=True)


def _short(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
