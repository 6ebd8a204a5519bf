"""What the webhook can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from core.errors import ConfigError
from core.settings import Secret
from services.ingest.sources.options import LiveOptions, PositiveFloat, PositiveInt
from services.ingest.sources.webhook.wire import Keys, read_keys


class WebhookOptions(LiveOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the source `webhook`.

    Attributes:
        host: Where to listen; the default is this machine only. TLS is a proxy's work.
        port: 0 takes a free one.
        secret_file: A file with the signing key, instead of the setting `ingest.source_secret`.
            Several keys, one a line, all count: so a key is changed without a pause.
        old_signatures: Take requests that are signed by the scheme of before, too; this goes with
            the next release.
        tolerance_s: How far the time of a signature may be from ours.
        max_body_bytes: A larger request is refused (413).
        max_items: Posts and events of one request at most.
        max_requests: Requests in work at once; more are put off (429).
        retry_after_s: What a request that is put off is told.
        body_timeout_s: For the whole body, and between requests of a connection.
        acknowledge_timeout_s: How long a request waits for Kafka (then 503: ask again).
        remember_requests: Requests remembered, so that one that comes again counts once. With
            that many inside the tolerance, further ones are put off.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8_095
    secret_file: str = ""
    old_signatures: bool = True
    tolerance_s: PositiveFloat = 300.0
    max_body_bytes: PositiveInt = 1_048_576
    max_items: PositiveInt = 1_000
    max_requests: PositiveInt = 64
    retry_after_s: PositiveInt = 1
    body_timeout_s: PositiveFloat = 10.0
    acknowledge_timeout_s: PositiveFloat = 10.0
    remember_requests: PositiveInt = 100_000

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
