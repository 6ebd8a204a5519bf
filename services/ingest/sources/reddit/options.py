"""What the Reddit source can be asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from core.errors import ConfigError
from core.settings import Secret
from services.ingest.sources.options import (
    LiveOptions,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    check_secret_address,
)

Community = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_]{1,20}\Z")]


class RedditOptions(LiveOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the source `reddit`.

    Attributes:
        communities: Names without `r/`; required.
        client_id: The id of the application registered with Reddit; required. Its secret is the
            setting `ingest.source_secret`.
        user_agent: How the application introduces itself, as Reddit's rules ask; required.
        listings: `posts`, `comments` or both.
        every_s: Between two looks at a listing, beside what the rate limit asks for.
        max_pages: Pages of a hundred looked back at most; Reddit has ten.
        first_pages: Pages delivered of what is there at the very first look.
        rewind_s: How far before the newest thing known a look goes back.
        recheck_every_s: Between two looks at things delivered, for deletions and edits.
        recheck_posts: How many of the newest are looked at then; 0 looks at none.
        remember_posts: Things remembered.
        request_timeout_s: For one request.
        reddit_url, oauth_url: Where Reddit is.
    """

    communities: Annotated[tuple[Community, ...], Meta(max_length=100)] = ()
    client_id: str = ""
    user_agent: str = ""
    listings: Annotated[tuple[Literal["posts", "comments"], ...], Meta(min_length=1)] = (
        "posts",
        "comments",
    )
    every_s: PositiveFloat = 5.0
    max_pages: PositiveInt = 10
    first_pages: PositiveInt = 1
    rewind_s: NonNegativeFloat = 60.0
    recheck_every_s: PositiveFloat = 300.0
    recheck_posts: NonNegativeInt = 1_000
    remember_posts: PositiveInt = 100_000
    request_timeout_s: PositiveFloat = 16.0
    reddit_url: str = "https://www.reddit.com"
    oauth_url: str = "https://oauth.reddit.com"

    def check(self, secret: Secret) -> None:
        """Refuse what cannot work, before anything is connected.

        Raises:
            ConfigError: Names the option or setting that is missing or wrong.
        """
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
        for name in ("reddit_url", "oauth_url"):
            check_secret_address(f"reddit: {name}", getattr(self, name), ("https", "http"))
