"""What the RSS source can be asked for."""

from __future__ import annotations

from typing import Final

from core.errors import ConfigError
from core.settings import Secret
from services.ingest.sources.options import (
    LiveOptions,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    check_address,
)

_EXAMPLE: Final = """--set feeds='["https://example.org/feed.xml"]'"""


class RssOptions(LiveOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the source `rss`.

    Attributes:
        feeds: Addresses of RSS or Atom feeds; at least one.
        every_s: Between two looks at a feed; a server that asks for longer is given it.
        timeout_s: For one answer, redirects included.
        max_feed_bytes: A larger answer is not read, compressed or not.
        max_redirects: Followed at most, each checked like the first address.
        max_age_s: Older entries are remembered and not delivered (a feed may go back years).
        remember_entries: Remembered of each feed, at least twice as many as it has.
        allow_private_addresses: Also feeds on this machine and in private networks.
    """

    feeds: tuple[str, ...] = ()
    every_s: PositiveFloat = 300.0
    timeout_s: PositiveFloat = 20.0
    max_feed_bytes: PositiveInt = 8_388_608
    max_redirects: NonNegativeInt = 5
    max_age_s: PositiveFloat = 86_400.0
    remember_entries: PositiveInt = 500
    allow_private_addresses: bool = False

    def check(self, secret: Secret) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: Names the option that is missing or wrong.
        """
        if not self.feeds:
            raise ConfigError(
                f"rss: the option `feeds` is missing: expected addresses, such as {_EXAMPLE}"
            )
        for feed in self.feeds:
            check_address("rss: feeds has an address", feed, ("http", "https"))
