"""What the Reddit source can be asked for."""

from __future__ import annotations

import importlib.util
import re
from typing import Final, Literal

from msgspec import Struct

from core.errors import ConfigError
from core.settings import Secret
from services.ingest.sources.live import LiveLimits

_COMMUNITY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{1,20}\Z")
_POSITIVE: Final = (
    "every_s", "recheck_every_s", "max_pages", "first_pages", "remember_posts", "request_timeout_s",
)  # fmt: skip
MAX_COMMUNITIES: Final = 100


class RedditOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the source `reddit`.

    Attributes:
        communities: names without `r/`; required.
        client_id: of the application registered with Reddit; required. Its secret is the setting
            `ingest.source_secret`.
        user_agent: how the application introduces itself, as Reddit's rules ask; required.
        listings: `posts`, `comments` or both.
        every_s: between two looks at a listing, beside what the rate limit asks for.
        max_pages: pages of a hundred looked back at most; Reddit has ten.
        first_pages: pages delivered of what is there at the very first look.
        rewind_s: how far before the newest thing known a look goes back.
        recheck_every_s: between two looks at things delivered, for deletions and edits.
        recheck_posts: how many of the newest are looked at then; 0 looks at none.
        remember_posts: things remembered.
        request_timeout_s: for one request.
        reddit_url, oauth_url: where Reddit is.
        authors: `public`: never hashed.
        limits: bounds and times.
    """

    communities: tuple[str, ...] = ()
    client_id: str = ""
    user_agent: str = ""
    listings: tuple[Literal["posts", "comments"], ...] = ("posts", "comments")
    every_s: float = 5.0
    max_pages: int = 10
    first_pages: int = 1
    rewind_s: float = 60.0
    recheck_every_s: float = 300.0
    recheck_posts: int = 1_000
    remember_posts: int = 100_000
    request_timeout_s: float = 16.0
    reddit_url: str = "https://www.reddit.com"
    oauth_url: str = "https://oauth.reddit.com"
    authors: Literal["hashed", "public"] = "hashed"
    limits: LiveLimits = LiveLimits()

    def check(self, secret: Secret) -> None:
        """Refuse what cannot work, before anything is connected.

        Raises:
            ConfigError: names the option, setting or package that is missing.
        """
        if importlib.util.find_spec("asyncpraw") is None:
            raise ConfigError(
                "reddit: the package asyncpraw is not installed: expected the extra `reddit` of "
                "this project"
            )
        for name, example in (
            ("communities", """'["news","worldnews"]'"""),
            ("client_id", "ID"),
            ("user_agent", "'linux:org.example.groundswell:1 (by /u/NAME)'"),
        ):
            if not getattr(self, name):
                raise ConfigError(
                    f"reddit: the option `{name}` is missing: expected such as "
                    f"--set {name}={example}"
                )
        if not secret:
            raise ConfigError(
                "reddit: the setting `ingest.source_secret` is missing: expected the client secret "
                "in GROUNDSWELL__INGEST__SOURCE_SECRET (or its ..._FILE)"
            )
        for community in self.communities:
            if not _COMMUNITY.match(community):
                raise ConfigError(f"reddit: communities has {community!r}: expected a name")
        if len(self.communities) > MAX_COMMUNITIES:
            raise ConfigError(f"reddit: communities: expected at most {MAX_COMMUNITIES}")
        if not self.listings:
            raise ConfigError("reddit: listings is empty: expected `posts`, `comments` or both")
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                raise ConfigError(f"reddit: {name} = {getattr(self, name)}: expected more than 0")
        for url in (self.reddit_url, self.oauth_url):
            if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
                raise ConfigError(f"reddit: {url!r}: expected https://, the secret is sent there")
