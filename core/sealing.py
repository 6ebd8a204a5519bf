"""Bytes that may name a person, encrypted for whoever holds the author key.

What could not become a record was never looked into: nobody knows where in it an author stands, so
all of it is sealed before it is kept. AES-256-GCM under a key derived from the author key; the
library is `cryptography`, imported here only.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.errors import ConfigError
from core.settings import Secret

_NONCE_BYTES: Final = 12
"""Random ones: good for 2^32 seals under one key (NIST SP 800-38D, section 8.3)."""
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 8


class Sealer:
    """Seals bytes, and opens what the same author key sealed.

    Args:
        author_key: The setting `ingest.author_key`; an empty one leaves bytes, like authors, as
            they are.

    Attributes:
        key_id: 16 hexadecimal digits that tell keys apart and nothing of them; "" without a key.

    Example:
        >>> sealer = Sealer(Secret("k"))
        >>> sealed = sealer.seal(b"ana says")
        >>> b"ana" in sealed, sealer.open(sealed, sealer.key_id)
        (False, b'ana says')
    """

    def __init__(self, author_key: Secret) -> None:
        self.key_id = ""
        self._cipher: AESGCM | None = None
        if author_key:
            self.key_id = _derived(author_key, b"groundswell sealed bytes: id", _ID_BYTES).hex()
            self._cipher = AESGCM(
                _derived(author_key, b"groundswell sealed bytes: key", _KEY_BYTES)
            )

    def seal(self, content: bytes) -> bytes:
        """Return the nonce and the encrypted `content`; nothing stays nothing."""
        if self._cipher is None or not content:
            return content
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, None)

    def open(self, content: bytes, sealed_by: str) -> bytes:
        """Return what was sealed.

        Args:
            content: As `seal` returned it.
            sealed_by: The `key_id` it was sealed under; "" for plain bytes.

        Raises:
            ConfigError: It was sealed under another key, or it is damaged.
        """
        if not sealed_by or not content:
            return content
        if self._cipher is None or sealed_by != self.key_id:
            raise ConfigError(
                f"sealed by the author key {sealed_by}: expected that key in `ingest.author_key`, "
                f"got {self.key_id or 'none'}"
            )
        try:
            return self._cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], None)
        except (InvalidTag, ValueError) as error:
            raise ConfigError(
                "the sealed bytes are damaged: they do not open under their key"
            ) from error


def _derived(author_key: Secret, purpose: bytes, length: int) -> bytes:
    """Return `length` bytes for one purpose; another purpose's bytes say nothing of them."""
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=purpose).derive(
        author_key.reveal().encode()
    )


PLAIN: Final = Sealer(Secret())
"""Leaves everything as it is: no author key, no sealing."""
