"""What the RSS source can be asked for."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from core.errors import ConfigError
from services.ingest.sources.live import LiveLimits


class RssOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the source `rss`.

    Attributes:
        feeds: addresses of RSS or Atom feeds; at least one.
        every_s: between two looks at a feed; a server that asks for longer is given it.
        timeout_s: for one answer, redirects included.
        max_feed_bytes: a larger answer is not read, compressed or not.
        max_redirects: followed at most, each checked like the first address.
        max_age_s: older entries are remembered and not delivered (a feed may go back years).
        remember_entries: remembered of each feed, at least twice as many as it has.
        allow_private_addresses: also feeds on this machine and in private networks.
        authors: `public`: never hashed.
        limits: bounds and times.
    """

    feeds: tuple[str, ...] = ()
    every_s: float = 300.0
    timeout_s: float = 20.0
    max_feed_bytes: int = 8_388_608
    max_redirects: int = 5
    max_age_s: float = 86_400.0
    remember_entries: int = 500
    allow_private_addresses: bool = False
    authors: Literal["hashed", "public"] = "hashed"
    limits: LiveLimits = LiveLimits()

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: names the option that is missing or wrong.
        """
        if not self.feeds:
            raise ConfigError(
                "rss: the option `feeds` is missing: expected addresses, such as "
                """--set feeds='["https://example.org/feed.xml"]'"""
            )
        for feed in self.feeds:
            try:
                parts = urlsplit(feed)
                host = parts.hostname
            except ValueError as error:
                raise ConfigError(f"rss: feeds has {feed!r}: {error}") from error
            if parts.scheme not in ("http", "https") or not host:
                raise ConfigError(f"rss: feeds has {feed!r}: expected http(s)://HOST/...")
        for name in ("every_s", "timeout_s", "max_feed_bytes", "max_age_s", "remember_entries"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"rss: {name} = {getattr(self, name)}: expected more than 0")
        if self.max_redirects < 0:
            raise ConfigError(f"rss: max_redirects = {self.max_redirects}: expected 0 or more")
