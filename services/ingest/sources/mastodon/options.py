"""What the Mastodon source can be asked for."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from core.errors import ConfigError
from core.settings import Secret
from services.ingest.sources.options import (
    LiveLimits,
    LiveOptions,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    check_secret_address,
)

StreamName = Annotated[
    str, Meta(pattern=r"^(public(:local|:remote)?|hashtag:(local:)?[^\s:#/?&]{1,200})\Z")
]


class MastodonOptions(LiveOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the source `mastodon`.

    Attributes:
        server: The address, such as `https://mastodon.social`; required. One source reads one
            server.
        streams: `public`, `public:local`, `public:remote`, `hashtag:NAME`, `hashtag:local:NAME`.
        transport: `sse` (one connection a stream) or `websocket` (one for all).
        streaming_url: Where the server streams; empty asks the server.
        anonymous: True sends no token; most servers refuse that by now.
        fill_max_posts: Posts fetched at most after a reconnect; what is beyond is a counted gap.
        rewind_s: How far before the last post a reconnect goes back: posts of other servers
            arrive late, and their ids say when they were written.
        recheck_posts: Newest posts that are looked at again after a reconnect, for edits and
            deletions that were missed meanwhile; 0 looks at none.
        remember_posts: Posts whose author is remembered: a deletion names the post only.
    """

    server: str = ""
    streams: Annotated[tuple[StreamName, ...], Meta(min_length=1)] = ("public",)
    transport: Literal["sse", "websocket"] = "sse"
    streaming_url: str = ""
    anonymous: bool = False
    fill_max_posts: NonNegativeInt = 4_000
    rewind_s: NonNegativeFloat = 60.0
    recheck_posts: NonNegativeInt = 200
    remember_posts: PositiveInt = 200_000
    limits: LiveLimits = LiveLimits(idle_min_s=30.0, idle_initial_s=60.0)

    def check(self, secret: Secret) -> None:
        """Refuse what cannot work, before anything is connected.

        Raises:
            ConfigError: Names the option or setting that is missing or wrong.
        """
        if not self.server:
            raise ConfigError(
                "mastodon: the option `server` is missing: expected the address of a server, such "
                "as --set server=https://mastodon.social"
            )
        check_secret_address("mastodon: server", self.server, ("https", "http"))
        if self.streaming_url:
            check_streaming_url(self.streaming_url)
        if not secret and not self.anonymous:
            raise ConfigError(
                "mastodon: the setting `ingest.source_secret` is missing: expected an access token "
                "in GROUNDSWELL__INGEST__SOURCE_SECRET (or its ..._FILE); a server that streams to "
                "everybody needs none: --set anonymous=true"
            )

    @property
    def host(self) -> str:
        """Name of the server, with its port if it has one of its own."""
        return urlsplit(self.server).netloc.rpartition("@")[2].lower()


def check_streaming_url(url: str) -> None:
    """Refuse an address of streams that is none, or to which the token would go in the clear.

    Raises:
        ConfigError: Names the option.
    """
    check_secret_address("mastodon: streaming_url", url, ("https", "http", "wss", "ws"))


class Stream(Struct, frozen=True):
    """One stream of a server.

    Attributes:
        name: The name, as in the options.
        sse_path: The path below the streaming address.
        query: The words of the query of SSE and REST.
        websocket: The stream's name on a web socket.
        rest_path: The path of the timeline with the same posts.
        rest_query: Further words of its query.
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
