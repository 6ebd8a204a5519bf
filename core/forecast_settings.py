"""The settings of the forecaster; see `core.settings`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from core.server_settings import NotNegative, Positive, Seconds

Share = Annotated[float, Meta(ge=0, le=1)]


class ForecastSettings(Struct, frozen=True, kw_only=True):
    """Forecasts of how far posts go."""

    group: str = "groundswell-forecaster"
    """Consumer group, followed by the cluster's id; forecasters of it share the partitions."""
    model: str = "engagement"
    """Model name on the server `scorer.url`; `engagement_transformer` is the other one shipped."""
    kind: str = "triton"
    """`triton`, or `in_process`: the same arithmetic without a server."""
    version: str = ""
    """Version of the model; empty is the server's choice."""
    shadow_model: str = ""
    """A second model, compared on live posts, served nowhere; empty is none."""
    timeout_s: Seconds = 10.0
    """A batch unanswered for so long counts as model down."""
    horizon_s: Positive = 86_400
    """The age of a post at which its counts are its outcome."""
    ages_s: Annotated[tuple[Positive, ...], Meta(max_length=15)] = (300, 3_600)
    """Further ages at which a forecast is made anew from what was seen; below the horizon."""
    track_one_in: Positive = 1
    """One author in so many is tracked, chosen by hash, and all that a query watches."""
    max_shed: Positive = 64
    """Under lag, only one author in so many times more may be left tracked."""
    shed_after_s: Seconds = 30.0
    """The forecaster sheds when it is so far behind what is scored."""
    max_authors: Positive = 200_000
    """Authors remembered in one partition; the longest silent are forgotten beyond it."""
    max_pending: Positive = 500_000
    """Posts waiting for their outcome in one partition; beyond it new ones are not tracked."""
    author_ttl_s: Positive = 5_184_000
    """An author silent for so long is forgotten."""
    batch_posts: Annotated[int, Meta(ge=1, le=4096)] = 256
    """Posts in one batch at most."""
    max_waiting_events: Positive = 100_000
    """Counts held until the posts' time has come to theirs; then their topic waits."""
    events_per_hour: NotNegative = 10
    """Posts of a query said to take off in an hour; a partition has its share, one at least."""
    least_engagements: Positive = 20
    """A post is not taking off below so many likes, replies or reposts."""
    surprise: Annotated[float, Meta(gt=0, lt=1)] = 0.001
    """A post takes off when as many by its age are less likely than this."""
    false_share: Annotated[float, Meta(gt=0, le=1)] = 0.15
    """Of the posts of a query said to take off in an hour, at most this share is chance."""
    quality_outcomes: Positive = 500
    """Skill, coverage and rank correlation are of so many last outcomes of a source."""
    top_posts: Annotated[int, Meta(ge=1, le=100)] = 20
    """Posts of a query that are ranked by predicted reach."""
