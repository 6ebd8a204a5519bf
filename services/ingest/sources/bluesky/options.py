"""What the Bluesky source can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from core.errors import ConfigError
from core.settings import Secret
from services.ingest.sources.options import LiveOptions, NonNegativeFloat, PositiveInt

POST: Final = "app.bsky.feed.post"
LIKE: Final = "app.bsky.feed.like"
REPOST: Final = "app.bsky.feed.repost"

PUBLIC_HOSTS: Final = (
    "wss://jetstream1.us-east.bsky.network",
    "wss://jetstream2.us-east.bsky.network",
    "wss://jetstream1.us-west.bsky.network",
    "wss://jetstream2.us-west.bsky.network",
)


class BlueskyOptions(LiveOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the source `bluesky`; the defaults are all of Bluesky, without an account.

    Attributes:
        hosts: Servers, best first, as `wss://host` or `ws://host:port`; the next one is taken when
            one fails.
        protocol: `v1` (`/subscribe`, every server) or `v2` (`subscribeEvents`).
        collections: Kinds of records asked for; empty asks for all.
        dids: Accounts asked for, `did:plc:…` or `did:web:…`; empty asks for all.
        compress: v2: zstd with the server's dictionary; v1: what the server offers.
        zstd_dictionary: v1: a file with the published dictionary; switches zstd on.
        require_hello: v1: send the filter as a message instead of in the address; done by itself
            for more than fifty accounts.
        rewind_s: How far to go back where only a time says where to go on.
        start_s_ago: Without a stored cursor, start so long ago; 0 starts now.
        max_message_bytes: Larger messages are not asked for, nor taken.
        max_held_posts: Ids kept on disk, so that the posts of a deleted account can be removed.
        max_recent_events: Events remembered to leave out what a reconnect brings again.
    """

    hosts: Annotated[tuple[str, ...], Meta(min_length=1)] = PUBLIC_HOSTS
    protocol: Literal["v1", "v2"] = "v1"
    collections: Annotated[tuple[str, ...], Meta(max_length=100)] = (POST, LIKE, REPOST)
    dids: Annotated[tuple[Annotated[str, Meta(pattern="^did:")], ...], Meta(max_length=10_000)] = ()
    compress: bool = True
    zstd_dictionary: str = ""
    require_hello: bool = False
    rewind_s: NonNegativeFloat = 5.0
    start_s_ago: NonNegativeFloat = 0.0
    max_message_bytes: PositiveInt = 1_048_576
    max_held_posts: PositiveInt = 500_000
    max_recent_events: PositiveInt = 200_000

    def check(self, secret: Secret) -> None:
        """Refuse what no server would take.

        Raises:
            ConfigError: Names the option, what was given and what was expected.
        """
        for host in self.hosts:
            base_url(host)
        if self.zstd_dictionary and self.protocol == "v2":
            raise ConfigError("bluesky: zstd_dictionary is of v1; v2 fetches it from the server")
        if self.zstd_dictionary and not Path(self.zstd_dictionary).is_file():
            raise ConfigError(f"bluesky: zstd_dictionary {self.zstd_dictionary}: no such file")


def base_url(host: str) -> str:
    """Return `ws(s)://host[:port]` of a host as people write it.

    Raises:
        ConfigError: it is none.

    Example:
        >>> base_url("jetstream1.us-east.bsky.network")
        'wss://jetstream1.us-east.bsky.network'
        >>> base_url("ws://127.0.0.1:6008/subscribe")
        'ws://127.0.0.1:6008'
    """
    parts = urlsplit(host if "://" in host else f"wss://{host}")
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ConfigError(f"bluesky: hosts: {host!r}: expected ws://host:port or wss://host")
    return f"{parts.scheme}://{parts.netloc}"
