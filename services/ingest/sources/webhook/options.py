"""What the webhook can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from core.errors import ConfigError
from core.settings import Secret
from services.ingest.sources.live import LiveLimits
from services.ingest.sources.webhook.signature import Keys, read_keys

_POSITIVE: Final = (
    "max_body_bytes", "max_items", "max_requests", "tolerance_s", "body_timeout_s",
    "acknowledge_timeout_s", "remember_requests", "retry_after_s",
)  # fmt: skip


class WebhookOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the source `webhook`.

    Attributes:
        host: where to listen; the default is this machine only. TLS is a proxy's work.
        port: 0 takes a free one.
        secret_file: file with the signing key, instead of the setting `ingest.source_secret`.
            Several keys, one a line, all count: so a key is changed without a pause.
        old_signatures: Take requests that are signed by the scheme of before, too; this goes with
            the next release.
        tolerance_s: how far the time of a signature may be from ours.
        max_body_bytes: a larger request is refused (413).
        max_items: posts and events of one request at most.
        max_requests: requests in work at once; more are put off (429).
        retry_after_s: what a request that is put off is told.
        body_timeout_s: for the whole body, and between requests of a connection.
        acknowledge_timeout_s: how long a request waits for Kafka (then 503: ask again).
        remember_requests: Requests remembered, so that one that comes again counts once. With
            that many inside the tolerance, further ones are put off.
        authors: `public`: never hashed.
        limits: bounds and times.
    """

    host: str = "127.0.0.1"
    port: int = 8_095
    secret_file: str = ""
    old_signatures: bool = True
    tolerance_s: float = 300.0
    max_body_bytes: int = 1_048_576
    max_items: int = 1_000
    max_requests: int = 64
    retry_after_s: int = 1
    body_timeout_s: float = 10.0
    acknowledge_timeout_s: float = 10.0
    remember_requests: int = 100_000
    authors: Literal["hashed", "public"] = "hashed"
    limits: LiveLimits = LiveLimits()

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: names the option.
        """
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"webhook: port = {self.port}: expected 0 to 65535")
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                raise ConfigError(f"webhook: {name} = {getattr(self, name)}: expected more than 0")

    def keys(self, secret: Secret) -> Keys:
        """Return the signing keys.

        Raises:
            ConfigError: there is none, or one cannot be one.
        """
        text = secret.reveal()
        if self.secret_file:
            try:
                text = Path(self.secret_file).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"webhook: secret_file = {self.secret_file!r}: {error}"
                ) from error
        keys = read_keys(text)
        if keys.old and not self.old_signatures:
            raise ConfigError(
                "webhook: old_signatures = false, but a signing key is none of Standard Webhooks: "
                "expected whsec_ and base64 of 24 to 64 bytes"
            )
        if not keys.standard and not keys.old:
            raise ConfigError(
                "webhook: the setting `ingest.source_secret` is missing: expected the key that "
                "signs requests in GROUNDSWELL__INGEST__SOURCE_SECRET (or its ..._FILE), or the "
                "option secret_file"
            )
        return keys
