"""What the Bluesky source can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from core.errors import ConfigError
from services.ingest.sources.live import LiveLimits

POST: Final = "app.bsky.feed.post"
LIKE: Final = "app.bsky.feed.like"
REPOST: Final = "app.bsky.feed.repost"

PUBLIC_HOSTS: Final = (
    "wss://jetstream1.us-east.bsky.network",
    "wss://jetstream2.us-east.bsky.network",
    "wss://jetstream1.us-west.bsky.network",
    "wss://jetstream2.us-west.bsky.network",
)
MAX_DIDS: Final = 10_000
MAX_COLLECTIONS: Final = 100
"""More of them no server takes."""


class BlueskyOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the source `bluesky`; the defaults are all of Bluesky, without an account.

    Attributes:
        hosts: servers, best first, as `wss://host` or `ws://host:port`; the next one is taken when
            one fails.
        protocol: `v1` (`/subscribe`, every server) or `v2` (`subscribeEvents`).
        collections: kinds of records asked for; empty asks for all.
        dids: accounts asked for; empty asks for all.
        authors: `public`: author ids are never hashed.
        compress: v2: zstd with the server's dictionary; v1: what the server offers.
        zstd_dictionary: v1: file with the published dictionary; switches zstd on.
        require_hello: v1: send the filter as a message instead of in the address; done by itself
            for more than fifty accounts.
        rewind_s: how far to go back where only a time says where to go on.
        start_s_ago: without a stored cursor, start so long ago; 0 starts now.
        max_message_bytes: larger messages are not asked for, nor taken.
        max_held_posts: ids kept on disk, so that the posts of a deleted account can be removed.
        max_recent_events: remembered to leave out what a reconnect brings again.
        limits: bounds and times of every network source.
    """

    hosts: tuple[str, ...] = PUBLIC_HOSTS
    protocol: Literal["v1", "v2"] = "v1"
    collections: tuple[str, ...] = (POST, LIKE, REPOST)
    dids: tuple[str, ...] = ()
    authors: Literal["hashed", "public"] = "hashed"
    compress: bool = True
    zstd_dictionary: str = ""
    require_hello: bool = False
    rewind_s: float = 5.0
    start_s_ago: float = 0.0
    max_message_bytes: int = 1_048_576
    max_held_posts: int = 500_000
    max_recent_events: int = 200_000
    limits: LiveLimits = LiveLimits()

    def check(self) -> None:
        """Refuse what no server would take.

        Raises:
            ConfigError: names the option, what was given and what was expected.
        """
        if not self.hosts:
            raise ConfigError("bluesky: hosts is empty, expected at least one")
        for host in self.hosts:
            base_url(host)
        if len(self.dids) > MAX_DIDS:
            raise ConfigError(f"bluesky: {len(self.dids)} dids, expected at most {MAX_DIDS}")
        for did in self.dids:
            if not did.startswith("did:"):
                raise ConfigError(f"bluesky: dids: {did!r}: expected did:plc:… or did:web:…")
        if len(self.collections) > MAX_COLLECTIONS:
            raise ConfigError(
                f"bluesky: {len(self.collections)} collections, expected at most {MAX_COLLECTIONS}"
            )
        for name in ("rewind_s", "start_s_ago"):
            if getattr(self, name) < 0:
                raise ConfigError(f"bluesky: {name} = {getattr(self, name)}: expected 0 or more")
        for name in ("max_message_bytes", "max_held_posts", "max_recent_events"):
            if getattr(self, name) < 1:
                raise ConfigError(f"bluesky: {name} = {getattr(self, name)}: expected 1 or more")
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
