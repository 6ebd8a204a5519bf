"""What the Mastodon source can be asked for."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from core.errors import ConfigError
from core.settings import Secret
from services.ingest.sources.live import LiveLimits

_TIMELINES: Final = ("public", "public:local", "public:remote")
_HASHTAG: Final = re.compile(r"hashtag:(?:local:)?(?P<tag>[^\s:#/?&]{1,200})\Z")


class MastodonOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the source `mastodon`.

    Attributes:
        server: such as `https://mastodon.social`; required. One source reads one server.
        streams: `public`, `public:local`, `public:remote`, `hashtag:NAME`, `hashtag:local:NAME`.
        transport: `sse` (one connection a stream) or `websocket` (one for all).
        streaming_url: where the server streams; empty asks the server.
        anonymous: True sends no token; most servers refuse that by now.
        fill_max_posts: posts fetched at most after a reconnect; what is beyond is a counted gap.
        rewind_s: how far before the last post a reconnect goes back: posts of other servers
            arrive late, and their ids say when they were written.
        recheck_posts: newest posts that are looked at again after a reconnect, for edits and
            deletions that were missed meanwhile; 0 looks at none.
        remember_posts: posts whose author is remembered: a deletion names the post only.
        authors: `public`: never hashed.
        limits: bounds and times.
    """

    server: str = ""
    streams: tuple[str, ...] = ("public",)
    transport: Literal["sse", "websocket"] = "sse"
    streaming_url: str = ""
    anonymous: bool = False
    fill_max_posts: int = 4_000
    rewind_s: float = 60.0
    recheck_posts: int = 200
    remember_posts: int = 200_000
    authors: Literal["hashed", "public"] = "hashed"
    limits: LiveLimits = LiveLimits(idle_min_s=30.0, idle_initial_s=60.0)

    def check(self, token: Secret) -> None:
        """Refuse what cannot work, before anything is connected.

        Raises:
            ConfigError: names the option or setting that is missing or wrong.
        """
        if not self.server:
            raise ConfigError(
                "mastodon: the option `server` is missing: expected the address of a server, such "
                "as --set server=https://mastodon.social"
            )
        check_url("server", self.server, ("https", "http"))
        if self.streaming_url:
            check_url("streaming_url", self.streaming_url, ("https", "http", "wss", "ws"))
        if not token and not self.anonymous:
            raise ConfigError(
                "mastodon: the setting `ingest.source_secret` is missing: expected an access token "
                "in GROUNDSWELL__INGEST__SOURCE_SECRET (or its ..._FILE); a server that streams to "
                "everybody needs none: --set anonymous=true"
            )
        if not self.streams:
            raise ConfigError("mastodon: streams is empty: expected `public` or a hashtag")
        for stream in self.streams:
            if stream not in _TIMELINES and not _HASHTAG.match(stream):
                raise ConfigError(
                    f"mastodon: streams has {stream!r}: expected one of {', '.join(_TIMELINES)}, "
                    "hashtag:NAME or hashtag:local:NAME"
                )
        for name in ("fill_max_posts", "recheck_posts", "rewind_s"):
            if getattr(self, name) < 0:
                raise ConfigError(f"mastodon: {name} = {getattr(self, name)}: expected 0 or more")
        if self.remember_posts < 1:
            raise ConfigError(f"mastodon: remember_posts = {self.remember_posts}: expected 1")

    @property
    def host(self) -> str:
        """Name of the server, with its port if it has one of its own."""
        return urlsplit(self.server).netloc.rpartition("@")[2].lower()


def check_url(option: str, url: str, schemes: tuple[str, ...]) -> None:
    """Refuse an address that is none, or that would send the token in the clear.

    Raises:
        ConfigError: names the option.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"mastodon: {option} = {url!r}: {error}") from error
    if parts.scheme not in schemes or not host:
        raise ConfigError(f"mastodon: {option} = {url!r}: expected {schemes[0]}://HOST")
    if parts.scheme in ("http", "ws") and not _is_loopback(host):
        raise ConfigError(
            f"mastodon: {option} = {url!r}: expected {schemes[0]}, the token would be readable on "
            "the way"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Stream(Struct, frozen=True):
    """One stream of a server.

    Attributes:
        name: as in the options.
        sse_path: below the streaming address.
        query: words of the query of SSE and REST.
        websocket: the stream's name on a web socket.
        rest_path: timeline with the same posts.
        rest_query: further words of its query.
    """

    name: str
    sse_path: str
    query: dict[str, str]
    websocket: str
    rest_path: str
    rest_query: dict[str, str]


def stream_of(name: str) -> Stream:
    """Return where a stream of the options is found.

    Example:
        >>> stream_of("hashtag:local:cats").rest_path
        '/api/v1/timelines/tag/cats'
    """
    kind, _, rest = name.partition(":")
    if kind == "public":
        query = {rest: "true"} if rest else {}
        path = f"/api/v1/streaming/public/{rest}".rstrip("/")
        return Stream(name, path, {}, name, "/api/v1/timelines/public", query)
    local, _, tag = rest.rpartition(":")
    path = "/api/v1/streaming/hashtag" + ("/local" if local else "")
    websocket = "hashtag:local" if local else "hashtag"
    query = {"local": "true"} if local else {}
    return Stream(name, path, {"tag": tag}, websocket, f"/api/v1/timelines/tag/{tag}", query)
