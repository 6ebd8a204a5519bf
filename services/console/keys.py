"""Who may ask: keys, hashed where they are kept, each with a role.

A key is `gw_<id>_<secret>`; the id finds its line in the file, the secret is 32 random bytes of
which the file has a salted SHA-256. Whoever has the file has no key: 2^256 secrets cannot be tried,
so that a slow hash, which is for words that people think of, would only let strangers keep the
console busy. The file is read again when it changes: a key that was taken away is good no more.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

import msgspec

from core.errors import ConfigError
from core.logs import get_logger
from core.server_settings import Secret
from services.console.files import locked, write_private

_log = get_logger(__name__)
_KEY: Final = re.compile(r"gw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_HASH: Final = "sha256"
_BEFORE: Final = "scrypt"
"""How keys were hashed before; such a key is listed, and good no more."""
GIVEN: Final = "deployment"
"""The name of the key that the settings give."""


class Role(StrEnum):
    """What a reader may see; each may see what those before it may."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    OPERATOR = "operator"

    def covers(self, needed: Role) -> bool:
        """Tell whether this role may do what the other may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class StoredKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key as the file has it; without the secret."""

    key_id: str
    name: str
    role: Role
    salt: bytes
    digest: bytes
    created: datetime
    hash: Literal["sha256", "scrypt"] = _BEFORE

    @property
    def is_outdated(self) -> bool:
        """Whether it was made by a version before this, and must be made again."""
        return self.hash != _HASH


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: list[StoredKey] = []


_decoder: Final = msgspec.json.Decoder(_KeyFile)


class KeyRing:
    """The keys of a file; without the file there are none.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, StoredKey] = {}
        self._given: dict[str, StoredKey] = {}

    def accept(self, key: Secret, now: datetime) -> None:
        """Let the key of `console.operator_key` in too, as an operator's; an empty one is none.

        Raises:
            ConfigError: It is not of the form of a key.
        """
        if not key:
            return
        found = _KEY.fullmatch(key.reveal())
        if found is None:
            raise ConfigError(
                "console.operator_key: expected gw_, 12 digits of 0-9 a-f, _ and 43 of A-Z a-z "
                "0-9 - _, as groundswell console keys add prints a key"
            )
        salt = secrets.token_bytes(16)
        self._given[found[1]] = StoredKey(
            key_id=found[1], name=GIVEN, role=Role.OPERATOR, salt=salt,
            digest=_hashed(found[2], salt), created=now, hash=_HASH,
        )  # fmt: skip

    def load(self) -> None:
        """Read the file if it has changed.

        Raises:
            ConfigError: It cannot be read; no key is good until it can.
        """
        try:
            at = self._path.stat()
        except FileNotFoundError:
            self._keys, self._seen = {}, None
            return
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be read: {error.strerror}") from error
        seen = (at.st_mtime_ns, at.st_size, at.st_ino)
        if seen == self._seen:
            return
        self._keys, self._seen = {}, None
        try:
            found = _decoder.decode(self._path.read_bytes()).keys
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be read: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            # The decoder says of what is no UTF-8, or lists in lists, in other words than its own.
            raise ConfigError(f"{self._path}: expected the keys of the console: {error}") from error
        self._keys, self._seen = {one.key_id: one for one in found}, seen
        for one in found:
            if one.is_outdated:
                _log.warning("a key of an earlier version is good no more", name=one.name)

    def all(self) -> list[StoredKey]:
        """Return the keys by name."""
        return sorted((self._keys | self._given).values(), key=lambda one: (one.name, one.key_id))

    def get(self, key_id: str) -> StoredKey | None:
        """Return the key of this id as the file has it now; None if it is there no more."""
        self._load_or_none()
        return self._given.get(key_id) or self._keys.get(key_id)

    def find(self, key: str) -> StoredKey | None:
        """Return whose key this is, None if it is nobody's."""
        self._load_or_none()
        found = _KEY.fullmatch(key)
        stored = self._given.get(found[1]) or self._keys.get(found[1]) if found else None
        if found is None or stored is None or stored.is_outdated:
            return None
        is_it = hmac.compare_digest(_hashed(found[2], stored.salt), stored.digest)
        return stored if is_it else None

    def _load_or_none(self) -> None:
        try:
            self.load()
        except ConfigError as error:
            _log.error("no key of the file is good: it cannot be used", reason=str(error))

    def add(self, name: str, role: Role, now: datetime) -> str:
        """Make a key, keep its hash, and return it: it is shown this once.

        Raises:
            ConfigError: There is a key of this name, the name is none, or the file is at fault.
        """
        with locked(self._path):
            return self._add(name, role, now)

    def _add(self, name: str, role: Role, now: datetime) -> str:
        self.load()
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r}: expected a name of 1 to 64 letters, digits and any of . _ @ -"
            )
        if any(one.name == name for one in self.all()):
            raise ConfigError(f"{name!r} has a key: take it away first, or give another name")
        key_id, secret, salt = (
            secrets.token_hex(6),
            secrets.token_urlsafe(32),
            secrets.token_bytes(16),
        )
        stored = StoredKey(
            key_id=key_id,
            name=name,
            role=role,
            salt=salt,
            digest=_hashed(secret, salt),
            created=now,
            hash=_HASH,
        )
        self._write([*self._keys.values(), stored])
        return f"gw_{key_id}_{secret}"

    def remove(self, name: str) -> bool:
        """Take a key away; return False if there is none of this name.

        Raises:
            ConfigError: The file cannot be used, or the key is the one that the settings give.
        """
        with locked(self._path):
            self.load()
            kept = [one for one in self._keys.values() if one.name != name]
            if len(kept) == len(self._keys):
                if self._given and name == GIVEN:
                    raise ConfigError(f"{name!r} is console.operator_key: give another one there")
                return False
            self._write(kept)
            return True

    def _write(self, keys: list[StoredKey]) -> None:
        write_private(self._path, msgspec.json.format(msgspec.json.encode(_KeyFile(keys))))
        self.load()


def _hashed(secret: str, salt: bytes) -> bytes:
    return hashlib.sha256(salt + secret.encode()).digest()
